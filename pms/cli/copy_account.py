"""How it stands with one copy of a job, why, and what a person does about it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pms.cli import remedies
from pms.cli.job_words import name_of_printer
from pms.cli.output import percent
from pms.domain.scheduling import MaterialMatch, Need, PrinterView, Schedule, fits
from pms.domain.states import (
    CLOSED_JOB_STATUSES,
    LIVE_STATES,
    STARTABLE_JOB_STATUSES,
    AttemptState,
    JobStatus,
    PrinterState,
    PrintStatus,
)
from pms.store.events import EventRow
from pms.store.job_overview import AttemptDetails, CopyDetails, JobSummary
from pms.store.printers import PrinterRow

#: Printers that a waiting copy's remedies name before the rest is only counted.
REMEDIES_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that is known of a job."""

    job: JobSummary
    copies: Sequence[CopyDetails]
    printers: Mapping[int, PrinterRow]
    views: Sequence[PrinterView]
    material_match: MaterialMatch
    #: What the copies that may start need, by print.
    needs: Mapping[int, Need]
    #: Why copies may not start, by print.
    held_back: Mapping[int, str]
    #: What a round of scheduling would do now.
    plan: Schedule
    #: The job's part of the diary, oldest first.
    diary: Sequence[EventRow] = ()
    #: Why no coordinator answers; None: one does.
    coordinator_problem: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """How it stands with a copy."""

    #: The rest of a sentence that begins with the print.
    summary: str
    why: str | None = None
    since: datetime | None = None
    #: What a person does, in this order; empty: nothing, time does what there is to do.
    todo: list[str] = field(default_factory=list)
    #: Nothing more comes of this copy.
    over: bool = False


def account(facts: Facts, copy: CopyDetails) -> Account:
    """Tell how it stands with a copy."""
    last = copy.attempts[-1] if copy.attempts else None
    if last is not None and last.state in LIVE_STATES:
        return _under_way(facts, copy, last)
    match copy.status:
        case PrintStatus.PENDING:
            return _waiting(facts, copy, last)
        case PrintStatus.FAILED:
            return _failed(facts, copy, last)
        case PrintStatus.COMPLETED:
            where = f" on {name_of(last)}" if last else ""
            summary = f"is done: printed{where} and off the bed"
            return Account(summary=summary, since=_end(last), over=True)
        case PrintStatus.CANCELLED:
            todo = _left_on_bed(facts, copy, last)
            return Account(summary="was cancelled", since=copy.finished_at, todo=todo, over=True)
        case _:
            return Account(
                summary=f"is {copy.status}, but not by PMS",
                why="PMS knows of no try that goes on; somebody else changed the row",
            )


def _end(attempt: AttemptDetails | None) -> datetime | None:
    return attempt.ended_at if attempt else None


def _failed(facts: Facts, copy: CopyDetails, last: AttemptDetails | None) -> Account:
    where = f" on {name_of(last)}" if last else ""
    todo = _left_on_bed(facts, copy, last)
    printer = facts.printers.get(last.printer_id) if last else None
    if printer is not None and printer.suspended:
        todo += _remedies([printer.id], facts)
    return Account(
        summary=f"failed{where}",
        why=last.error if last else None,
        since=copy.finished_at or _end(last),
        todo=list(dict.fromkeys(todo)),
        over=True,
    )


def _left_on_bed(facts: Facts, copy: CopyDetails, last: AttemptDetails | None) -> list[str]:
    """How the bed becomes free where a copy has ended badly and still lies."""
    printer = facts.printers.get(last.printer_id) if last else None
    if printer is None or printer.bed_print_id != copy.print_id:
        return []
    return [remedies.clear(printer)]


# -- a copy that a printer has ------------------------------------------------------------------


def _under_way(facts: Facts, copy: CopyDetails, attempt: AttemptDetails) -> Account:
    printer = facts.printers.get(attempt.printer_id)
    if printer is None:
        return Account(summary=f"is with {name_of(attempt)}")
    summary, since, todo = _progress(copy, attempt, printer)
    if attempt.cancel_requested_at is not None:
        summary += "; it is being cancelled"
    if printer.attention and not todo:
        todo = [f"look at {printer.name}"]
    elif printer.state in remedies.TROUBLES and not printer.attention:
        todo = _remedies([printer.id], facts)
    return Account(summary=summary, why=remedies.trouble(printer), since=since, todo=todo)


