"""OctoPrint's REST interface, as far as PMS uses it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from pms.domain.observation import FileFacts, Observation
from workers.address import normalize_address
from workers.exchange import Exchange
from workers.octoprint_answers import (
    ConnectionAnswer,
    FileList,
    FreeSpace,
    JobAnswer,
    LoginAnswer,
    StoredFile,
    UploadAnswer,
    agree,
    observation,
)
from workers.octoprint_errors import (
    UNREADABLE,
    BadAddress,
    Conflict,
    DiskFull,
    NotFound,
    NotOctoPrint,
    OctoPrintError,
    Rejected,
    ServerError,
    TimedOut,
    Unauthorized,
    Unreachable,
    UploadAborted,
    UploadCut,
    not_octoprint,
)
from workers.pace import Pace
from workers.upload import Abort, Content, OnProgress, UploadBody, opened

__all__ = [
    "BadAddress",
    "Conflict",
    "DiskFull",
    "NotFound",
    "NotOctoPrint",
    "OctoPrint",
    "OctoPrintError",
    "Rejected",
    "ServerError",
    "Session",
    "TimedOut",
    "Unauthorized",
    "Unreachable",
    "UploadAborted",
    "UploadCut",
    "normalize_address",
]

CONNECT_TIMEOUT_S = 5.0
FILE_LIST_LIMIT_BYTES = 16 * 1024 * 1024
#: A look reads again while the job's copy lags behind the connection, which takes milliseconds.
_LOOK_TRIES = 5
_LOOK_PAUSE_S = 0.02

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in, good for the push socket as long as the server lives."""

    name: str
    session: str = field(repr=False)
    #: When it was asked for, monotonic seconds.
    made_at: float = field(default_factory=time.monotonic, compare=False)


