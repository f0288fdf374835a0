"""What can go wrong with an OctoPrint, in words for the person who runs the farm."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
import urllib3

from pms.errors import PMSError

#: What decoding foreign JSON can raise.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: Foreign text in an error message is cut to this many characters.
QUOTE_LIMIT = 200
#: No space left on the device, and disk quota exceeded, as Python says them.
_DISK_FULL = re.compile(r"\[Errno (28|122)\]|No space left")


class OctoPrintError(PMSError):
    """OctoPrint could not be asked, or did not do what it was asked for.

    `certainly_not_done`: the request had no effect. When it is false, the request may or may not
    have been carried out.
    """

    def __init__(self, text: str, *, certainly_not_done: bool = False) -> None:
        super().__init__(text)
        self.certainly_not_done = certainly_not_done


class BadAddress(OctoPrintError):
    """The printer's address cannot be used."""

    def __init__(self, text: str) -> None:
        super().__init__(text, certainly_not_done=True)


class Unreachable(OctoPrintError):
    """No connection, or one that broke; `refused` when nothing listens at the address."""

    def __init__(
        self, text: str, *, refused: bool = False, certainly_not_done: bool = False
    ) -> None:
        super().__init__(text, certainly_not_done=certainly_not_done)
        self.refused = refused


class TimedOut(OctoPrintError):
    """No complete answer came in time."""


class NotOctoPrint(OctoPrintError):
    """Something answers, but not as OctoPrint does."""


class ServerError(OctoPrintError):
    """OctoPrint answered that it failed (5xx)."""


class DiskFull(ServerError):
    """OctoPrint answered that it has no room."""


class UploadCut(Unreachable):
    """The connection broke during an upload, as it does when OctoPrint cannot keep the bytes."""


class Rejected(OctoPrintError):
    """OctoPrint said no (4xx)."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text, certainly_not_done=True)
        self.status = status


class Unauthorized(Rejected):
    """OctoPrint does not accept the API key, or its user lacks the permission."""


class NotFound(Rejected):
    """There is no such file."""


class Conflict(Rejected):
    """OctoPrint's or the printer's state does not allow it."""


class UploadAborted(OctoPrintError):
    """The caller asked for the end of an upload."""


def one_line(text: str, secret: str = "") -> str:
    """Foreign text fit for an error message: bounded, printable, without the secret."""
    if secret:
        text = text.replace(secret, "***")
    words = " ".join(text.split())
    printable = "".join(character for character in words if character.isprintable())
    return printable if len(printable) <= QUOTE_LIMIT else printable[: QUOTE_LIMIT - 1] + "…"


def transport_error(error: Exception, address: str) -> OctoPrintError:
    """The reason why no answer came, from what urllib3 or a socket raised."""
    causes = list(_causes(error))
    never_sent = any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in causes)
    for cause in causes:
        translated = _known_cause(cause, address, never_sent)
        if translated is not None:
            return translated
    return Unreachable(
        f"{address} cannot be reached: {one_line(_last_words(causes))}",
        certainly_not_done=never_sent,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exceptions wrapped in this one, itself first."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = [cause.__cause__, getattr(cause, "reason", None), *cause.args]
        waiting += [inner for inner in wrapped if isinstance(inner, BaseException)]


def _known_cause(cause: BaseException, address: str, never_sent: bool) -> OctoPrintError | None:
    known: OctoPrintError | None = None
    match cause:
        case socket.gaierror():
            text = f"{address}: the host name is not known; check the printer's ip_address"
            known = Unreachable(text, certainly_not_done=True)
        case ConnectionRefusedError():
            text = f"{address} refuses the connection; is OctoPrint running there?"
            known = Unreachable(text, refused=True, certainly_not_done=True)
        case urllib3.exceptions.NewConnectionError():
            # Also a ConnectTimeoutError by its class; the cause behind it is what happened.
            known = None
        case urllib3.exceptions.ConnectTimeoutError():
            text = f"{address} does not answer; is it switched on and in the network?"
            known = TimedOut(text, certainly_not_done=True)
        case ssl.SSLError():
            known = _tls_error(cause, address)
        case TimeoutError() | urllib3.exceptions.ReadTimeoutError():
            text = f"{address} gave no complete answer in time; OctoPrint may hang"
            known = TimedOut(text, certainly_not_done=never_sent)
        case http.client.RemoteDisconnected() | http.client.IncompleteRead() | ConnectionError():
            known = Unreachable(f"{address} broke off the connection before it had answered")
        case http.client.HTTPException() | urllib3.exceptions.DecodeError():
            known = not_octoprint(address, "no HTTP")
    return known


def _tls_error(error: ssl.SSLError, address: str) -> OctoPrintError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(
            f"{address}: its TLS certificate is not trusted ({one_line(error.verify_message)}); "
            "add its authority to the system's trust store or name it in SSL_CERT_FILE",
            certainly_not_done=True,
        )
    return Unreachable(
        f"{address}: no TLS connection ({one_line(error.reason or str(error))}); "
        "is the address rather http://…?"
    )


def _last_words(causes: list[BaseException]) -> str:
    """The innermost system error says it best."""
    systems = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return systems[-1] if systems else type(causes[-1]).__name__


def not_octoprint(address: str, what: str) -> NotOctoPrint:
    """An answer that OctoPrint would not give."""
    return NotOctoPrint(
        f"{address} answers, but not as OctoPrint does ({what}); "
        "it may still be starting, or the printer's ip_address is another device's"
    )


def redirected(address: str, location: str) -> NotOctoPrint:
    """A redirect is not followed: it would carry the API key to somebody else."""
    try:
        parts = urlsplit(location)
        target = f"{parts.scheme or 'http'}://{parts.hostname}" if parts.hostname else ""
        port = f":{parts.port}" if parts.port else ""
        named = one_line(f"{target}{port if target else ''}{parts.path}")
    except ValueError:
        named = "a malformed address"
    return NotOctoPrint(
        f"{address} redirects to {named or 'nowhere'}; "
        "set the printer's ip_address to where OctoPrint itself answers"
    )


class _ErrorAnswer(msgspec.Struct):
    error: str = ""


def refusal(address: str, status: int, body: bytes, *, is_get: bool, key: str) -> OctoPrintError:
    """The error for an answer from 400 on, with OctoPrint's own words."""
    said = _words_of(body, key)
    if status == HTTPStatus.INSUFFICIENT_STORAGE or _DISK_FULL.search(said):
        return DiskFull(
            f"{address}: OctoPrint's disk is full (status {status}): delete files there"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError(f"{address} failed with status {status}{said and ': ' + said}")
    csrf = status == HTTPStatus.BAD_REQUEST and not is_get and said == "CSRF validation failed"
    if csrf or status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(f"{address} does not accept the printer's api_key", status)
    if status == HTTPStatus.FORBIDDEN:
        return Unauthorized(
            f"{address} does not accept the printer's api_key, or its user lacks the permission",
            status,
        )
    kinds: dict[int, type[Rejected]] = {
        HTTPStatus.NOT_FOUND: NotFound,
        HTTPStatus.CONFLICT: Conflict,
    }
    kind = kinds.get(status, Rejected)
    return kind(f"{address} refuses with status {status}{said and ': ' + said}", status)


def _words_of(body: bytes, key: str) -> str:
    """OctoPrint's own explanation, where the answer holds one."""
    try:
        return one_line(msgspec.json.decode(body, type=_ErrorAnswer).error, key)
    except UNREADABLE:
        return ""
