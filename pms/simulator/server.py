"""The port of one look-alike: it can be closed, opened again, and made to misbehave."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus

from aiohttp import hdrs, web

from pms.simulator import conversation, rest
from pms.simulator.call import json_response
from pms.simulator.faults import Faults
from pms.simulator.look_alike import LookAlike

BACKLOG = 128
KEEP_ALIVE_S = 75.0
READ_BUFFER_BYTES = 256 * 1024

_WEBSOCKET = "/sockjs/websocket"
_LENGTH_REQUIRED = (
    "<html><title>411: Length Required</title><body>411: Length Required</body></html>"
)


class Server:
    """Owns the listening socket and all connections to one look-alike."""

    def __init__(self, look_alike: LookAlike, host: str, port: int) -> None:
        """Takes the port, without listening yet. Raises OSError and OverflowError."""
        self.look_alike = look_alike
        self.host = host
        self._held = _bound(host, port)
        self.port: int = self._held.getsockname()[1]
        #: How often it has been killed.
        self._life = 0
        self._running = False
        self._listening: asyncio.Server | None = None
        #: Set while requests are to be answered.
        self._answering = asyncio.Event()
        self._answering.set()
        self._http = web.Server(
            self._handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            read_bufsize=READ_BUFFER_BYTES,
        )

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    @property
    def listens(self) -> bool:
        """Whether connections are accepted."""
        return self._listening is not None

    async def start(self) -> None:
        """Run; what comes then is up to the faults."""
        self._running = True
        await self._open_or_close()

    async def kill(self) -> None:
        """End as by `kill -9`: all is forgotten but the files."""
        self._running = False
        self._life += 1
        await self._open_or_close()
        self.look_alike.kill()

    async def set_faults(self, faults: Faults) -> None:
        """Let these faults be there, and no others."""
        self.look_alike.faults = faults
        self.look_alike.push.silent = faults.hang or faults.silent_push
        if faults.hang:
            self._answering.clear()
        else:
            self._answering.set()
        await self._open_or_close()

    async def release(self) -> None:
        """Give the port back."""
        await self.kill()
        self._held.close()

    async def _open_or_close(self) -> None:
        if self._running and not self.look_alike.faults.refuse:
            if self._listening is None:
                loop = asyncio.get_running_loop()
                self._listening = await loop.create_server(
                    self._http, sock=self._held, backlog=BACKLOG
                )
            return
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            # Refused from now on, but still ours.
            self._held = _bound(self.host, self.port)
        for connection in self._http.connections:
            if connection.transport is not None:
                connection.transport.abort()

    # -- requests -------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        life, faults = self._life, self.look_alike.faults
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        await self._answering.wait()
        if life != self._life:
            return web.Response()  # to nobody: the server has been killed
        if request.path == _WEBSOCKET:
            return await conversation.talk(self.look_alike, request, self._answering)
        response = await self._answer(request)
        await self._answering.wait()
        if faults.loses_answer(request.method, request.path) and request.transport is not None:
            request.transport.abort()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self.look_alike.faults
        if faults.status and faults.concerns(request.method, request.path):
            text = HTTPStatus(faults.status).phrase
            return json_response({"error": text}, faults.status)
        if request.headers.get(hdrs.TRANSFER_ENCODING, "").lower() == "chunked":
            return web.Response(status=411, text=_LENGTH_REQUIRED, content_type="text/html")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # As if it had not been there: the answer's own head is still to come.
            request.writer.output_size = 0
        return await rest.answer(self.look_alike, request)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the port without listening, so that connections are refused."""
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except (OSError, OverflowError):
        held.close()
        raise
    return held
