"""Carries out what `pms.domain.printing` decides, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from pms.coordinator import announcements
from pms.domain import printing
from pms.domain.printing import Announcement, Copy, Effect
from pms.store import attempts, copies, events, jobs, printers


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The settings that decide what follows from an event."""

    reprints: int
    printer_failures: int
    max_copies: int
    delete_files_when_completed: bool
    legacy_print_finished: bool


class Ledger:
    """Writes the effects of one event on one copy; `at` is when the event happened."""

    def __init__(self, connection: Connection, policy: Policy, copy: Copy, at: datetime) -> None:
        self._connection = connection
        self._policy = policy
        self._copy = copy
        self._at = at

    def write(self, effects: Iterable[Effect]) -> None:
        """Carry the effects out, in their order."""
        for effect in effects:
            self._write(effect)

    def note(self, kind: str, detail: str = "") -> None:
        """Write a line into the farm's diary."""
        events.record(
            self._connection,
            self._at,
            kind,
            printer_id=self._copy.printer_id,
            job_id=self._copy.job_id,
            print_id=self._copy.print_id,
            attempt_id=self._copy.attempt_id,
            detail=detail,
        )

    def _write(self, effect: Effect) -> None:
        match effect:
            case (
                printing.OccupyBed()
                | printing.FreeBed()
                | printing.SetCurrentlyPrinting()
                | printing.CountPrint()
                | printing.CountFailure()
                | printing.SuspendPrinter()
                | printing.ResetFailures()
                | printing.RestPrinter()
            ):
                self._write_printer(effect)
            case (
                printing.SetJobPrinting()
                | printing.InsertReplacement()
                | printing.RaiseAttention()
                | printing.PostponeJob()
                | printing.CheckJobComplete()
            ):
                self._write_job(effect)
            case printing.MoveAttempt(state, error):
                attempts.move(self._connection, self._copy.attempt_id, state, self._at, error)
                self.note(f"attempt_{state}", error or "")
            case printing.SetPrint():
                self._set_print(effect)
            case printing.ReleasePrint():
                jobs.release_print(self._connection, self._copy.print_id)
            case printing.Announce(what):
                self._announce(what)
            case _:
                assert_never(effect)

    def _set_print(self, effect: printing.SetPrint) -> None:
        jobs.set_print(
            self._connection,
            self._copy.print_id,
            effect.status,
            started_at=self._at if effect.started else None,
            finished_at=self._at if effect.ended else None,
        )

    def _write_printer(
        self,
        effect: (
            printing.OccupyBed
            | printing.FreeBed
            | printing.SetCurrentlyPrinting
            | printing.CountPrint
            | printing.CountFailure
            | printing.SuspendPrinter
            | printing.ResetFailures
            | printing.RestPrinter
        ),
    ) -> None:
        connection, printer_id = self._connection, self._copy.printer_id
        match effect:
            case printing.OccupyBed():
                printers.occupy_bed(connection, printer_id, self._copy.print_id)
            case printing.FreeBed():
                printers.free_bed(connection, printer_id)
            case printing.SetCurrentlyPrinting(value):
                printers.set_currently_printing(connection, printer_id, value)
            case printing.CountPrint(completed, seconds):
                printers.count_print(connection, printer_id, completed=completed, seconds=seconds)
            case printing.CountFailure():
                printers.count_failure(connection, printer_id)
            case printing.SuspendPrinter(failures):
                printers.suspend(connection, printer_id)
                self.note("printer_suspended", f"{failures} prints in a row failed")
            case printing.ResetFailures():
                printers.reset_failures(connection, printer_id)
            case printing.RestPrinter(until):
                printers.rest(connection, printer_id, until)
            case _:
                assert_never(effect)

    def _write_job(
        self,
        effect: (
            printing.SetJobPrinting
            | printing.InsertReplacement
            | printing.RaiseAttention
            | printing.PostponeJob
            | printing.CheckJobComplete
        ),
    ) -> None:
        connection, job_id = self._connection, self._copy.job_id
        match effect:
            case printing.SetJobPrinting():
                jobs.set_job_printing(connection, job_id)
            case printing.InsertReplacement():
                replacement = jobs.insert_replacement(connection, job_id, self._at)
                self.note("print_replaced", f"print {replacement} takes its place")
            case printing.RaiseAttention(text):
                jobs.set_attention(connection, job_id, text)
                self.note("attention", text)
            case printing.PostponeJob(until):
                jobs.postpone(connection, job_id, until)
            case printing.CheckJobComplete():
                complete_if_done(connection, self._policy, job_id, self._at)
            case _:
                assert_never(effect)

    def _announce(self, what: Announcement) -> None:
        announcements.add(
            self._connection,
            what,
            job_id=self._copy.job_id,
            printer_id=self._copy.printer_id,
            at=self._at,
            print_time_s=self._copy.print_time_s,
            legacy_print_finished=self._policy.legacy_print_finished,
        )


def complete_if_done(connection: Connection, policy: Policy, job_id: int, at: datetime) -> None:
    """Close the job and tell its customer, once every copy is off its printer."""
    # Of many copies, only the last one has to be counted with care.
    if copies.is_any_open(connection, job_id):
        return
    tally = copies.tally(connection, job_id)
    printer_id = attempts.last_cleared_printer(connection, job_id)
    if tally is None or printer_id is None or not printing.job_is_complete(tally):
        return
    if not jobs.complete(connection, job_id, at):
        return
    events.record(connection, at, "job_completed", job_id=job_id)
    what = [Announcement.PRINT_CLEARED]
    if policy.delete_files_when_completed:
        what.append(Announcement.JOB_COMPLETED)
    for announcement in what:
        announcements.add(connection, announcement, job_id=job_id, printer_id=printer_id, at=at)
