"""The events of one attempt, as they are put to the coordinator."""

from __future__ import annotations

from pms.bus.messages import (
    CommandRefused,
    PrintCancelled,
    PrintCleared,
    PrintFailed,
    PrintFinished,
    PrintPaused,
    PrintResumed,
    PrintStarted,
    PrintStarting,
    TransferFinished,
)
from workers.steps import Moment, TransferOutcome


class Wording:
    """Makes the events of an attempt; each method's name is what has happened."""

    def __init__(self, attempt_id: int) -> None:
        self._attempt_id = attempt_id

    def transferred(self, outcome: TransferOutcome, now: Moment) -> TransferFinished:
        """The transfer has ended, well or badly."""
        return TransferFinished(
            at=now.utc,
            attempt_id=self._attempt_id,
            remote_path=outcome.remote_path,
            size=outcome.size,
            sha1=outcome.sha1,
            finish_marker=outcome.finish_marker,
            problem=outcome.problem,
            detail=outcome.detail,
        )

    def starting(self, now: Moment) -> PrintStarting:
        """The file is ready, and OctoPrint will be asked once that is granted."""
        return PrintStarting(at=now.utc, attempt_id=self._attempt_id)

    def started(self, now: Moment) -> PrintStarted:
        """Our file prints."""
        return PrintStarted(at=now.utc, attempt_id=self._attempt_id)

    def paused(self, now: Moment) -> PrintPaused:
        """Paused, and not at the end marker."""
        return PrintPaused(at=now.utc, attempt_id=self._attempt_id)

    def resumed(self, now: Moment) -> PrintResumed:
        """It goes on."""
        return PrintResumed(at=now.utc, attempt_id=self._attempt_id)

    def finished(self, now: Moment) -> PrintFinished:
        """The part is complete."""
        return PrintFinished(at=now.utc, attempt_id=self._attempt_id)

    def cleared(self, now: Moment) -> PrintCleared:
        """The part is off the bed."""
        return PrintCleared(at=now.utc, attempt_id=self._attempt_id)

    def failed(self, reason: str, now: Moment, *, bed_is_empty: bool = False) -> PrintFailed:
        """The print has ended badly."""
        return PrintFailed(
            at=now.utc, attempt_id=self._attempt_id, reason=reason, bed_is_empty=bed_is_empty
        )

    def cancelled(self, now: Moment, *, may_have_started: bool) -> PrintCancelled:
        """The attempt has ended on request."""
        return PrintCancelled(
            at=now.utc, attempt_id=self._attempt_id, may_have_started=may_have_started
        )

    def given_back(self, reason: str, now: Moment) -> CommandRefused:
        """The attempt has ended without a start."""
        return CommandRefused(
            at=now.utc,
            command="StartPrint",
            attempt_id=self._attempt_id,
            reason=reason,
            returned=True,
        )

    def refused(self, command: str, reason: str, now: Moment) -> CommandRefused:
        """A command does not fit, or OctoPrint does not take it."""
        return CommandRefused(
            at=now.utc, command=command, attempt_id=self._attempt_id, reason=reason
        )
