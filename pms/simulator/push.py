"""OctoPrint's push socket: who listens, to what, and how a message gets there cheaply.

A message is encoded and framed once, however many listen. Nothing here waits: bytes go straight
to the transports, and a client that does not read is cut off.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pms.simulator import answers
from pms.simulator.machine import Machine

BASE_INTERVAL_S = 0.5
#: A client that is so far behind does not read.
BACKLOG_LIMIT_BYTES = 4 * 1024 * 1024
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
        #: What it was shown last of a printer that is not connected.
        self.pictured = b""

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

    def __init__(self, machine: Machine) -> None:
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
        if client.wants_state:
            self.send_history(client, now)
        self._send(client, _framed({"timelapse": None}))

    def send_history(self, client: Client, now: float) -> None:
        """Send the first picture."""
        machine = self._machine
        temps = [answers.reading(machine, now)] if machine.state.is_operational else []
        picture = answers.picture(machine, now) | self._surroundings(temps, now)
        self._send(client, _framed({"history": picture}))

    def refuse(self, client: Client) -> None:
        """Say that its session is not good (any more)."""
        client.authenticated = False
        self._send(client, _framed({"reauthRequired": {"reason": "stale"}}))

    def tick(self, now: float) -> None:
        """Send the picture to those whose turn it is."""
        due = [client for client in self.clients if _is_due(client, now)]
        if not due or self.silent:
            return
        machine = self._machine
        picture = answers.picture(machine, now)
        if machine.state.is_closed:
            # A printer that is not connected is shown when something has changed.
            due = _unaware(due, msgspec.json.encode(picture))
        if not due:
            return
        busy = [{"origin": "local", "path": machine.run.file.path}] if machine.run else []
        around = self._surroundings(self._readings(machine, now), now)
        frame = _framed({"current": picture | around | {"busyFiles": busy}})
        for client in due:
            client.pictured_at = now
            client.write(frame)

    def cut(self) -> None:
        """End all connections."""
        for client in self.clients:
            client.cut()

    def _send(self, client: Client, frame: bytes) -> None:
        if not self.silent:
            client.write(frame)

    def _surroundings(self, temps: list[dict[str, Any]], now: float) -> dict[str, Any]:
        return {
            "serverTime": now,
            "temps": temps,
            "markings": self._markings,
            "logs": [],
            "messages": [],
        }

    def _readings(self, machine: Machine, now: float) -> list[dict[str, Any]]:
        if not machine.state.is_operational or now < self._read_at + answers.READING_INTERVAL_S:
            return []
        self._read_at = now
        return [answers.reading(machine, now)]


def _is_due(client: Client, now: float) -> bool:
    # A tick may come a little early.
    interval = BASE_INTERVAL_S * (client.throttle - 0.5)
    return client.authenticated and client.wants_state and now >= client.pictured_at + interval


def _unaware(clients: list[Client], picture: bytes) -> list[Client]:
    """Those who have not seen this yet; they are taken to see it now."""
    unaware = [client for client in clients if client.pictured != picture]
    for client in unaware:
        client.pictured = picture
    return unaware


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
