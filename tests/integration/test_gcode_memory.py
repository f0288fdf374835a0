"""Memory stays constant in the size of a file, on its way into the cache and out of it."""

from __future__ import annotations

import hashlib
import multiprocessing
import re
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode
from workers.gcode import GcodeCache
from workers.gcode_sources import CHUNK_BYTES, FileServerSource

MIB = 1024 * 1024
LARGE = GeneratedGcode(650 * MIB)
SMALL = GeneratedGcode(MIB)
HTTP_TIMEOUT_S = 10.0
LIMIT_BYTES = 1 << 40
DEADLINE_S = 100.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    sha1_read: str
    growth_bytes: int
    download_s: float
    finish_marker: int | None


def test_a_large_file_costs_no_memory(
    file_server: FileServer, tmp_path: Path, report: dict[str, str]
) -> None:
    file_server.put(1, SMALL)
    file_server.put(2, LARGE)
    result, results = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=measure, args=(file_server.base_url, tmp_path, results)
    )
    process.start()
    try:
        assert result.poll(DEADLINE_S), "the transfer has not ended"
        measured: Measured = result.recv()
    finally:
        process.kill()
        process.join()

    report["G-code cache, memory for 650 MiB"] = f"{measured.growth_bytes / MIB:.2f} MiB"
    report["G-code cache, download"] = f"{LARGE.size / measured.download_s / 1e6:.0f} MB/s"
    assert measured.sha1_read == LARGE.sha1
    assert measured.finish_marker == LARGE.finished_byte_pos
    assert measured.growth_bytes <= 5 * MIB


def measure(base_url: str, folder: Path, results: Connection) -> None:
    """In a process of its own: transfer the large file after a small one, which pays for
    everything that is loaded once."""
    transfer(base_url, folder, 1)
    before = resident_bytes("VmRSS")
    # Lets the peak start anew at the present size.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    sha1, finish_marker, download_s = transfer(base_url, folder, 2)
    results.send(
        Measured(
            sha1_read=sha1,
            growth_bytes=resident_bytes("VmHWM") - before,
            download_s=download_s,
            finish_marker=finish_marker,
        )
    )


def transfer(base_url: str, folder: Path, job_id: int) -> tuple[str, int | None, float]:
    """Through the cache and out again in blocks, as an upload reads it."""
    source = FileServerSource(base_url, HTTP_TIMEOUT_S)
    begin = time.monotonic()
    with GcodeCache(folder, LIMIT_BYTES).fetch(job_id, source) as gcode:
        download_s = time.monotonic() - begin
        digest = hashlib.sha1()
        while block := gcode.read(CHUNK_BYTES):
            digest.update(block)
        return digest.hexdigest(), gcode.facts().finish_marker, download_s


def resident_bytes(name: str) -> int:
    """A figure of this process: VmRSS (now) or VmHWM (at its peak)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
