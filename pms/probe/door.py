"""Who answers HTTP at an address. No API key is sent, since that may be anybody."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from http import HTTPStatus

import urllib3

from pms.probe.answers import CurrentUser, read_user
from pms.probe.reachability import Endpoint, plain_words, speaks_tls
from workers.connections import Connection
from workers.exchange import TRANSPORT_ERRORS
from workers.octoprint_errors import OctoPrintError, TimedOut, transport_error

#: Ports on which an OctoPrint is usually found, with and without TLS, and the usual prefix.
USUAL_PORTS = ((5000, False), (80, False), (443, True))
USUAL_PREFIX = "/octoprint"
ELSEWHERE_TIMEOUT_S = 1.0
PAGE_LIMIT_BYTES = 64 * 1024
_USER_URL = "/api/currentuser"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An HTTP answer, whatever it says."""

    status: int
    server: str = ""
    location: str = ""
    body: bytes = b""

    @property
    def user(self) -> CurrentUser | None:
        """What only an OctoPrint says."""
        return read_user(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """What happens when somebody knocks."""

    #: To a question that every OctoPrint answers.
    reply: Reply | None = None
    #: Why there is no reply.
    error: OctoPrintError | None = None
    #: The page that a browser gets; only looked at when the reply is not OctoPrint's.
    front: Reply | None = None
    #: The port was called without TLS, and speaks it.
    wants_tls: bool = False
    #: What came instead of HTTP.
    words: bytes = b""

    @property
    def is_octoprint(self) -> bool:
        """Whether it is an OctoPrint that answers."""
        return self.reply is not None and self.reply.user is not None

    @property
    def speaks_http(self) -> bool:
        """Whether there is any use in going on; a TLS port that is polite answers with 400."""
        answers = [answer for answer in (self.front, self.reply) if answer is not None]
        return any(answer.status != HTTPStatus.BAD_REQUEST for answer in answers)


def knock(address: str, timeout_s: float) -> Door:
    """Find out who answers at a normalized address."""
    try:
        reply = _fetch(address, _USER_URL, timeout_s)
    except TimedOut as error:
        # Whoever is silent once stays so; other questions would only take their time.
        return Door(error=error)
    except OctoPrintError as error:
        return _look_again(address, timeout_s, Door(error=error))
    door = Door(reply=reply)
    return door if door.is_octoprint else _look_again(address, timeout_s, door)


def _look_again(address: str, timeout_s: float, door: Door) -> Door:
    """Find out who it is that does not answer as an OctoPrint does."""
    with contextlib.suppress(OctoPrintError):
        door = replace(door, front=_fetch(address, "/", timeout_s))
    endpoint = Endpoint.of(address)
    if door.speaks_http or endpoint.tls:
        return door
    if speaks_tls(endpoint, timeout_s):
        return replace(door, wants_tls=True)
    return replace(door, words=plain_words(endpoint, timeout_s))


def find_elsewhere(address: str) -> str | None:
    """Another address of the same host at which an OctoPrint answers."""
    looked_at = Endpoint.of(address)
    bare = replace(looked_at, prefix="")
    by_port = [replace(bare, port=port, tls=tls) for port, tls in USUAL_PORTS]
    for endpoint in (bare, replace(bare, prefix=USUAL_PREFIX), *by_port):
        with contextlib.suppress(OctoPrintError):
            place = endpoint.address
            if endpoint != looked_at and _fetch(place, _USER_URL, ELSEWHERE_TIMEOUT_S).user:
                return place
    return None


def _fetch(address: str, url: str, timeout_s: float) -> Reply:
    """Raises OctoPrintError when no HTTP answer comes."""
    timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
    with contextlib.closing(Connection(address)) as connection:
        try:
            with connection.request("GET", url, headers={}, timeout=timeout) as response:
                return Reply(
                    status=response.status,
                    server=response.headers.get("Server", ""),
                    location=response.headers.get("Location", ""),
                    body=next(response.stream(PAGE_LIMIT_BYTES), b""),
                )
        except TRANSPORT_ERRORS as error:
            raise transport_error(error, address) from error
