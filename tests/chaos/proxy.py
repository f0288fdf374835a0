"""TCP proxies between PMS and the servers that it needs, as bad as a network can be.

All proxies of a run live in one thread with one event loop; their modes may be changed from any
other thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.support.ports import HOST, free_port

PIECE_BYTES = 64 * 1024
LOOK_INTERVAL_S = 0.02
CALL_TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What a proxy does with connections and with what comes over them."""

    PASS = "pass"
    #: Nobody listens; connections that are there are reset.
    REFUSE = "refuse"
    #: Accept and never answer; what was sent is lost, and the connection with it at the end.
    SWALLOW = "swallow"
    #: Accept and never answer; what was sent arrives when it is over, wanted or not.
    HOLD = "hold"
    #: So many bytes a second and direction.
    THROTTLE = "throttle"
    #: Half of an answer, then a reset.
    CUT = "cut"


@dataclass(eq=False)
class _Connection:
    writers: list[asyncio.StreamWriter]
    #: Bytes of it were thrown away: nothing that follows would make sense.
    spoiled: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def reset(self) -> None:
        """End both sides as a crash would, without a goodbye."""
        for writer in self.writers:
            sock = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Proxy:
    """One listening port in front of one server. Made by `Proxies`."""

    def __init__(self, owner: Proxies, name: str, target_port: int) -> None:
        self.name = name
        self.port = free_port()
        self._owner = owner
        self._target_port = target_port
        self._mode = Mode.PASS
        self._rate = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def set_mode(self, mode: Mode, rate: int = 0) -> None:
        """Behave like this from now on; `rate` in bytes a second for THROTTLE."""
        self._owner.call(self._set_mode(mode, rate))

    def reset(self) -> None:
        """Reset the connections that are there."""
        self._owner.call(self._reset())

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _set_mode(self, mode: Mode, rate: int) -> None:
        self._mode, self._rate = mode, rate
        if mode is Mode.REFUSE:
            await self.close()
        elif self._server is None:
            await self.open()
        if mode is not Mode.SWALLOW:
            for connection in [c for c in self._connections if c.spoiled]:
                connection.reset()

    async def _reset(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection([writer])
        self._connections.add(connection)
        try:
            await self._connect(connection, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _connect(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while self._mode in (Mode.HOLD, Mode.SWALLOW):
            connection.spoiled = self._mode is Mode.SWALLOW or connection.spoiled
            await asyncio.sleep(LOOK_INTERVAL_S)
        answers, requests = await asyncio.open_connection(HOST, self._target_port)
        connection.writers.append(requests)
        there = asyncio.create_task(self._pump(connection, reader, requests, answers=False))
        back = asyncio.create_task(self._pump(connection, answers, writer, answers=True))
        # Where one side has ended, the other one may still have something to say.
        _, waiting = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(waiting, timeout=1.0)
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        while data := await reader.read(self._piece_bytes()):
            while self._mode is Mode.HOLD:
                await asyncio.sleep(LOOK_INTERVAL_S)
            if self._mode is Mode.SWALLOW:
                connection.spoiled = True
                continue
            if self._mode is Mode.CUT and answers:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                connection.reset()
                return
            if self._mode is Mode.THROTTLE:
                await asyncio.sleep(len(data) / self._rate)
            writer.write(data)
            await writer.drain()
        if connection.spoiled:
            await asyncio.sleep(3600)
        with suppress(OSError):
            writer.write_eof()

    def _piece_bytes(self) -> int:
        return max(1, self._rate // 10) if self._mode is Mode.THROTTLE else PIECE_BYTES


class Proxies:
    """The thread of all proxies."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self.all: dict[str, Proxy] = {}

    def add(self, name: str, target_port: int) -> Proxy:
        """A new proxy in front of a server on this host, open already."""
        proxy = self.all[name] = Proxy(self, name, target_port)
        self.call(proxy.open())
        return proxy

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the proxies' thread, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    def heal(self) -> None:
        """Let everything through again."""
        for proxy in self.all.values():
            proxy.set_mode(Mode.PASS)

    def close(self) -> None:
        for proxy in self.all.values():
            self.call(proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
