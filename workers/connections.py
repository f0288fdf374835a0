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
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from pms import crash_points
from workers.upload import UploadBody

#: http.client's own blocks of 16 KiB make a 100 MB upload slower.
BLOCK_BYTES = 256 * 1024


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


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=BLOCK_BYTES, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _TlsAdapter(_Adapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=tls_context(), **options)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is followed, nor is the body of one read to its end."""


def open_session(address: str) -> requests.Session:
    """A session for one address: one connection, no proxy or .netrc from the environment,
    no cookies, no redirects."""
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["Accept-Encoding"] = "identity"
    adapter = _TlsAdapter if address.startswith("https:") else _Adapter
    session.mount(f"{address}/", adapter(pool_connections=1, pool_maxsize=1))
    return session
