"""The push connection as a person at a console wants it: every event, and the terminal's lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from workers.octoprint import Session
from workers.octoprint_answers import Answer
from workers.octoprint_errors import UNREADABLE
from workers.push_connection import BUSY_THROTTLE, PushConnection, PushTiming
from workers.push_frames import PushStimulus, Stimulus
from workers.push_socket import PushSocket


class PushOccurred(Stimulus, frozen=True, kw_only=True):
    """An event of any kind, as OctoPrint sent it."""

    kind: str
    payload: Any = None


class PushTerminal(Stimulus, frozen=True, kw_only=True):
    """New lines of OctoPrint's terminal, such as `Send: M115` and `Recv: ok`."""

    lines: tuple[str, ...]


ConsoleStimulus = PushStimulus | PushOccurred | PushTerminal


class _Event(Answer, frozen=True):
    type: str
    payload: Any = None


class _Picture(Answer, frozen=True):
    logs: tuple[str, ...] = ()


class _Frame(Answer, frozen=True):
    """What the base class passes over. The history's lines are old, so they are left out."""

    current: _Picture | None = None
    event: _Event | None = None


_frames = msgspec.json.Decoder(_Frame)


class ConsoleConnection(PushConnection):
    """Gives `report` all events and lines, too; pictures come every second at all times."""

    subscription: ClassVar[Mapping[str, Any]] = {
        "state": {"logs": True, "messages": False},
        "plugins": [],
        "events": True,
    }
    idle_throttle: ClassVar[int] = BUSY_THROTTLE

    def __init__(
        self,
        socket: PushSocket,
        login: Callable[[], Session],
        emit: Callable[[PushStimulus], None],
        timing: PushTiming,
        *,
        report: Callable[[ConsoleStimulus], None],
    ) -> None:
        super().__init__(socket, login, emit, timing)
        self._console_report = report

    def _frame(self, data: bytes) -> None:
        super()._frame(data)
        try:
            frame = _frames.decode(data)
        except UNREADABLE:
            return
        if frame.event is not None:
            self._console_report(PushOccurred(kind=frame.event.type, payload=frame.event.payload))
        if frame.current is not None and frame.current.logs:
            self._console_report(PushTerminal(lines=frame.current.logs))
