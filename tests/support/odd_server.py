"""Servers that misbehave on purpose, one connection at a time."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

#: Gets the connection, the head of the request, and what tells that the test is over.
Behaviour = Callable[[socket.socket, str, threading.Event], None]


class OddServer:
    """Reads the head of each request, keeps it, and then behaves."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self._behave = behave
        self._tls = tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Bounded, so that an upload that nobody reads is felt soon; with less than a segment of
        # the loopback device, even a reader that reads would seem to stall.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        scheme = "https" if tls else "http"
        self.address = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> OddServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self._secured(connection) as secured:
                head = read_head(secured)
                self.heads.append(head)
                self._behave(secured, head, self._over)

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection


def read_head(connection: socket.socket) -> str:
    """Byte by byte, to leave a body unread; a TLS greeting has no end that could be waited for."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and head != b"\x16":
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError
        head += byte
    return head.decode()


def close_politely(connection: socket.socket) -> None:
    """Closing with a request's body unread would reset the connection."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(64 * 1024):
        pass


def says(*pieces: bytes) -> Behaviour:
    def behave(connection: socket.socket, head: str, over: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        close_politely(connection)

    return behave


def hangs(connection: socket.socket, head: str, over: threading.Event) -> None:
    over.wait(30)


def trickles(start: bytes, piece: bytes, interval_s: float = 0.05) -> Behaviour:
    """Says `piece` again and again; no single pause is long."""

    def behave(connection: socket.socket, head: str, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(interval_s):
            connection.sendall(piece)

    return behave


def resets(start: bytes) -> Behaviour:
    def behave(connection: socket.socket, head: str, over: threading.Event) -> None:
        connection.sendall(start)
        linger_0 = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0)

    return behave


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def silent_address() -> Iterator[str]:
    """Nothing takes a connection there: its queue is full, and more knocking is not heard."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
