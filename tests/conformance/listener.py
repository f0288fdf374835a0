"""Somebody on the push socket who writes down what is said there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from pms.demo.octoprint_client import OctoPrintClient
from workers.push_socket import PushSocket

Frame = dict[str, Any]

TIMEOUT_S = 15.0


class Listener:
    """One connection; frames are read while one waits for something."""

    def __init__(self, octoprint: OctoPrintClient) -> None:
        self._octoprint = octoprint
        self._socket = PushSocket(octoprint.url)
        self._socket.open(TIMEOUT_S)
        #: All that has been said, as parsed JSON.
        self.heard: list[Frame] = []

    def close(self) -> None:
        self._socket.close()

    def say(self, **message: Any) -> None:
        """Such as `throttle=2`."""
        self._socket.send(message)

    def log_in(self) -> None:
        status, answer = self._octoprint.request("POST", "/api/login", {"passive": True})
        assert status == 200, answer
        self.say(auth=f"{answer['name']}:{answer['session']}")

    def subscribe(self, *, state: bool = False, events: list[str] | bool = False) -> None:
        wanted = {"logs": False, "messages": False} if state else False
        self.say(subscribe={"state": wanted, "events": events, "plugins": []})

    def until(
        self, wanted: Callable[[Frame], Any], what: str, timeout_s: float = TIMEOUT_S
    ) -> Frame:
        """Read until a frame is as wanted, and give it."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            frame = self._read(left)
            if frame is not None and wanted(frame):
                return frame
        raise AssertionError(f"{what}: not within {timeout_s:g} s; heard {self.kinds()}")

    def read_for(self, duration_s: float) -> None:
        """Write down what comes in so many seconds."""
        deadline = time.monotonic() + duration_s
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def until_kind(self, kind: str) -> Frame:
        """Wait for the next frame of a kind, such as `history`; gives its content."""
        content: Frame = self.until(lambda frame: kind in frame, kind)[kind]
        return content

    def until_event(self, name: str) -> Any:
        """Wait for the next event of this name (see `name_of`); gives its payload."""
        return self.until(lambda frame: name_of(frame) == name, name)["event"]["payload"]

    def until_events(self, *names: str) -> None:
        """Wait until all of these have come since the last time that `heard` was emptied."""
        if not set(names) <= set(self.events()):
            self.until(lambda _: set(names) <= set(self.events()), " and ".join(names))

    def kinds(self) -> list[str]:
        """What has been said, each frame by its kind or its event's name."""
        return [name_of(frame) for frame in self.heard]

    def events(self) -> list[str]:
        """The names of all events so far."""
        return [name_of(frame) for frame in self.heard if "event" in frame]

    def payloads(self, name: str) -> list[Any]:
        """What came with all events of this name."""
        return [frame["event"]["payload"] for frame in self.heard if name_of(frame) == name]

    def _read(self, timeout_s: float) -> Frame | None:
        data = self._socket.receive(timeout_s)
        if not data:
            return None
        frame: Frame = msgspec.json.decode(data)
        self.heard.append(frame)
        return frame


def name_of(frame: Frame) -> str:
    """The kind of a frame; for an event its type, for a change of state the state."""
    if "event" not in frame:
        return next(iter(frame))
    event = frame["event"]
    if event["type"] == "PrinterStateChanged":
        return str(event["payload"]["state_id"])
    return str(event["type"])
