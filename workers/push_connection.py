"""The conversation over one push connection: log in, subscribe, listen, stay alive."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from workers.octoprint import Session
from workers.octoprint_errors import UNREADABLE, TimedOut, Unreachable
from workers.push_frames import (
    BUSY_EVENTS,
    EVENTS,
    PushChanged,
    PushOpened,
    PushSilent,
    PushStimulus,
    read_frame,
    snapshot,
)
from workers.push_socket import PushSocket

logger = logging.getLogger(__name__)

#: Pictures come every so many half seconds.
IDLE_THROTTLE = 20
BUSY_THROTTLE = 2
#: Log-ins in a row without anything coming of them.
LOGIN_LIMIT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PushTiming:
    """Patience with the other side, in seconds."""

    #: For connecting, for the handshake, and from the log-in to the first picture.
    open_timeout_s: float = 5.0
    #: How long to wait for something to come, or for the answer to a ping, before the next one.
    ping_interval_s: float = 4.0
    #: A server that has been silent for so long may hang: a ping has waited for 1.5 s.
    suspect_s: float = 5.5
    #: A connection that has been silent for so long is dead; OctoPrint answers every ping.
    stale_s: float = 35.0


class Silence:
    """How long nothing has come, and what is to be done about it; monotonic seconds."""

    def __init__(self, timing: PushTiming, now: float) -> None:
        self._timing = timing
        self.broken(now)

    def broken(self, now: float) -> None:
        """Something has come."""
        self._since = now
        self._ping_at = now + self._timing.ping_interval_s
        self._suspect_at = now + self._timing.suspect_s

    def lasts_s(self, now: float) -> float:
        """Since something came last."""
        return now - self._since

    def calls_for_ping(self, now: float) -> bool:
        """Whether to ask for a sign of life now, which counts as done."""
        if now < self._ping_at:
            return False
        self._ping_at = now + self._timing.ping_interval_s
        return True

    def becomes_suspect(self, now: float) -> bool:
        """Whether it has just lasted too long; true once."""
        if now < self._suspect_at:
            return False
        self._suspect_at = float("inf")
        return True

    def next_deadline(self) -> float:
        """When one of these is to be asked at the latest."""
        return min(self._ping_at, self._suspect_at, self._since + self._timing.stale_s)


class PushConnection:
    """One connection; `opened` tells whether it ever worked."""

    #: What OctoPrint is asked to send.
    subscription: ClassVar[Mapping[str, Any]] = {
        "state": {"logs": False, "messages": False},
        "plugins": [],
        "events": EVENTS,
    }
    idle_throttle: ClassVar[int] = IDLE_THROTTLE

    def __init__(
        self,
        socket: PushSocket,
        login: Callable[[], Session],
        emit: Callable[[PushStimulus], None],
        timing: PushTiming,
    ) -> None:
        self.opened = False
        self._socket = socket
        self._login = login
        self._emit = emit
        self._timing = timing
        self._throttle = self.idle_throttle
        self._logins = 0

    def listen(self) -> NoReturn:
        """Connect and report what comes, until an OctoPrintError says why it ended."""
        session = self._login()
        self._socket.open(self._timing.open_timeout_s)
        # Without a subscription first, everything there is would come.
        self._socket.send({"subscribe": self.subscription})
        self._socket.send({"throttle": self._throttle})
        self._authenticate(session)
        self._read()

    def _authenticate(self, session: Session) -> None:
        self._socket.send({"auth": f"{session.name}:{session.session}"})

    def _read(self) -> NoReturn:
        now = time.monotonic()
        silence, open_by = Silence(self._timing, now), now + self._timing.open_timeout_s
        while True:
            due = silence.next_deadline()
            due = due if self.opened else min(due, open_by)
            data = self._socket.receive(max(0.0, due - now))
            now = time.monotonic()
            if data is not None:
                silence.broken(now)
            if data:
                self._frame(data)
            self._check_alive(silence.lasts_s(now), now - open_by)
            if silence.becomes_suspect(now):
                self._emit(PushSilent(address=self._socket.address))
            if silence.calls_for_ping(now):
                self._socket.ping()

    def _check_alive(self, silent_s: float, late_s: float) -> None:
        if silent_s >= self._timing.stale_s:
            raise TimedOut(
                f"{self._socket.address} sent nothing over the push connection for {silent_s:.0f} s"
            )
        if not self.opened and late_s >= 0:
            raise TimedOut(
                f"{self._socket.address} sent nothing over the push connection after the log-in; "
                "may the api_key's user see the printer's status?"
            )

    def _frame(self, data: bytes) -> None:
        try:
            frame = read_frame(data)
            picture = None if frame.picture is None else snapshot(frame.picture)
        except UNREADABLE as error:
            logger.debug("push_frame_ignored", extra={"fields": {"error": str(error)}})
            return
        if picture is not None:
            self._report(picture, busy=picture.printing or picture.paused)
        elif frame.event is not None and frame.event.type in EVENTS:
            busy = frame.event.type in BUSY_EVENTS
            self._report(PushChanged(kind=frame.event.type), busy=busy or self._is_busy)
        elif frame.reauth_required is not None:
            self._log_in_again()

    @property
    def _is_busy(self) -> bool:
        return self._throttle == BUSY_THROTTLE

    def _report(self, stimulus: PushStimulus, *, busy: bool) -> None:
        self._logins = 0
        if not self.opened:
            self.opened = True
            self._emit(PushOpened())
        self._emit(stimulus)
        throttle = BUSY_THROTTLE if busy else self.idle_throttle
        if throttle != self._throttle:
            self._throttle = throttle
            self._socket.send({"throttle": throttle})

    def _log_in_again(self) -> None:
        """The server has forgotten the session, or the user's rights have changed."""
        self._logins += 1
        if self._logins > LOGIN_LIMIT:
            raise Unreachable(f"{self._socket.address} takes no log-in on the push connection")
        self._authenticate(self._login())
