"""Brings a job's G-code onto one OctoPrint; runs in a thread of its own for as long as it takes."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable

from pms import crash_points
from pms.domain.backoff import backoff_s
from pms.domain.states import TransferProblem
from pms.errors import PMSError
from workers.gcode import CachedGcode, GcodeCache
from workers.gcode_sources import (
    FileServerSource,
    GcodeMissing,
    GcodeSource,
    GcodeUnusable,
    LocalSource,
)
from workers.octoprint import OctoPrint, Session
from workers.octoprint_errors import (
    Conflict,
    DiskFull,
    OctoPrintError,
    UploadAborted,
    UploadCut,
)
from workers.server_proof import KeptSession
from workers.spec import WorkerSpec
from workers.steps import BeginTransfer, TransferOutcome

logger = logging.getLogger(__name__)

#: Often enough to show that a slow file server has not stopped.
FETCH_REPORT_INTERVAL_S = 1.0


class WrongFileError(PMSError):
    """OctoPrint holds another file than the one that was sent."""


class ChangedFileError(PMSError):
    """A job's file has changed between its copies."""


class NoRoomError(PMSError):
    """OctoPrint's disk has no room for the file."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"OctoPrint has {_megabytes(free)} free, the G-code needs {_megabytes(needed)}:"
            " delete files there"
        )
        self.needed = needed


class Transfer(threading.Thread):
    """One transfer: into the cache, from there to OctoPrint, and a comparison of both.

    The outcome is handed to `on_end` from this thread, unless the transfer was aborted.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        request: BeginTransfer,
        *,
        on_fetch: Callable[[int], None],
        on_progress: Callable[[int, int], None],
        on_end: Callable[[TransferOutcome], None],
    ) -> None:
        super().__init__(name=f"transfer-{request.attempt_id}", daemon=True)
        self._spec = spec
        self._request = request
        self._on_fetch = on_fetch
        self._on_progress = on_progress
        self._on_end = on_end
        self._report_at = 0.0
        self._sending = False
        self._aborted = threading.Event()
        self._kept = KeptSession(spec.session_file)
        self._cache = GcodeCache(spec.cache_folder, spec.cache_bytes)

    def abort(self) -> None:
        """End soon; no outcome will be handed over."""
        self._aborted.set()

    def run(self) -> None:
        """Try until it succeeds, is hopeless, or the retries are used up."""
        try:
            outcome = self._attempt_repeatedly()
        except Exception as error:
            # A defect; the copy must not wait for a thread that is gone.
            logger.exception("transfer_broke", extra={"printer_id": self._spec.printer_id})
            outcome = self._failed(TransferProblem.UPLOAD_FAILED, error)
        if not self._aborted.is_set():
            self._on_end(outcome)
        # Nothing waits for it, however much there is in the cache.
        self._cache.tidy()

    def _attempt_repeatedly(self) -> TransferOutcome:
        failures = 0
        while True:
            try:
                return self._transfer(at_once=failures == 0)
            except (GcodeMissing, GcodeUnusable) as error:
                return self._failed(TransferProblem.GCODE_UNUSABLE, error)
            except ChangedFileError as error:
                self._cache.discard(self._request.job_id)
                return self._failed(TransferProblem.GCODE_UNUSABLE, error)
            except NoRoomError as error:
                return self._failed(TransferProblem.NO_ROOM, error, bytes_needed=error.needed)
            except PMSError as error:
                failures += 1
                if isinstance(error, WrongFileError):
                    # The copy in the cache may have rotted on the disk.
                    self._cache.discard(self._request.job_id)
                self._log(error, failures)
                if failures > self._spec.transfer_retries or self._aborted.is_set():
                    return self._failed(_blame(error), error)
            # The sequence need not be unpredictable, only different for each process.
            self._aborted.wait(backoff_s(failures, random.random()))

    def _transfer(self, *, at_once: bool) -> TransferOutcome:
        """`at_once`: send what has come before all of it has come, or has been examined.

        That is for the first try only. OctoPrint keeps for ever what it has received of an upload
        that ends early, so a file server that breaks off must not do that to it again and again.
        """
        with (
            self._cache.fetch(
                self._request.job_id,
                self._source(),
                at_once=at_once,
                check=self._compare_with_earlier_copies,
                on_progress=self._fetched,
                abort=self._aborted.is_set,
            ) as gcode,
            OctoPrint(
                self._spec.address or "",
                self._spec.api_key or "",
                timeout_s=self._spec.http_timeout_s,
                upload_bytes_per_s=self._spec.transfer_rate,
            ) as octoprint,
        ):
            # While the G-code comes. One request less, where OctoPrint can be trusted to refuse
            # what is there already; if not, a second try clears it away.
            is_new = at_once and self._request.is_new
            if not is_new:
                _clear_away(octoprint, self._request.remote_path)
            free = octoprint.free_bytes()
            session = octoprint.login()
            size = gcode.wait_for_size()
            if free is not None and free < size:
                raise NoRoomError(needed=size, free=free)
            self._sending = True
            try:
                path = octoprint.upload(
                    gcode,
                    self._request.remote_path,
                    on_progress=self._on_progress,
                    timeout_s=self._spec.upload_timeout_s,
                    abort=self._aborted.is_set,
                    overwrite=not is_new,
                )
            finally:
                self._sending = False
            crash_points.reach("uploaded")
            facts = gcode.facts()
            _verify(octoprint, path, facts)
            self._leave_evidence(octoprint, path, session)
        return TransferOutcome(
            attempt_id=self._request.attempt_id,
            remote_path=path,
            size=facts.size,
            sha1=facts.sha1,
            finish_marker=facts.finish_marker,
        )

    def _fetched(self, received: int, _size: int | None) -> None:
        """Once it is being sent, that is reported instead."""
        now = time.monotonic()
        if now >= self._report_at and not self._sending:
            self._report_at = now + FETCH_REPORT_INTERVAL_S
            self._on_fetch(received)

    def _compare_with_earlier_copies(self, gcode: CachedGcode) -> None:
        if self._request.expected_sha1 not in (None, gcode.sha1):
            raise ChangedFileError(
                f"the G-code of job {self._request.job_id} is another one than its earlier copies"
                " were made from: bring the first one back, or cancel the job"
            )

    def _leave_evidence(self, octoprint: OctoPrint, path: str, session: Session) -> None:
        """From before anybody asks for the start, so that its fate can be told after a crash.

        A session that is still taken, and a selection that still holds, show later that neither
        the server nor its connection to the printer has ended since.
        """
        self._kept.keep(path, session)
        with contextlib.suppress(Conflict):
            octoprint.select(path)

    def _source(self) -> GcodeSource:
        base_url = self._spec.file_server_base_url
        if base_url is not None:
            return FileServerSource(base_url, self._spec.http_timeout_s)
        return LocalSource(self._spec.gcode_folder)

    def _failed(
        self, problem: TransferProblem, error: Exception, bytes_needed: int | None = None
    ) -> TransferOutcome:
        return TransferOutcome(
            attempt_id=self._request.attempt_id,
            problem=problem,
            detail=str(error),
            bytes_needed=bytes_needed,
        )

    def _log(self, error: PMSError, failures: int) -> None:
        if self._aborted.is_set() or isinstance(error, UploadAborted):
            return
        logger.warning(
            "transfer_failed",
            extra={
                "printer_id": self._spec.printer_id,
                "job_id": self._request.job_id,
                "print_id": self._request.print_id,
                "attempt_id": self._request.attempt_id,
                "fields": {"error": str(error), "failures": failures},
            },
        )


