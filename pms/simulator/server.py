"""The port of one look-alike: it can be closed, opened again, and made to misbehave."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus

from aiohttp import hdrs, web

from pms.simulator import rest, socket_talk
from pms.simulator.call import json_response
from pms.simulator.octoprint import OctoPrint

BACKLOG = 128
KEEP_ALIVE_S = 75.0
READ_BUFFER_BYTES = 64 * 1024

_LENGTH_REQUIRED = (
    "<html><title>411: Length Required</title><body>411: Length Required</body></html>"
)


class Server:
    """Owns the listening socket and all connections to one look-alike."""

    def __init__(self, octoprint: OctoPrint, host: str, port: int) -> None:
        self.octoprint = octoprint
        self.host = host
        self._held = _bound(host, port)
        self.port: int = self._held.getsockname()[1]
        self._listening: asyncio.Server | None = None
        self._http = web.Server(
            self._handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            read_bufsize=READ_BUFFER_BYTES,
        )
        #: Set while requests are to be answered.
        self._answering = asyncio.Event()
        self._answering.set()

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._listening is not None

    async def open(self) -> None:
        """Accept connections."""
        if self._listening is None:
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(self._http, sock=self._held, backlog=BACKLOG)

    def close(self) -> None:
        """Refuse connections and cut those that exist; the port stays ours."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._held = _bound(self.host, self.port)
        self.cut()

    def cut(self) -> None:
        """Cut all connections, without a word."""
        for connection in self._http.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def hang(self, *, hangs: bool) -> None:
        """Accept everything and answer nothing, until told otherwise."""
        self.octoprint.push.silent = hangs or self.octoprint.faults.silent_push
        if hangs:
            self._answering.clear()
        else:
            self._answering.set()

    def release(self) -> None:
        """Give the port back."""
        self.close()
        self._held.close()

    # -- requests -------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self.octoprint.faults
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        await self._answering.wait()
        if request.path == "/sockjs/websocket":
            return await socket_talk.talk(self.octoprint, request)
        response = await self._answer(request)
        await self._answering.wait()
        if faults.loses_answer(request.method, request.path) and request.transport is not None:
            request.transport.abort()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self.octoprint.faults
        if faults.status and faults.concerns(request.method, request.path):
            text = HTTPStatus(faults.status).phrase
            return json_response({"error": text}, faults.status)
        if request.headers.get(hdrs.TRANSFER_ENCODING, "").lower() == "chunked":
            return web.Response(status=411, text=_LENGTH_REQUIRED, content_type="text/html")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return await rest.answer(self.octoprint, request)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the port without listening, so that connections are refused."""
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    return held
