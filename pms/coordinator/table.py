"""The regular look at the database: what other services and operators have changed there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from pms.bus import messages as bus
from pms.bus.messages import Command
from pms.coordinator import handlers
from pms.coordinator.effects import Ledger, Policy, complete_if_done
from pms.coordinator.paid_jobs import PaidJobs
from pms.domain import printing
from pms.domain.printing import Copy
from pms.domain.states import CLOSED_JOB_STATUSES, UNSTARTED_STATES, AttemptState, PrintStatus
from pms.store import attempts, copies, events, jobs, locked_copies, printers
from pms.store.attempts import InHand
from pms.store.intake import Intake
from pms.store.printers import PrinterRow

#: Never cancelled by PMS itself: a long heat-up or a large layer looks the same from here.
STALLED = "the print has made no progress for long: look at the printer"


@dataclass(slots=True)
class Findings:
    """What the look showed, and the commands that follow from it."""

    rows: list[PrinterRow]
    taken_in: list[Intake]
    commands: list[tuple[int, Command]] = field(default_factory=list)


def look(
    connection: Connection,
    *,
    policy: Policy,
    paid_jobs: PaidJobs,
    progress: dict[int, float],
    serving: frozenset[int],
    stalled: list[int],
    at: datetime,
) -> Findings:
    """Read the printers, sweep for paid jobs, and see to attempts whose ground has changed.

    `serving` are the printers that still have a process, `stalled` those whose print stands still.
    """
    printers.meet_new_ones(connection, at)
    attempts.set_progress(connection, progress)
    findings = Findings(printers.all_printers(connection), paid_jobs.sweep(connection, at))
    by_id = {row.id: row for row in findings.rows}
    for printer_id in stalled:
        printers.set_attention(connection, printer_id, STALLED)
    in_hand = attempts.in_hand(connection)
    unstarted = [attempt.id for attempt in in_hand if attempt.state in UNSTARTED_STATES]
    known = locked_copies.read_all(connection, unstarted)
    for attempt in in_hand:
        row = by_id.get(attempt.printer_id)
        if row is not None:
            findings.commands += _commands(connection, row, attempt, known.get(attempt.id), at)
        elif attempt.printer_id not in serving:
            _settle_removed(connection, policy, attempt, at)
    _see_to_copies(connection, policy, at)
    return findings


def _commands(
    connection: Connection, row: PrinterRow, attempt: InHand, copy: Copy | None, at: datetime
) -> list[tuple[int, Command]]:
    """`copy`: of an attempt that has not started; None: its print or its job is gone."""
    if attempt.state is AttemptState.FINISHED and row.autostart and not attempt.clear_requested_at:
        return [(row.id, c) for c in handlers.eject(connection, attempt.id, at)]
    if attempt.state not in UNSTARTED_STATES:
        return []
    if copy is None or _is_unwanted(copy) or not row.enabled:
        return [(row.id, bus.CancelPrint(attempt_id=attempt.id))]
    return []


def _is_unwanted(copy: Copy) -> bool:
    """Of a copy that has not started; its print is not pending if somebody has deleted it."""
    closed = copy.job_status in CLOSED_JOB_STATUSES
    return closed or not copy.paid or copy.print_status is not PrintStatus.PENDING


def _see_to_copies(connection: Connection, policy: Policy, at: datetime) -> None:
    """Others may have changed how many copies a job has, or is to have."""
    for job_id in copies.settled(connection):
        complete_if_done(connection, policy, job_id, at)
    for job_id, present, ordered in copies.shortages(connection):
        words = (
            f"there are {present} of {ordered} copies: num_copies was raised after the payment, or"
            f" prints were deleted; `pms-coordinator job retry {job_id}` prints what is missing"
        )
        jobs.set_attention(connection, job_id, words)
        events.record(connection, at, "attention", job_id=job_id, detail=words)


def _settle_removed(connection: Connection, policy: Policy, attempt: InHand, at: datetime) -> None:
    """The printer is out of the table and its process is gone: nobody will report any more."""
    copy = locked_copies.read(connection, attempt.id)
    if copy is None:
        return
    ledger = Ledger(connection, policy, copy, at)
    reason = "the printer was removed"
    if copy.state in UNSTARTED_STATES:
        ledger.write(printing.returned(copy, reason))
    elif copy.state is AttemptState.FINISHED:
        ledger.write(printing.cleared(copy))
    else:
        ledger.write(printing.failed(copy, reason, at, printer_failures=policy.printer_failures))
