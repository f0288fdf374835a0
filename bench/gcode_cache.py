"""G-code into the cache; its floor is a copy of the same bytes with a SHA-1."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, compare
from bench.scene import Scene
from tests.support.gcode import moves
from workers.gcode import GcodeCache
from workers.gcode_sources import LocalSource

MEGABYTE = 1_000_000
CHUNK = 256 * 1024


def run(scene: Scene) -> Iterator[Figure]:
    """A usual and a large file."""
    yield _measure(scene.folder, 0.6, scene.scale.pick(50, 10, 2))
    yield _measure(scene.folder, scene.scale.pick(100.0, 20.0, 1.0), scene.scale.pick(12, 2, 1))


def _measure(folder: Path, megabytes: float, rounds: int) -> Figure:
    source = folder / "job_1.gcode"
    source.write_bytes(moves(int(megabytes * MEGABYTE)).content)
    numbers = itertools.count()

    def fetch() -> None:
        cache = GcodeCache(folder / f"cache-{megabytes:g}-{next(numbers)}", 10**12)
        with cache.fetch(1, LocalSource(folder)) as gcode:
            gcode.facts().path.unlink()

    def copy() -> None:
        target = folder / "copy"
        digest = hashlib.sha1(usedforsecurity=False)
        with source.open("rb") as reading, target.open("wb") as writing:
            while chunk := reading.read(CHUNK):
                digest.update(chunk)
                writing.write(chunk)
        target.unlink()

    return compare(
        f"{megabytes:g} MB of G-code into the cache",
        fetch,
        copy,
        rounds=rounds,
        floor_is="a copy with SHA-1",
    )
