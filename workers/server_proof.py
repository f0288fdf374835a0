"""Whether an OctoPrint is still the process that was asked to start a print.

A server that was killed in mid-print remembers nothing, so that it knows of no print proves
nothing. But log-in sessions die with the server: one that was made before the start was asked
for and is still taken shows that it has been the same process all the time. The session is
kept in a file of this printer's own, so that it outlives this process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from workers.octoprint import Session
from workers.octoprint_errors import UNREADABLE, TimedOut
from workers.push_frames import Frame, read_frame
from workers.push_socket import PushSocket

_SUBSCRIPTION = {"state": {"logs": False, "messages": False}, "plugins": [], "events": []}


class _Kept(msgspec.Struct, frozen=True):
    path: str
    name: str
    session: str
    #: Monotonic seconds.
    made_at: float


class KeptSession:
    """The session made before the last start, or for it, in a file that only its owner may read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def keep(self, path: str, session: Session) -> None:
        """Keep the session under the path of the file that is about to be started."""
        content = msgspec.json.encode(_Kept(path, session.name, session.session, session.made_at))
        fresh = self._file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        fresh.replace(self._file)

    def recall(self, path: str) -> Session | None:
        """The session made before the start of this path; None: there is none."""
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return None
        if kept.path != path:
            return None
        return Session(name=kept.name, session=kept.session, made_at=kept.made_at)


def is_taken(address: str, session: Session, timeout_s: float) -> bool:
    """Whether the server at `address` still takes the session.

    Raises OctoPrintError when it does not say so within about `timeout_s`.
    """
    socket = PushSocket(address)
    try:
        socket.open(timeout_s)
        return verdict(socket, session, timeout_s).picture is not None
    finally:
        socket.close()


def verdict(socket: PushSocket, session: Session, timeout_s: float) -> Frame:
    """Log in over an open push socket and give the frame that answers.

    A picture comes only after a log-in, and a request for another log-in after a bad one.
    Raises OctoPrintError when neither comes within `timeout_s`.
    """
    socket.send({"subscribe": _SUBSCRIPTION})
    socket.send({"auth": f"{session.name}:{session.session}"})
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        data = socket.receive(left)
        if not data:
            continue
        try:
            frame = read_frame(data)
        except UNREADABLE:
            continue
        if frame.reauth_required is not None or frame.picture is not None:
            return frame
    raise TimedOut(f"{socket.address} does not say whether it knows the log-in")
