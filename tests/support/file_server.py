"""OpenFarm's file server as far as PMS knows it, with its good and its bad days."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.gcode import Content, Gcode
from tests.support.ports import HOST

PREFIX = "/api/gcode/"


@dataclass(kw_only=True)
class Stored:
    """One job's file and how it is delivered; may be changed while the server runs."""

    content: Content
    #: With a Content-Length; otherwise chunked, as the real server may answer.
    with_length: bool = False
    #: Answer 500 to so many more requests.
    failures: int = 0
    #: Break off so many more answers, behind `cut_after` bytes.
    cuts: int = 0
    cut_after: int = 1024
    #: Pause before each piece of 64 KiB.
    pause_s: float = 0.0
    #: While it is not set, an answer stands still: behind its headers, or wherever it is.
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came, and how it was answered."""

    path: str
    status: int


class FileServer:
    """A threaded server inside the test process; its memory does not grow with a file's size."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._stored: dict[str, Stored] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"FILE_SERVER_BASE_URL": self.base_url}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it, answers in progress included."""
        self._stopping.set()
        for stored in self._stored.values():
            stored.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, job_id: int, content: Content | bytes, **delivery: Any) -> Stored:
        """Have a file for a job; `delivery` are fields of Stored. Other jobs are answered 404."""
        content = Gcode(content=content) if isinstance(content, bytes) else content
        stored = self._stored[str(job_id)] = Stored(content=content, **delivery)
        return stored

    def requests_for(self, job_id: int) -> list[Request]:
        """What was asked for a job's file, in order."""
        paths = {f"{PREFIX}{job_id}", f"{PREFIX}{job_id}/bytes"}
        return [request for request in self.requests if request.path in paths]

    def find(self, path: str) -> Stored | None:
        """The file that a path names."""
        return self._stored.get(path.removeprefix(PREFIX).removesuffix("/bytes"))

    def record(self, path: str, status: int) -> None:
        self.requests.append(Request(path=path, status=status))

    def takes_failure(self, stored: Stored) -> bool:
        """Whether this request is one of those to be answered 500."""
        with self._lock:
            stored.failures -= 1
            return stored.failures >= 0

    def takes_cut(self, stored: Stored) -> bool:
        """Whether this answer is one of those to be broken off."""
        with self._lock:
            stored.cuts -= 1
            return stored.cuts >= 0

    def pieces(self, stored: Stored) -> Iterator[bytes]:
        """The content at the pace that was asked for."""
        for chunk in stored.content.chunks():
            stored.gate.wait()
            if stored.pause_s:
                self._stopping.wait(stored.pause_s)
            if self._stopping.is_set():
                return
            yield chunk


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: FileServer) -> None:
        self.owner = owner
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        owner = self.server.owner
        stored = owner.find(self.path)
        if stored is None:
            self._fail(404, "No G-code of this job is stored.")
        elif owner.takes_failure(stored):
            self._fail(500, "The storage is busy.")
        else:
            owner.record(self.path, 200)
            self._deliver(stored)

    def log_message(self, format: str, *args: Any) -> None:
        """The requests are recorded instead."""

    def _fail(self, status: int, text: str) -> None:
        self.server.owner.record(self.path, status)
        body = json.dumps({"error": text}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _deliver(self, stored: Stored) -> None:
        as_bytes = self.path.endswith("/bytes")
        chunked = not (stored.with_length or as_bytes)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if as_bytes else "text/plain")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(stored.content.size))
        self.end_headers()
        if self._send(stored, chunked):
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")
        else:
            self.close_connection = True

    def _send(self, stored: Stored, chunked: bool) -> bool:
        """Send the content; gives whether all of it was sent."""
        owner = self.server.owner
        left = stored.cut_after if owner.takes_cut(stored) else stored.content.size
        whole = left == stored.content.size
        for piece in owner.pieces(stored):
            part = piece[:left]
            left -= len(part)
            if part:
                self._write(part, chunked)
            if left == 0 and not whole:
                return False
        return whole and left == 0

    def _write(self, part: bytes, chunked: bool) -> None:
        if chunked:
            self.wfile.write(b"%x\r\n" % len(part))
        self.wfile.write(part)
        if chunked:
            self.wfile.write(b"\r\n")
