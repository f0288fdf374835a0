"""Where a job's G-code comes from: OpenFarm's file server, or a folder of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from pms.errors import PMSError

CHUNK_BYTES = 256 * 1024

#: Of the answers from 400 to 499 those after which the same request may succeed.
_PASSING_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
#: What a proxy, or a web application that answers every path, sends in place of G-code.
_FOREIGN_TYPES = frozenset({"text/html", "application/json", "application/problem+json"})


class GcodeError(PMSError):
    """A job's G-code cannot be had."""


class GcodeMissing(GcodeError):
    """The source has no G-code for the job, or refuses it; a person has to see to it."""


class GcodeUnusable(GcodeError):
    """There is G-code for the job, but nothing in it that prints."""


class GcodeUnavailable(GcodeError):
    """The G-code cannot be had just now; the same request may succeed later."""


class GcodeAborted(GcodeError):
    """The caller asked for the end before the G-code was there."""


@dataclass(frozen=True, slots=True)
class GcodeStream:
    """A job's G-code on its way from a source."""

    #: In order; none is empty. Raise GcodeUnavailable when the source fails on the way.
    chunks: Iterator[bytes]
    #: In bytes; None when the source does not announce it.
    size: int | None


class GcodeSource(Protocol):
    """Something that has the G-code of jobs."""

    def locate(self, job_id: int) -> str:
        """Where the job's G-code is, without secrets; the same place has the same name."""

    def open(self, job_id: int) -> AbstractContextManager[GcodeStream]:
        """Start to read the job's G-code.

        Raises GcodeMissing or GcodeUnavailable.
        """


class LocalSource:
    """A folder of this host that holds `job_<id>.gcode`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def locate(self, job_id: int) -> str:
        """The path of the job's file."""
        return str(self._folder / f"job_{job_id}.gcode")

    @contextmanager
    def open(self, job_id: int) -> Iterator[GcodeStream]:
        """Read the job's file; raises GcodeMissing when there is none, else GcodeUnavailable."""
        path = Path(self.locate(job_id))
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise GcodeMissing(
                f"job {job_id}: there is no file {path}; put it there or reject the job"
            ) from error
        except OSError as error:
            raise _unreadable(job_id, path, error) from error
        with file:
            yield GcodeStream(_blocks(file.read, job_id, path), path.stat().st_size)


class FileServerSource:
    """OpenFarm's file server; `timeout_s` limits each wait for its next bytes."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        parts = urlsplit(base_url)
        userinfo, _, host = parts.netloc.rpartition("@")
        # Kept apart from the address, so that no exception and no log can quote them.
        self._credentials = _credentials(userinfo)
        self._address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._timeout_s = timeout_s

    def locate(self, job_id: int) -> str:
        """The URL of the job's G-code, without user and password."""
        return f"{self._address}/api/gcode/{job_id}"

    @contextmanager
    def open(self, job_id: int) -> Iterator[GcodeStream]:
        """Ask for the job's G-code; raises GcodeMissing or GcodeUnavailable."""
        with _Session() as session, self._ask(session, job_id) as response:
            _check_status(response, job_id, self.locate(job_id))
            _check_content(response, job_id, self.locate(job_id))
            yield GcodeStream(self._chunks(response, job_id), response.raw.length_remaining)

    def _ask(self, session: requests.Session, job_id: int) -> requests.Response:
        try:
            return session.get(
                self.locate(job_id),
                auth=self._credentials,
                timeout=self._timeout_s,
                stream=True,
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(job_id, error) from error

    def _chunks(self, response: requests.Response, job_id: int) -> Iterator[bytes]:
        try:
            # Whatever has come, at once: a slow server must not hide that it makes progress.
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable(job_id, error) from error

    def _unavailable(self, job_id: int, error: Exception) -> GcodeUnavailable:
        reason = _reason(error, self._timeout_s)
        return GcodeUnavailable(f"job {job_id}: {self.locate(job_id)} {reason}")


class _Session(requests.Session):
    """Takes nothing from the environment: no proxy, no .netrc."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # An upload needs the bytes themselves, and their number is what the length must be.
        self.headers["Accept-Encoding"] = "identity"

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is followed, nor is the body of one read to its end."""


def _credentials(userinfo: str) -> tuple[str, str] | None:
    user, _, password = userinfo.partition(":")
    return (unquote(user), unquote(password)) if userinfo else None


def _check_status(response: requests.Response, job_id: int, url: str) -> None:
    status = response.status_code
    if status == HTTPStatus.NOT_FOUND:
        raise GcodeMissing(
            f"job {job_id}: the file server has no G-code for it ({url} answers 404);"
            " upload the file again or reject the job"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING_STATUSES:
        raise GcodeUnavailable(
            f"job {job_id}: the file server cannot give the G-code now ({url} answers {status});"
            " if this goes on, look at the file server's log"
        )
    if status != HTTPStatus.OK:
        raise GcodeMissing(
            f"job {job_id}: the file server does not give the G-code ({url} answers {status});"
            " check FILE_SERVER_BASE_URL and the file server's log"
        )


def _check_content(response: requests.Response, job_id: int, url: str) -> None:
    """Refuse what would reach the printer as nonsense."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if kind in _FOREIGN_TYPES or encoding != "identity":
        raise GcodeMissing(
            f"job {job_id}: {url} answers with {kind} ({encoding}) instead of plain G-code;"
            " check that FILE_SERVER_BASE_URL is the file server's"
        )


def _reason(error: Exception, timeout_s: float) -> str:
    """Why no bytes came, from what requests or urllib3 raised."""
    cause = error.args[0] if error.args else error
    match getattr(cause, "reason", error):
        case urllib3.exceptions.NameResolutionError():
            return "cannot be reached: unknown host name; check FILE_SERVER_BASE_URL"
        case urllib3.exceptions.NewConnectionError():
            return "cannot be reached; does the file server run?"
        case requests.Timeout() | urllib3.exceptions.TimeoutError():
            return f"has sent nothing for {timeout_s:g} s; is the file server up?"
        case urllib3.exceptions.SSLError():
            return "cannot be reached: TLS fails; is its certificate valid and trusted?"
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
            return "is not a usable address; check FILE_SERVER_BASE_URL"
        case _:
            return "broke off the connection before the end of the G-code"


def _blocks(read: Callable[[int], bytes], job_id: int, path: Path) -> Iterator[bytes]:
    try:
        while block := read(CHUNK_BYTES):
            yield block
    except OSError as error:
        raise _unreadable(job_id, path, error) from error


def _unreadable(job_id: int, path: Path, error: OSError) -> GcodeUnavailable:
    return GcodeUnavailable(
        f"job {job_id}: {path} cannot be read ({error.strerror}); check the file's rights"
    )
