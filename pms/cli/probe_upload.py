"""`pms-probe upload`: stores a local file on OctoPrint and makes sure that it has arrived whole."""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pms.cli.bar import sending
from pms.cli.output import data_size, show_json, show_line
from pms.cli.probe_session import ProbeSession, open_session
from pms.domain.reconciliation import is_ours
from pms.errors import PMSError, RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What OctoPrint has got."""

    #: As OctoPrint named it.
    path: str
    size: int
    sha1: str
    seconds: float

    @property
    def bytes_per_second(self) -> float:
        """Until OctoPrint had answered."""
        return self.size / self.seconds


def upload(options: argparse.Namespace) -> int:
    """Store the file; it is neither selected nor printed."""
    local: Path = options.file
    remote = remote_path(options.to or "", local.name)
    with open_session(options) as session:
        _check(session, remote, overwrite=options.overwrite)
        done = send(session, local, remote, overwrite=options.overwrite)
    if options.json:
        show_json(asdict(done) | {"bytes_per_second": done.bytes_per_second})
    else:
        speed = data_size(done.bytes_per_second)
        show_line(
            f"{done.path}: {data_size(done.size)} in {done.seconds:.2f} s, {speed}/s, SHA-1 agrees"
        )
    return 0


def remote_path(wanted: str, name: str) -> str:
    """Where a file goes on OctoPrint: a path, or a folder with a slash at its end."""
    folder, _, last = wanted.rpartition("/")
    return "/".join(filter(None, [folder.strip("/"), last or name]))


def _check(session: ProbeSession, remote: str, *, overwrite: bool) -> None:
    if is_ours(remote):
        raise RefusedError(f"{remote} is a name that PMS gives to its own files: choose another")
    # OctoPrint would say so only after the whole file has been sent.
    if not overwrite and session.octoprint.file(remote) is not None:
        raise RefusedError(f"{session.name} has a file {remote} already: add --overwrite")


def send(session: ProbeSession, local: Path, remote: str, *, overwrite: bool) -> Upload:
    """Store a local file and compare it. Raises RefusedError, OctoPrintError and PMSError."""
    try:
        size, sha1 = _facts(local)
        started_at = time.monotonic()
        with sending(remote) as on_progress:
            path = session.octoprint.upload(
                local,
                remote,
                on_progress,
                session.settings.upload_timeout_s,
                abort=lambda: False,
                overwrite=overwrite,
            )
        seconds = time.monotonic() - started_at
    except OSError as error:
        raise RefusedError(f"cannot read {local}: {error.strerror}; name a G-code file") from error
    stored = session.octoprint.file(path)
    if stored is None or (stored.size, stored.sha1) != (size, sha1):
        raise PMSError(f"{session.name} has stored {path}, but not as it was sent: delete it")
    return Upload(path=path, size=size, sha1=sha1, seconds=seconds)


def _facts(local: Path) -> tuple[int, str]:
    """Size and SHA-1 of a file that is worth sending."""
    with local.open("rb") as stream:
        sha1 = hashlib.file_digest(stream, "sha1").hexdigest()
        size = stream.tell()
    if size == 0:
        raise RefusedError(f"{local} is empty, and OctoPrint would print it with success")
    return size, sha1
