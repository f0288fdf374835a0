"""`pms-probe bench`: how fast one OctoPrint answers and takes a file."""

from __future__ import annotations

import argparse
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pms.cli.output import UNIT_BYTES, data_size, facts, show, show_json
from pms.cli.probe_session import ProbeSession, open_session
from pms.cli.probe_upload import Upload, send
from pms.domain.observation import ACTIVE
from pms.errors import RefusedError
from pms.probe.latency import round_trips

REQUESTS = 100
_LINE = b"; nothing to print, made by pms-probe bench ".ljust(63, b".") + b"\n"


def bench(options: argparse.Namespace) -> int:
    """Measure round trips and one upload; the file is gone afterwards."""
    size = options.size * UNIT_BYTES * UNIT_BYTES
    with open_session(options) as session:
        _check(session, size, force=options.force)
        latency = round_trips(session.octoprint.version, REQUESTS)
        upload = _upload(session, size)
    if options.json:
        measured = {"bytes": size, "seconds": upload.seconds}
        speed = {"bytes_per_second": upload.bytes_per_second}
        show_json({"latency": asdict(latency), "upload": measured | speed})
    else:
        words = (
            f"{data_size(size)} in {upload.seconds:.2f} s, {data_size(upload.bytes_per_second)}/s"
        )
        show(facts([(f"{latency.count} requests", str(latency)), ("upload", words)]))
    return 0


def _check(session: ProbeSession, size: int, *, force: bool) -> None:
    seen = session.octoprint.look()
    if seen.activity in ACTIVE and not force:
        raise RefusedError(
            f"{session.name} is {seen.state_text}, and the load might disturb the print; "
            "add --force to do it"
        )
    free = session.octoprint.free_bytes()
    if free is not None and free < 2 * size:
        raise RefusedError(
            f"{session.name} has only {data_size(free)} free; "
            "measure with a smaller --size, or see `pms-probe files --clean`"
        )


def _upload(session: ProbeSession, size: int) -> Upload:
    remote = f"pms-probe-bench-{secrets.token_hex(8)}.gcode"
    with _file_of(size) as local:
        try:
            return send(session, local, remote, overwrite=False)
        finally:
            session.octoprint.delete(remote)


@contextmanager
def _file_of(size: int) -> Iterator[Path]:
    """A local file of so many bytes that no printer could do anything with."""
    with tempfile.NamedTemporaryFile(prefix="pms-probe-", suffix=".gcode") as file:
        for _ in range(size // UNIT_BYTES):
            file.write(_LINE * (UNIT_BYTES // len(_LINE)))
        file.flush()
        yield Path(file.name)
