"""HTTP connections that nobody can hold for longer than their timeout.

A socket's timeout starts anew with each byte. Here a whole answer, headers and body, has to come
within one timeout after the request, and an upload may take any time as long as it moves.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, cast
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.response import is_fp_closed

from pms import crash_points
from workers.upload import UploadBody

#: http.client's own blocks of 16 KiB make a 100 MB upload slower.
BLOCK_BYTES = 256 * 1024
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

#: SO_LINGER on, for zero seconds.
_DROP_ON_CLOSE = struct.pack("ii", 1, 0)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Trusts the system's authorities, those in SSL_CERT_FILE, and the usual public ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until one timeout after its creation has passed."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._raw = connected.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + (connected.gettimeout() or float("inf"))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the answer is not complete in time")
        self._socket.settimeout(None if remaining == float("inf") else remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PromptAnswer(http.client.HTTPResponse):
    """An answer that must be complete in time, however it trickles in."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        crash_points.request_sent()
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class _PatientUploads(HTTPConnection):
    """Sends an upload as slowly as the other side wants it."""

    response_class = _PromptAnswer
    _upload: UploadBody | None = None

    def connect(self) -> None:
        """Let a connection that is given up take along what it has not delivered yet.

        The kernel would go on for minutes, and a start that was given up long ago could still
        arrive, when OctoPrint can be reached again.
        """
        super().connect()
        if self.sock is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_ON_CLOSE)

    def request(self, method: str, url: str, body: Any = None, *args: Any, **options: Any) -> None:
        self._upload = body if isinstance(body, UploadBody) else None
        if self.sock is not None:
            # What the answer before this one had left.
            self.sock.settimeout(self.timeout)
        super().request(method, url, body, *args, **options)

    def send(self, data: Any) -> None:
        if self._upload is None or self.sock is None:
            super().send(data)
        else:
            self._upload.send(self.sock, data)


class _PatientTlsUploads(_PatientUploads, HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PatientUploads


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PatientTlsUploads


class Connection:
    """One kept HTTP connection to one address: no proxy, no .netrc, no cookies, no redirects.

    urllib3 alone: requests on top of it more than doubled what a request costs, which hundreds of
    processes make all the time.
    """

    def __init__(self, address: str) -> None:
        self._prefix = urlsplit(address).path
        self._pool = _open_pool(address)

    def close(self) -> None:
        """Give it up; a later request opens a new one."""
        self._pool.close()

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | UploadBody | None = None,
        timeout: urllib3.Timeout,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer, whose body is still to be read; `url` is relative to the address."""
        sized = {"Content-Length": str(len(body))} if isinstance(body, UploadBody) else {}
        response = self._pool.urlopen(
            method,
            self._prefix + url,
            # Of a file, only its `read` is used.
            cast("IO[bytes] | bytes | None", body),
            headers={**_HEADERS, **sized, **headers},
            redirect=False,
            timeout=timeout,
            preload_content=False,
        )
        try:
            yield response
        finally:
            # Of an answer that was not read to its end, the rest must not begin the next one.
            if not is_fp_closed(response):
                response.close()
            response.release_conn()


def _open_pool(address: str) -> urllib3.HTTPConnectionPool:
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    # Without a port, http.client would read one out of an IPv6 address.
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    if secure:
        return _TlsPool(host, port, ssl_context=tls_context(), blocksize=BLOCK_BYTES, retries=False)
    return _Pool(host, port, blocksize=BLOCK_BYTES, retries=False)