class OctoPrint:
    """One OctoPrint over one kept connection; for one thread at a time.

    Every call raises an OctoPrintError and takes at most `connect_timeout_s` and then `timeout_s`.
    """

    def __init__(
        self,
        address: str,
        api_key: str,
        timeout_s: float = 10.0,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        upload_bytes_per_s: float | None = None,
    ) -> None:
        """`upload_bytes_per_s`: how fast files are sent at most; None: as fast as they can be."""
        self._exchange = Exchange(address, api_key, timeout_s, connect_timeout_s)
        self.address = self._exchange.address
        self._upload_bytes_per_s = upload_bytes_per_s

    def close(self) -> None:
        """Give up the connection; a later call opens a new one."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- the server -------------------------------------------------------------

    def version(self) -> dict[str, Any]:
        """What OctoPrint says about itself: `server` and `api` are version numbers."""
        answer = self._fixed("GET", "/api/version", dict[str, Any])
        if "server" not in answer:
            raise not_octoprint(self.address, "JSON without a version")
        return answer

    def login(self) -> Session:
        """Turn the API key into a session. OctoPrint limits the rate (Rejected, status 429)."""
        made_at = time.monotonic()
        answer = self._fixed("POST", "/api/login", LoginAnswer, {"passive": True})
        return Session(name=answer.name, session=answer.session, made_at=made_at)

    # -- the printer ------------------------------------------------------------

    def look(self, path: str | None = None) -> Observation:
        """What the printer does, and the facts about one file, which are read last."""
        for _ in range(_LOOK_TRIES):
            connection = self._fixed("GET", "/api/connection", ConnectionAnswer).current
            job = self._fixed("GET", "/api/job", JobAnswer)
            if agree(connection, job):
                break
            time.sleep(_LOOK_PAUSE_S)
        return observation(connection, job, None if path is None else self.file(path))

    def connect_printer(self) -> None:
        """Let OctoPrint open its serial connection; it goes on in the background."""
        self._command("/api/connection", {"command": "connect"})

    def select(self, path: str) -> None:
        """Select the file without printing it.

        Raises Conflict when the printer prints or is not connected, and NotFound. The selection
        ends with the connection to the printer and with the server.
        """
        self._command(_file_url(path), {"command": "select", "print": False})

    def start(self, path: str) -> None:
        """Select the file and print it.

        Raises Conflict when the printer is not ready for it, and NotFound. Success means that
        OctoPrint has taken the order, not that it prints.
        """
        self._command(_file_url(path), {"command": "select", "print": True})

    def pause(self) -> None:
        """Pause the print. Raises Conflict when none is active."""
        self._command("/api/job", {"command": "pause", "action": "pause"})

    def resume(self) -> None:
        """Go on with a paused print; OctoPrint ignores it while it is still pausing."""
        self._command("/api/job", {"command": "pause", "action": "resume"})

    def cancel(self) -> None:
        """End the print. Raises Conflict when none is active."""
        self._command("/api/job", {"command": "cancel"})

    # -- its files --------------------------------------------------------------

    def file(self, path: str) -> FileFacts | None:
        """A file and its history; None when there is none."""
        # Without force, an unchanged file's answer is cached although its history has changed.
        body = self._stored(path, "force=true")
        return None if body is None else self._read(body, StoredFile).facts()

    def files(self, folder: str = "") -> list[FileFacts]:
        """All files below a folder; none when the folder does not exist."""
        body = self._stored(folder, "recursive=true")
        if body is None:
            return []
        if folder:
            return self._read(body, StoredFile).all_facts()
        return [facts for file in self._read(body, FileList).files for facts in file.all_facts()]

    def free_bytes(self) -> int | None:
        """Room on the disk that holds the files; None: OctoPrint does not say."""
        # It says so beside the list of its outermost files, which may be longer than is read.
        with contextlib.suppress(NotOctoPrint):
            body = self._stored("", "recursive=false")
            return None if body is None else self._read(body, FreeSpace).free
        return None

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is fine. Raises Conflict while it is in use."""
        try:
            self._exchange.send("DELETE", _file_url(path))
        except NotFound:
            return

    def upload(
        self,
        content: Content | Path,
        remote_path: str,
        on_progress: OnProgress,
        timeout_s: float,
        abort: Abort,
        *,
        overwrite: bool = True,
    ) -> str:
        """Store a local file, or what comes, and return the path that OctoPrint gave it.

        `timeout_s` is the longest time without progress. Raises UploadAborted once `abort()` is
        true; OctoPrint keeps the temporary file of an aborted upload for ever. Raises Conflict for
        a file that is there already, unless it may be overwritten, DiskFull, UploadCut, and what
        reading the content raises, OSError for a local file.
        """
        with opened(content) as readable:
            upload = UploadBody(
                readable,
                remote_path,
                on_progress=on_progress,
                stall_timeout_s=timeout_s,
                abort=abort,
                overwrite=overwrite,
            )
            upload.pace = Pace(self._upload_bytes_per_s)
            body = self._send_upload(upload)
        return self._read(body, UploadAnswer).files.local.path

    def _send_upload(self, upload: UploadBody) -> bytes:
        try:
            return self._exchange.send("POST", "/api/files/local", upload)
        except Unreachable as error:
            if error.certainly_not_done:
                raise
            raise UploadCut(
                f"{self.address} broke off the connection during the upload, as OctoPrint does when"
                " the disk of its temporary folder is full: free space there"
            ) from error

    # -- answers ----------------------------------------------------------------

    def _fixed(
        self, method: str, url: str, kind: type[_T], content: dict[str, Any] | None = None
    ) -> _T:
        """The answer of an address that every OctoPrint has."""
        try:
            return self._read(self._exchange.send(method, url, content), kind)
        except NotFound as error:
            raise not_octoprint(self.address, f"status 404 for {url}") from error

    def _stored(self, path: str, query: str) -> bytes | None:
        """A file or folder as it is stored; None when there is none."""
        url = f"{_file_url(path)}?{query}" if path else f"/api/files/local?{query}"
        try:
            return self._exchange.send("GET", url, limit_bytes=FILE_LIST_LIMIT_BYTES)
        except NotFound:
            return None
        except ServerError:
            # OctoPrint 1.11 fails on a path whose folder does not exist.
            if self._lacks_a_folder_of(path):
                return None
            raise

    def _lacks_a_folder_of(self, path: str) -> bool:
        outermost_first = reversed(PurePosixPath(path).parents[:-1])
        try:
            for folder in outermost_first:
                self._exchange.send(
                    "GET", _file_url(str(folder)), limit_bytes=FILE_LIST_LIMIT_BYTES
                )
        except NotFound:
            return True
        return False

    def _command(self, url: str, command: dict[str, Any]) -> None:
        body = self._exchange.send("POST", url, command)
        if body:
            self._read(body, dict[str, Any])

    def _read(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE as error:
            what = "a web page" if body.lstrip().startswith(b"<") else "unknown JSON"
            raise not_octoprint(self.address, what) from error


def _file_url(path: str) -> str:
    return f"/api/files/local/{quote(path)}"
