"""What is wrong with push and uploads, which PMS needs beside plain answers. Pure."""

from __future__ import annotations

from http import HTTPStatus

from pms.probe.findings import Finding, failed, ok
from pms.probe.printer_diagnosis import MAKE_ROOM
from pms.probe.server_diagnosis import failure
from workers.octoprint_errors import (
    DiskFull,
    OctoPrintError,
    Rejected,
    TimedOut,
    UploadCut,
    one_line,
)

_WITHOUT_PUSH = "; until then PMS notices what happens only when it looks, every PMS_POLL_INTERVAL"
_LET_PUSH_PASS = (
    "let the proxy pass WebSockets on below /sockjs (nginx: `proxy_http_version 1.1`, and the "
    "headers Upgrade and Connection)" + _WITHOUT_PUSH
)


def push_ok(seconds: float) -> Finding:
    """A picture of the printer came so long after the beginning."""
    return ok(f"opened, logged in, and heard from after {seconds * 1000:.0f} ms")


def no_login(error: OctoPrintError) -> Finding:
    """OctoPrint gives no session for the push socket."""
    if isinstance(error, Rejected) and error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return failed(
            "OctoPrint takes no log-ins from here at present (status 429)",
            "check again in some minutes: it limits them after some that were wrong"
            + _WITHOUT_PUSH,
        )
    return failure(error)


def push_not_opened(error: OctoPrintError, status: int | None) -> Finding:
    """REST works and the push socket does not open; `status`: the server said no with it."""
    said = one_line(str(error)) if status is None else f"status {status} instead of a connection"
    return failed(f"push is blocked while REST works ({said})", _LET_PUSH_PASS)


def push_silent(error: OctoPrintError) -> Finding:
    """The push socket is open, and what should come does not."""
    if isinstance(error, TimedOut):
        return failed("the push socket opens, but nothing comes out of it", _LET_PUSH_PASS)
    return failed("the push socket opens and is closed again", _LET_PUSH_PASS)


def push_log_in_refused() -> Finding:
    """The push socket does not take the session that REST has just given."""
    return failed(
        "the push socket does not take OctoPrint's own log-in",
        "see whether a proxy spreads REST and push over different servers" + _WITHOUT_PUSH,
    )


def upload_failed(error: OctoPrintError) -> Finding:
    """A file of some bytes was not stored."""
    if isinstance(error, DiskFull | UploadCut):
        return failed(str(error), MAKE_ROOM)
    if isinstance(error, Rejected) and error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return failed(
            str(error),
            "raise the proxy's limit of uploads (nginx: `client_max_body_size 0`)",
        )
    return failure(error)


def checksum(sent: str, stored: str | None) -> Finding:
    """Compare the SHA-1 of what was sent and of what OctoPrint has."""
    if sent == stored:
        return ok(f"SHA-1 {sent}")
    if stored is None:
        return failed(
            "OctoPrint does not have the file that it has just taken, or no SHA-1 of it",
            "look for a plugin that moves or changes uploads",
        )
    return failed(
        f"OctoPrint stored something else than was sent (SHA-1 {one_line(stored)}, not {sent})",
        "look for a plugin that changes uploads, and for a broken disk",
    )


def not_deleted() -> Finding:
    """The file is still there after its deletion."""
    return failed(
        "OctoPrint says that it has deleted the file, and still has it",
        "look for a broken or read-only disk",
    )
