"""The thread that makes a printer's OctoPrint calls, one after the other."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import assert_never

from pms import crash_points
from pms.domain.reconciliation import REMOTE_FOLDER
from workers.octoprint import OctoPrint
from workers.octoprint_errors import (
    OctoPrintError,
    Rejected,
    Unauthorized,
    Unreachable,
)
from workers.server_proof import KeptSession, is_taken
from workers.spec import WorkerSpec
from workers.steps import (
    Call,
    CallFailed,
    CallOutcome,
    CancelFile,
    ConnectPrinter,
    DeleteFile,
    FailureKind,
    Look,
    PauseFile,
    ProveServer,
    ResumeFile,
    ServerProof,
    StartFile,
    Stock,
    TakeStock,
)

logger = logging.getLogger(__name__)

#: OctoPrint takes longer to restart, so a session that is younger is of the server that answers.
FRESH_SESSION_S = 1.0


class NotAsked(OctoPrintError):
    """OctoPrint could not be asked to start, so it certainly has not."""

    def __init__(self, text: str) -> None:
        super().__init__(text, certainly_not_done=True)


class Caller(threading.Thread):
    """Makes calls and hands each outcome to `on_end`, from this thread."""

    def __init__(self, spec: WorkerSpec, on_end: Callable[[CallOutcome], None]) -> None:
        super().__init__(name="octoprint", daemon=True)
        self._spec = spec
        self._on_end = on_end
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._octoprint: OctoPrint | None = None
        self._kept = KeptSession(spec.session_file)

    def make(self, call: Call) -> None:
        """Queue a call."""
        self._calls.put(call)

    def stop(self) -> None:
        """End after the current call; does not wait for it."""
        self._calls.put(None)

    def run(self) -> None:
        """Make calls until stopped."""
        while (call := self._calls.get()) is not None:
            self._on_end(self._make(call))
        with contextlib.suppress(OctoPrintError):
            if self._octoprint is not None:
                self._octoprint.close()

    def _make(self, call: Call) -> CallOutcome:
        crash_points.reach(f"call_{type(call).__name__}")
        try:
            outcome = self._carry_out(self._client(), call)
        except OctoPrintError as error:
            self._log(call, error)
            return CallFailed(
                kind=_kind(error),
                text=str(error),
                certainly_not_done=error.certainly_not_done,
            )
        except Exception as error:
            # A defect; the loop must not wait for a thread that is gone.
            logger.exception("octoprint_call_broke", extra={"printer_id": self._spec.printer_id})
            return CallFailed(
                kind=FailureKind.UNREACHABLE,
                text=f"the call broke: {error}",
                certainly_not_done=False,
            )
        crash_points.reach(f"answered_{type(call).__name__}")
        return outcome

    def _carry_out(self, octoprint: OctoPrint, call: Call) -> CallOutcome:
        match call:
            case Look(path):
                return octoprint.look(path)
            case ConnectPrinter():
                octoprint.connect_printer()
            case StartFile(path):
                self._start(octoprint, path)
            case ProveServer(path):
                return self._prove(octoprint, path)
            case PauseFile():
                octoprint.pause()
            case ResumeFile():
                octoprint.resume()
            case CancelFile():
                octoprint.cancel()
            case DeleteFile(path):
                octoprint.delete(path)
            case TakeStock():
                return Stock(tuple(octoprint.files(REMOTE_FOLDER)), octoprint.free_bytes())
            case _:
                assert_never(call)
        return None

    def _start(self, octoprint: OctoPrint, path: str) -> None:
        """Have a session of this very server before it is asked to start."""
        try:
            self._keep_session(octoprint, path)
        except (OctoPrintError, OSError) as error:
            raise NotAsked(f"the start was not asked for: {error}") from error
        with crash_points.request_under_way("sent_StartFile"):
            octoprint.start(path)

    def _keep_session(self, octoprint: OctoPrint, path: str) -> None:
        """The transfer's will do if it ended just now; a server that restarts takes longer."""
        session = self._kept.recall(path)
        age_s = float("inf") if session is None else time.monotonic() - session.made_at
        # Before a reboot of this host, the clock was another one.
        if not 0 <= age_s <= FRESH_SESSION_S:
            self._kept.keep(path, octoprint.login())

    def _prove(self, octoprint: OctoPrint, path: str) -> ServerProof:
        session = self._kept.recall(path)
        same = session is not None and is_taken(
            octoprint.address, session, self._spec.http_timeout_s
        )
        return ServerProof(same)

    def _client(self) -> OctoPrint:
        if self._octoprint is None:
            self._octoprint = OctoPrint(
                self._spec.address or "",
                self._spec.api_key or "",
                timeout_s=self._spec.http_timeout_s,
            )
        return self._octoprint

    def _log(self, call: Call, error: OctoPrintError) -> None:
        level = logging.DEBUG if isinstance(call, Look) else logging.WARNING
        logger.log(
            level,
            "octoprint_call_failed",
            extra={
                "printer_id": self._spec.printer_id,
                "fields": {"call": type(call).__name__, "error": str(error)},
            },
        )


def _kind(error: OctoPrintError) -> FailureKind:
    if isinstance(error, Unauthorized):
        return FailureKind.UNAUTHORIZED
    if isinstance(error, Unreachable) and error.refused:
        return FailureKind.REFUSED
    if isinstance(error, Rejected):
        return FailureKind.REJECTED
    return FailureKind.UNREACHABLE
