"""A proxy in front of an OctoPrint that lets REST through and lies on the push socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum, auto
from typing import BinaryIO
from urllib.parse import urlsplit

from tests.support.odd_server import answer, read_head
from tests.support.ports import HOST

_PIECE_BYTES = 64 * 1024
_TEXT = 1
_PICTURES = (b'{"current"', b'{"history"')


class Lie(Enum):
    """What becomes of the push socket."""

    NONE = auto()
    #: It stays open, and nothing comes any more, no answer to a ping either.
    SILENT = auto()
    #: It is not opened, and those that are open are cut.
    REFUSED = auto()
    #: Instead of each new picture the last one comes again, and no event.
    OLD_PICTURES = auto()


class LyingPush:
    """Listens as long as its block lasts."""

    def __init__(self, target: str) -> None:
        #: Messages that the other side did not get.
        self.withheld: list[bytes] = []
        #: How often the push socket was refused.
        self.refused = 0
        #: The last picture that was let through.
        self.picture = b""
        self._target = (HOST, urlsplit(target).port)
        self._lie = Lie.NONE
        self._pushing: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> LyingPush:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        _shut(self._listener)
        self._listener.close()
        for connection in list(self._open):
            _shut(connection)
        self._thread.join(10)

    def lie(self, lie: Lie) -> None:
        """From now on."""
        self._lie = lie
        if lie is Lie.REFUSED:
            for connection in list(self._pushing):
                _shut(connection)

    def has_withheld(self, event: str) -> bool:
        """Whether an event of this type did not get through."""
        mark = f'{{"event":{{"type":"{event}"'.encode()
        return any(_compact(message).startswith(mark) for message in self.withheld)

    @property
    def has_shown_a_print(self) -> bool:
        """Whether something prints in the last picture that was let through."""
        return b'"printing":true' in _compact(self.picture)

    # -- connections --------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with self._kept(client), contextlib.suppress(OSError):
            head = read_head(client)
            is_push = head.startswith("GET /sockjs/")
            if is_push and self._lie is Lie.REFUSED:
                self.refused += 1
                client.sendall(answer("403 Forbidden"))
                return
            with self._kept(socket.create_connection(self._target)) as server:
                server.sendall(head.encode())
                pumping = threading.Thread(target=_pump, args=(client, server), daemon=True)
                pumping.start()
                if is_push:
                    self._push(server, client)
                else:
                    _pump(server, client)

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[socket.socket]:
        self._open.add(connection)
        try:
            yield connection
        finally:
            self._open.discard(connection)
            _shut(connection)
            connection.close()

    def _push(self, server: socket.socket, client: socket.socket) -> None:
        self._pushing.add(client)
        try:
            with server.makefile("rb") as stream:
                while (line := stream.readline()) != b"\r\n" and line:
                    client.sendall(line)
                client.sendall(b"\r\n")
                while frame := _read_frame(stream):
                    client.sendall(self._told(*frame))
            while self._lie is Lie.SILENT and client.recv(_PIECE_BYTES):
                pass  # The server is gone, and nobody gets to know.
        finally:
            self._pushing.discard(client)

    def _told(self, kind: int, frame: bytes, content: bytes) -> bytes:
        """What is sent instead of a frame."""
        is_picture = kind == _TEXT and content.startswith(_PICTURES)
        if self._lie is Lie.SILENT:
            self.withheld.append(content)
            return b""
        if self._lie is Lie.OLD_PICTURES and kind == _TEXT:
            self.withheld.append(content)
            return self.picture if is_picture else b""
        if is_picture:
            self.picture = frame
        return frame


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE_BYTES):
            target.sendall(data)
    _shut(target)


def _compact(json: bytes) -> bytes:
    return json.replace(b" ", b"")


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read_frame(stream: BinaryIO) -> tuple[int, bytes, bytes] | None:
    """Kind, frame and content; None at the end. A server's frames are not masked."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    more = {126: 2, 127: 8}.get(head[1], 0)
    extended = stream.read(more)
    size = int.from_bytes(extended, "big") if more else head[1]
    content = stream.read(size)
    return head[0] & 0x0F, head + extended + content, content
