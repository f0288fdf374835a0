"""File systems that are small enough to be filled. To mount them takes root, as in CI."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pms.demo.octoprint_server import OctoPrintServer


class SmallDisk:
    """A file system of its own at `path`, which every user can reach."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self) -> None:
        """Leave no room for anything."""
        with self._filling.open("ab", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Take the filling away."""
        self._filling.unlink()


@contextmanager
def small_disk(megabytes: int = 16) -> Iterator[SmallDisk]:
    """Mount one for as long as the block lasts."""
    path = Path(tempfile.mkdtemp(prefix="pms-disk-"))
    options = f"size={megabytes}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield SmallDisk(path)
    finally:
        # Some backend of PostgreSQL may still have a file of it open.
        subprocess.run(["umount", "--lazy", path], check=True)
        path.rmdir()


def on_small_disks(octoprint: Path, script: Path, **megabytes: int) -> Path:
    """Write a program like `octoprint` whose folders of these names are disks of such a size.

    They are mounted for its process alone, and are gone with it.
    """
    mounts = [
        f"mkdir -p {name} && mount -t tmpfs -o size={size}m tmpfs {name} &&"
        for name, size in megabytes.items()
    ]
    inside = shlex.quote(f'{" ".join(mounts)} exec {shlex.quote(str(octoprint))} "$@"')
    script.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {inside} octoprint "$@"\n')
    script.chmod(0o755)
    return script


def disk_of(server: OctoPrintServer, name: str) -> Path:
    """A folder of a server as the server itself sees it."""
    return Path(f"/proc/{server.pid}/root{server.folder / name}")
