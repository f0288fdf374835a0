"""OctoPrint's push socket: who listens, to what, and how a message gets there cheaply.

A message is encoded and framed once, however many listen. Nothing here waits: bytes go straight
to the transports, and a client that does not read is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from pms.simulator import answers
from pms.simulator.machine import Machine

BASE_INTERVAL_S = 0.5
#: A client that is so far behind does not read.
BACKLOG_LIMIT_BYTES = 4 * 1024 * 1024
#: So many messages are kept for a client that has not logged in yet.
KEPT_MESSAGES = 100
MARKINGS = 10

_TEXT_FRAME = 0x81


def text_frame(content: bytes) -> bytes:
    """A message from a server as one WebSocket frame."""
    size = len(content)
    if size < 126:
        return bytes((_TEXT_FRAME, size)) + content
    if size < 1 << 16:
        return bytes((_TEXT_FRAME, 126)) + size.to_bytes(2, "big") + content
    return bytes((_TEXT_FRAME, 127)) + size.to_bytes(8, "big") + content


def _framed(message: dict[str, Any]) -> bytes:
    return text_frame(msgspec.json.encode(message))


class Client:
    """One connection to the push socket, and what it wants to hear."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.authenticated = False
        self.throttle = 1
        #: None: everything.
        self.events: frozenset[str] | None = None
        self.wants_state = True
        self.pictured_at = 0.0
        self._kept: list[bytes] = []

    def subscribe(self, wanted: dict[str, Any]) -> bool:
        """Listen to these only from now on; gives whether the state is among them now."""
        events = wanted.get("events", [])
        self.events = None if events is True else frozenset(events or ())
        before, self.wants_state = self.wants_state, bool(wanted.get("state", False))
        return self.wants_state and not before

    def write(self, frame: bytes) -> None:
        """Send without waiting."""
        if self._transport.is_closing():
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > BACKLOG_LIMIT_BYTES:
            self._transport.abort()

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()


class Push:
    """The push socket of one OctoPrint."""

    def __init__(self, machine: Callable[[], Machine]) -> None:
        self._machine = machine
        self.clients: set[Client] = set()
        #: While true, nothing is sent, though connections stay open.
        self.silent = False
        self._markings: list[dict[str, Any]] = []
        self._read_at = 0.0
        self._pictured: bytes = b""

    def publish(self, kind: str, payload: dict[str, Any] | None, now: float) -> None:
        """Send an event to those who want it."""
        if kind == "ChartMarked" and payload is not None:
            self._markings = [*self._markings[1 - MARKINGS :], payload | {"time": now}]
        listeners = [
            client
            for client in self.clients
            if client.authenticated and (client.events is None or kind in client.events)
        ]
        if not listeners or self.silent:
            return
        frame = _framed({"event": {"type": kind, "payload": payload}})
        for client in listeners:
            client.write(frame)

    def greet(self, client: Client, now: float) -> None:
        """What a client gets once it has logged in."""
        if self.silent:
            return
        if client.wants_state:
            client.write(self.history(now))
        client.write(_framed({"timelapse": None}))

    def history(self, now: float) -> bytes:
        """The first picture."""
        machine = self._machine()
        temps = [answers.reading(machine, now)] if machine.state.is_operational else []
        return _framed(
            {
                "history": answers.picture(machine, now)
                | {
                    "temps": temps,
                    "logs": [],
                    "messages": [],
                    "markings": self._markings,
                    "serverTime": now,
                }
            }
        )

    def tick(self, now: float) -> None:
        """Send the picture to those whose turn it is."""
        if self.silent or not self.clients:
            return
        due = [client for client in self.clients if _is_due(client, now)]
        if not due:
            return
        frame = self._picture(now)
        if frame is None:
            return
        for client in due:
            client.pictured_at = now
            client.write(frame)

    def ask_for_log_in(self) -> None:
        """All sessions have ended."""
        for client in self.clients:
            client.authenticated = False
            client.write(reauthentication("stale"))

    def cut(self) -> None:
        """End all connections."""
        for client in self.clients:
            client.cut()

    def _picture(self, now: float) -> bytes | None:
        machine = self._machine()
        content = answers.picture(machine, now)
        if machine.state.is_closed:
            # A printer that is not connected is shown when something has changed.
            encoded = msgspec.json.encode(content)
            if encoded == self._pictured:
                return None
            self._pictured = encoded
        busy = [{"origin": "local", "path": machine.run.file.path}] if machine.run else []
        return _framed(
            {
                "current": content
                | {
                    "serverTime": now,
                    "temps": self._readings(machine, now),
                    "busyFiles": busy,
                    "markings": self._markings,
                    "logs": [],
                    "messages": [],
                }
            }
        )

    def _readings(self, machine: Machine, now: float) -> list[dict[str, Any]]:
        if not machine.state.is_operational or now < self._read_at + answers.READING_INTERVAL_S:
            return []
        self._read_at = now
        return [answers.reading(machine, now)]


def _is_due(client: Client, now: float) -> bool:
    # A tick may come a little early.
    interval = BASE_INTERVAL_S * (client.throttle - 0.5)
    return client.authenticated and client.wants_state and now >= client.pictured_at + interval


def reauthentication(reason: str) -> bytes:
    """The session is not good (any more)."""
    return _framed({"reauthRequired": {"reason": reason}})


def connected(permissions: list[dict[str, Any]]) -> bytes:
    """The first message on every connection."""
    return _framed(
        {
            "connected": {
                "version": answers.VERSION,
                "display_version": answers.VERSION,
                "branch": "HEAD",
                "python_version": "3.11.7",
                "plugin_hash": "0" * 32,
                "config_hash": "0" * 32,
                "debug": False,
                "safe_mode": None,
                "online": True,
                "permissions": permissions,
            }
        }
    )
