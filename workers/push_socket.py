"""One WebSocket connection to OctoPrint that nobody can hold or flood, and that can be cut off.

websocket-client sets no limit to the size of a message, and its timeouts start anew with each
byte; so it is given a socket that has limits of its own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import websocket

from workers.connections import tls_context
from workers.octoprint_errors import (
    OctoPrintError,
    TimedOut,
    Unreachable,
    not_octoprint,
    transport_error,
)

#: OctoPrint's longest frame by far is the history, with half an hour of temperatures.
MESSAGE_LIMIT_BYTES = 4 * 1024 * 1024
SEND_TIMEOUT_S = 5.0

_ERRORS = (websocket.WebSocketException, OSError, ValueError)


class _LimitedSocket:
    """What websocket-client reads from: until a deadline, and so many bytes for each message."""

    def __init__(self, connected: socket.socket, address: str) -> None:
        self._socket = connected
        self._address = address
        self._budget = MESSAGE_LIMIT_BYTES
        #: Monotonic seconds.
        self.deadline = 0.0

    def next_message(self) -> None:
        """The last message is complete."""
        self._budget = MESSAGE_LIMIT_BYTES

    def recv(self, size: int) -> bytes:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining)
        received = self._socket.recv(size)
        self._budget -= len(received)
        if self._budget < 0:
            raise not_octoprint(self._address, f"more than {MESSAGE_LIMIT_BYTES} bytes at once")
        return received

    def send(self, data: bytes) -> int:
        self._socket.settimeout(SEND_TIMEOUT_S)
        return self._socket.send(data)

    def settimeout(self, timeout_s: float | None) -> None:
        """The deadline counts, not the library's idea of one."""

    def gettimeout(self) -> float | None:
        return self._socket.gettimeout()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


class PushSocket:
    """A connection that one thread opens and reads, and any thread may cut off."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._cut = False
        self._socket: socket.socket | None = None
        self._limited: _LimitedSocket | None = None
        self._web: websocket.WebSocket | None = None

    def open(self, timeout_s: float) -> None:
        """Connect and shake hands; each of the two may take `timeout_s`. Raises OctoPrintError."""
        try:
            self._limited = _LimitedSocket(self._connect(timeout_s), self.address)
            self._limited.deadline = time.monotonic() + timeout_s
            self._web = websocket.create_connection(
                f"ws{self.address.removeprefix('http')}/sockjs/websocket",
                socket=self._limited,
                redirect_limit=0,
                suppress_origin=True,
                skip_utf8_validation=True,
            )
        except _ERRORS as error:
            raise self._translated(error) from error
        self._limited.next_message()

    def send(self, message: dict[str, Any]) -> None:
        """Send one JSON message. Raises OctoPrintError."""
        self._write(msgspec.json.encode(message), websocket.ABNF.OPCODE_TEXT)

    def ping(self) -> None:
        """Ask for a sign of life. Raises OctoPrintError."""
        self._write(b"", websocket.ABNF.OPCODE_PING)

    def receive(self, timeout_s: float) -> bytes | None:
        """The next message; empty for a mere sign of life, None when nothing was complete in time.

        A message of which a part has come is gone on with in the next call. Raises
        OctoPrintError when the connection has ended.
        """
        assert self._web is not None
        assert self._limited is not None
        self._limited.deadline = time.monotonic() + timeout_s
        try:
            kind, frame = self._web.recv_data_frame(control_frame=True)
        except websocket.WebSocketTimeoutException:
            return None
        except _ERRORS as error:
            raise self._translated(error) from error
        if kind == websocket.ABNF.OPCODE_CLOSE:
            raise self._closed()
        if kind in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
            return b""
        self._limited.next_message()
        return bytes(frame.data)

    def cut(self) -> None:
        """End the connection now, from any thread; whoever uses it gets an OctoPrintError."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut_down(self._socket)

    def close(self) -> None:
        """Give the socket back; for the thread that opened it."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                self._socket.close()

    # -- inside -------------------------------------------------------------------

    def _connect(self, timeout_s: float) -> socket.socket:
        parts = urlsplit(self.address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        connected = self._connect_any(host, port, timeout_s)
        if parts.scheme == "https":
            connected = self._secure(connected, host)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def _connect_any(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """As socket.create_connection, but each try can be cut off."""
        last: OSError = OSError("no address")
        for family, kind, protocol, _, target in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            candidate = self._adopt(socket.socket(family, kind, protocol))
            candidate.settimeout(timeout_s)
            try:
                candidate.connect(target)
            except OSError as error:
                candidate.close()
                last = error
            else:
                return candidate
        raise last

    def _secure(self, connected: socket.socket, host: str) -> socket.socket:
        secured = tls_context().wrap_socket(
            connected, server_hostname=host, do_handshake_on_connect=False
        )
        self._adopt(secured)
        secured.do_handshake()
        return secured

    def _adopt(self, opened: socket.socket) -> socket.socket:
        """From now on this is the socket to cut off."""
        with self._lock:
            if self._cut:
                opened.close()
                raise self._closed()
            self._socket = opened
        return opened

    def _write(self, data: bytes, kind: int) -> None:
        assert self._web is not None
        try:
            self._web.send(data, kind)
        except _ERRORS as error:
            raise self._translated(error) from error

    def _closed(self) -> OctoPrintError:
        return Unreachable(f"{self.address} closed the push connection")

    def _translated(self, error: Exception) -> OctoPrintError:
        match error:
            case websocket.WebSocketTimeoutException():
                return TimedOut(f"{self.address} does not answer on the push connection")
            case websocket.WebSocketConnectionClosedException():
                return self._closed()
            case websocket.WebSocketBadStatusException():
                return not_octoprint(self.address, f"no push socket but status {error.status_code}")
            case OSError():
                return transport_error(error, self.address)
        return not_octoprint(self.address, "no push socket")


def _shut_down(connected: socket.socket) -> None:
    """Wakes whoever waits for it; the plain method also on TLS, whose own state is not ours."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
