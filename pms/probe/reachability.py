"""The way to a server, layer by layer: name, TCP and TLS, each tried by itself."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from workers.connections import tls_context
from workers.octoprint_errors import TimedOut

_WORDS_LIMIT_BYTES = 256
#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where an address leads to."""

    host: str
    port: int
    tls: bool
    #: Under which a proxy shows OctoPrint; empty or with a slash at its beginning.
    prefix: str = ""

    @classmethod
    def of(cls, address: str) -> Endpoint:
        """Read a normalized address."""
        parts = urlsplit(address)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(host=parts.hostname or "", port=port, tls=tls, prefix=parts.path)

    @property
    def address(self) -> str:
        """With the port, whether it is the usual one or not."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{self.prefix}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """For whom a server's certificate is, and until when; times in seconds since 1970."""

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float


def resolve(endpoint: Endpoint, timeout_s: float) -> list[str]:
    """The IP addresses of the host. Raises socket.gaierror, and TimedOut."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            answers.put([str(target[0]) for *_, target in found])
        except OSError as error:
            answers.put(error)

    # A look-up has no timeout of its own.
    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty as error:
        raise TimedOut(f"looking up {endpoint.host} took more than {timeout_s:g} s") from error
    if isinstance(answer, OSError):
        raise answer
    return list(dict.fromkeys(answer))


def connect(endpoint: Endpoint, timeout_s: float) -> str:
    """Open a TCP connection and give the IP address that took it. Raises OSError."""
    with _connected(endpoint, timeout_s) as connection:
        return str(connection.getpeername()[0])


def handshake(endpoint: Endpoint, timeout_s: float) -> tuple[str, Certificate]:
    """The TLS version and the certificate, when PMS would trust it. Raises OSError."""
    with _secured(endpoint, tls_context(), timeout_s) as connection:
        return connection.version() or "TLS", _certificate(connection)


def read_certificate(endpoint: Endpoint, timeout_s: float) -> Certificate | None:
    """A certificate that PMS does not trust; None when it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        # Python explains only trusted certificates, so this one is trusted by itself.
        context = ssl.create_default_context(cadata=_presented(endpoint, timeout_s))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        with _secured(endpoint, context, timeout_s) as connection:
            return _certificate(connection)
    return None


def speaks_tls(endpoint: Endpoint, timeout_s: float) -> bool:
    """Whether the port answers a TLS greeting."""
    with contextlib.suppress(OSError):
        _presented(endpoint, timeout_s)
        return True
    return False


def plain_words(endpoint: Endpoint, timeout_s: float) -> bytes:
    """The first bytes that the port says to plain HTTP; none: it says nothing."""
    with contextlib.suppress(OSError), _connected(endpoint, timeout_s) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {endpoint.host}\r\n\r\n".encode())
        return connection.recv(_WORDS_LIMIT_BYTES)
    return b""


def _connected(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port), timeout_s)


@contextlib.contextmanager
def _secured(
    endpoint: Endpoint, context: ssl.SSLContext, timeout_s: float
) -> Iterator[ssl.SSLSocket]:
    with (
        _connected(endpoint, timeout_s) as connection,
        context.wrap_socket(connection, server_hostname=endpoint.host) as secured,
    ):
        yield secured


def _presented(endpoint: Endpoint, timeout_s: float) -> bytes:
    """The server's certificate as it is sent, whoever vouches for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _secured(endpoint, context, timeout_s) as connection:
        return connection.getpeercert(binary_form=True) or b""


def _certificate(connection: ssl.SSLSocket) -> Certificate:
    facts: dict[str, Any] = connection.getpeercert() or {}
    return Certificate(
        names=tuple(name for _, name in facts.get("subjectAltName", ())),
        issuer=", ".join(value for part in facts.get("issuer", ()) for _, value in part),
        not_before=ssl.cert_time_to_seconds(facts["notBefore"]),
        not_after=ssl.cert_time_to_seconds(facts["notAfter"]),
    )