def _blame(error: PMSError) -> TransferProblem:
    if isinstance(error, DiskFull | UploadCut):
        return TransferProblem.NO_ROOM
    if isinstance(error, OctoPrintError | WrongFileError):
        return TransferProblem.UPLOAD_FAILED
    return TransferProblem.GCODE_UNAVAILABLE


def _clear_away(octoprint: OctoPrint, path: str) -> None:
    """Remove what an earlier database or upload has left under this name.

    OctoPrint keeps the print history of a file that is replaced by one of the same content, and
    a copy that was printed in another life would count as this one. Of an upload for which the
    disk is too small it keeps what it could store, for ever.
    """
    if octoprint.file(path) is not None:
        octoprint.delete(path)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _verify(octoprint: OctoPrint, path: str, gcode: CachedGcode) -> None:
    """Compare what OctoPrint has stored with what was sent."""
    stored = octoprint.file(path)
    if stored is None or (stored.size, stored.sha1) != (gcode.size, gcode.sha1):
        raise WrongFileError(
            f"OctoPrint holds another file as {path} than the {gcode.size} bytes that were sent;"
            " it will be sent again"
        )
    if stored.was_printed:
        # It keeps the history of a file whose folder was deleted, but not that of a deleted file.
        raise WrongFileError(
            f"OctoPrint remembers prints of an earlier file {path}; it will be sent again"
        )