def _progress(
    copy: CopyDetails, attempt: AttemptDetails, printer: PrinterRow
) -> tuple[str, datetime | None, list[str]]:
    where = name_of(attempt)
    match attempt.state:
        case AttemptState.FINISHED if attempt.clear_requested_at is not None:
            return f"is complete and being cleared from {where}", attempt.finished_at, []
        case AttemptState.FINISHED:
            todo = remedies.take_off(printer)
            return f"is complete and lies on the bed of {where}", attempt.finished_at, [todo]
        case AttemptState.PAUSED:
            todo = f"`pms-coordinator resume {copy.print_id}`, or resume it at OctoPrint"
            return f"is paused on {where}", attempt.started_at, [todo]
        case AttemptState.PRINTING:
            return f"prints on {where}, {percent(attempt.progress)} done", attempt.started_at, []
        case AttemptState.STARTING:
            doubt = [remedies.doubt(printer)] if printer.state is PrinterState.ERROR else []
            return f"was to start on {where}", attempt.starting_at, doubt
        case _:
            return f"is on its way to {where}", attempt.claimed_at, []


# -- a copy that waits -----------------------------------------------------------------------


def _waiting(facts: Facts, copy: CopyDetails, last: AttemptDetails | None) -> Account:
    job, print_id = facts.job, copy.print_id
    since = _end(last) or copy.created_at
    if not is_open(job):
        why = f"the job is {job.status}"
        return Account(summary="never starts", why=why, since=since, over=True)
    if print_id in facts.held_back:
        why, todo = facts.held_back[print_id], [_release(job)]
    elif print_id in facts.plan.reasons:
        why = facts.plan.reasons[print_id]
        todo = _wanted(facts, facts.needs[print_id])
    elif chosen := [a for a in facts.plan.assignments if a.print_id == print_id]:
        why, todo = f"{facts.printers[chosen[0].printer_id].name} is free and gets it next", []
    else:
        why, todo = "PMS has not taken the job in", [not_taken_in(job)]
    if last is not None and last.error:
        why = f"{why}; it came back from {name_of(last)}: {last.error}"
    return Account(summary="waits", why=why, since=since, todo=todo)


def _release(job: JobSummary) -> str:
    if not job.paid:
        return f"wait until job {job.id} is paid"
    if job.status not in STARTABLE_JOB_STATUSES:
        return f"approve job {job.id}: set its job_status to {JobStatus.OPERATOR_APPROVED}"
    return (
        f"upload the G-code of job {job.id} again; PMS asks for it every five minutes, and at once"
        f" after `pms-coordinator job retry {job.id}`"
    )


def _wanted(facts: Facts, need: Need) -> list[str]:
    """What makes a printer free that fits."""
    job = facts.job
    if not facts.views:
        return ["add a printer: `pms-coordinator printer add`"]
    of_model = [v for v in facts.views if need.model_id in (None, v.model_id)]
    if not of_model:
        return [f"add a printer of the model {job.model}, or correct the model of job {job.id}"]
    fitting = [v.printer_id for v in of_model if fits(need, v, facts.material_match)]
    if not fitting:
        return [
            f"load {job.material} and record it: `pms-coordinator printer set NAME --material"
            f" {job.material}`; or relax PMS_MATERIAL_MATCH"
        ]
    return _remedies(fitting, facts)


def _remedies(printer_ids: Iterable[int], facts: Facts) -> list[str]:
    chosen = set(printer_ids)
    found = [
        remedies.remedy(facts.printers[view.printer_id], view.state)
        for view in facts.views
        if view.printer_id in chosen
    ]
    known = [each for each in found if each is not None]
    if len(known) <= REMEDIES_SHOWN:
        return known
    rest = len(known) - REMEDIES_SHOWN
    return [*known[:REMEDIES_SHOWN], f"see to {rest} more printers: `pms-coordinator status`"]


def not_taken_in(job: JobSummary) -> str:
    """What a job waits for that has no prints yet."""
    if not job.paid:
        return f"wait until job {job.id} is paid: only then it gets prints"
    if job.attention:
        return f"{job.attention}; PMS then finds the job by itself"
    if job.status not in STARTABLE_JOB_STATUSES:
        return (
            f"set job {job.id} to operatorApproved, or see in `pms-coordinator dead-letters list`"
            " whether the message of its payment was refused"
        )
    return f"wait for the next look of a running coordinator: it finds job {job.id} by itself"


def is_open(job: JobSummary) -> bool:
    """Whether more may come of the job."""
    return job.status not in CLOSED_JOB_STATUSES


def name_of(attempt: AttemptDetails) -> str:
    """The printer of an attempt."""
    return name_of_printer(attempt.printer_id, attempt.printer)
