"""The life of a copy: what each event does to its attempt, its print, its job and its printer.

Nothing else says so. A function for each event turns it into effects, which the coordinator
carries out in one transaction; an event that comes twice has no effect twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pms.domain.states import (
    CLOSED_JOB_STATUSES,
    RUNNING_STATES,
    TERMINAL_STATES,
    UNSTARTED_STATES,
    AttemptState,
    Bed,
    JobStatus,
    PrintStatus,
    TransferProblem,
)

#: How long a printer takes no new copy after a transfer to it has failed.
REST_AFTER_FAILED_TRANSFER = timedelta(seconds=60)
#: The same, after its OctoPrint had no room for the file: a person has to make some.
REST_WITHOUT_ROOM = timedelta(minutes=5)
#: The same, after OctoPrint has refused to start what was sent to it.
REST_AFTER_REFUSED_START = timedelta(seconds=60)
LONGEST_REST = max(REST_AFTER_FAILED_TRANSFER, REST_WITHOUT_ROOM, REST_AFTER_REFUSED_START)
#: How long a job waits before its unusable G-code is asked for again.
GCODE_RETRY_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """An attempt with what surrounds it, as the database has it now."""

    attempt_id: int
    state: AttemptState
    print_id: int
    job_id: int
    printer_id: int
    print_status: PrintStatus
    job_status: JobStatus
    paid: bool
    reprints_left: int
    consecutive_failures: int
    #: Of the attempt's printer.
    bed: Bed = Bed.CLEAR
    started_at: datetime | None = None
    cancel_requested: bool = False
    #: A person has said that the bed is empty.
    clear_requested: bool = False
    #: Byte offset behind the last M0, as the job has it.
    finished_byte_pos: int | None = None
    #: The slicer's estimate, as the job has it.
    print_time_s: float | None = None


class Announcement(StrEnum):
    """Messages to the rest of OpenFarm, by the names of their exchanges."""

    PRINT_STARTED = "PrintStarted"
    PRINT_FINISHED = "PrintFinished"
    PRINT_CLEARED = "PrintCleared"
    JOB_COMPLETED = "JobCompleted"


# Effects. Each is one change; all effects of an event are one transaction.


@dataclass(frozen=True, slots=True)
class MoveAttempt:
    """The attempt is in another state."""

    state: AttemptState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class OccupyBed:
    """From now on nothing else may start on this printer."""


@dataclass(frozen=True, slots=True)
class FreeBed:
    """The bed is empty."""


@dataclass(frozen=True, slots=True)
class SetPrint:
    """The copy as OpenFarm sees it."""

    status: PrintStatus
    started: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class ReleasePrint:
    """The copy goes back to the queue and belongs to no printer."""


@dataclass(frozen=True, slots=True)
class SetJobPrinting:
    """The job's first copy prints."""


@dataclass(frozen=True, slots=True)
class SetCurrentlyPrinting:
    """`printers.currently_printing`."""

    value: bool


@dataclass(frozen=True, slots=True)
class CountPrint:
    """Maintenance counters of the printer; seconds spent printing."""

    completed: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class CountFailure:
    """One more failure in a row on this printer."""


@dataclass(frozen=True, slots=True)
class SuspendPrinter:
    """So many failures in a row: a person has to look at the printer first."""

    failures: int


@dataclass(frozen=True, slots=True)
class ResetFailures:
    """The printer has shown that it works."""


@dataclass(frozen=True, slots=True)
class RestPrinter:
    """The printer takes no copy until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the rest of OpenFarm."""

    what: Announcement


@dataclass(frozen=True, slots=True)
class InsertReplacement:
    """A failed copy is printed again, at the expense of the job's reprints."""


@dataclass(frozen=True, slots=True)
class RaiseAttention:
    """A person has to see to the job."""

    text: str


@dataclass(frozen=True, slots=True)
class PostponeJob:
    """No copy of the job is tried again before then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class CheckJobComplete:
    """The copy was perhaps the job's last one."""


Effect = (
    MoveAttempt
    | OccupyBed
    | FreeBed
    | SetPrint
    | ReleasePrint
    | SetJobPrinting
    | SetCurrentlyPrinting
    | CountPrint
    | CountFailure
    | SuspendPrinter
    | ResetFailures
    | RestPrinter
    | Announce
    | InsertReplacement
    | RaiseAttention
    | PostponeJob
    | CheckJobComplete
)


# What can happen to a copy; each function returns nothing where the event is out of date.


def may_start(copy: Copy) -> bool:
    """Whether OctoPrint may be asked to start: the copy is still wanted and the bed clear."""
    # Once this attempt is starting, the bed is occupied on its own behalf.
    ready = copy.state is AttemptState.STARTING or (
        copy.state is AttemptState.STAGED and copy.bed is Bed.CLEAR
    )
    wanted = copy.paid and copy.print_status is PrintStatus.PENDING
    return ready and wanted and not _is_unwanted(copy)


def transferring(copy: Copy) -> list[Effect]:
    """The worker has accepted the copy."""
    if copy.state is not AttemptState.CLAIMED:
        return []
    return [MoveAttempt(AttemptState.TRANSFERRING)]


def staged(copy: Copy) -> list[Effect]:
    """The file is on OctoPrint and verified."""
    if copy.state not in (AttemptState.CLAIMED, AttemptState.TRANSFERRING):
        return []
    return [MoveAttempt(AttemptState.STAGED)]


def transfer_failed(
    copy: Copy, problem: TransferProblem, detail: str, at: datetime
) -> list[Effect]:
    """The file did not arrive: the copy goes back, and who is to blame has to wait."""
    if copy.state not in UNSTARTED_STATES:
        return []
    effects = returned(copy, detail)
    if _is_unwanted(copy):
        return effects
    if problem is TransferProblem.GCODE_UNUSABLE:
        return [*effects, RaiseAttention(detail), PostponeJob(at + GCODE_RETRY_AFTER)]
    full = problem is TransferProblem.NO_ROOM
    return [*effects, RestPrinter(at + (REST_WITHOUT_ROOM if full else REST_AFTER_FAILED_TRANSFER))]


def starting(copy: Copy) -> list[Effect]:
    """OctoPrint is about to be asked: from here on the bed counts as occupied."""
    if copy.state is not AttemptState.STAGED or not may_start(copy):
        return []
    return [MoveAttempt(AttemptState.STARTING), OccupyBed()]


def started(copy: Copy) -> list[Effect]:
    """OctoPrint prints our file."""
    if copy.state not in UNSTARTED_STATES | {AttemptState.STARTING}:
        return []
    return [
        MoveAttempt(AttemptState.PRINTING),
        OccupyBed(),
        SetPrint(PrintStatus.PRINTING, started=True),
        *([SetJobPrinting()] if copy.job_status is JobStatus.OPERATOR_APPROVED else []),
        SetCurrentlyPrinting(True),
        Announce(Announcement.PRINT_STARTED),
    ]


def paused(copy: Copy) -> list[Effect]:
    """Paused before the end marker."""
    if copy.state is not AttemptState.PRINTING:
        return []
    return [MoveAttempt(AttemptState.PAUSED)]


def resumed(copy: Copy) -> list[Effect]:
    """The print goes on."""
    if copy.state is not AttemptState.PAUSED:
        return []
    return [MoveAttempt(AttemptState.PRINTING)]


def finished(copy: Copy, at: datetime) -> list[Effect]:
    """The part is complete and lies on the bed."""
    if copy.state in TERMINAL_STATES or copy.state is AttemptState.FINISHED:
        return []
    return [
        *started(copy),
        MoveAttempt(AttemptState.FINISHED),
        SetPrint(PrintStatus.COMPLETED, ended=True),
        SetCurrentlyPrinting(False),
        CountPrint(completed=True, seconds=_seconds_printed(copy, at)),
        *([ResetFailures()] if copy.consecutive_failures else []),
        Announce(Announcement.PRINT_FINISHED),
    ]


def cleared(copy: Copy) -> list[Effect]:
    """The part is off the bed."""
    if copy.state is not AttemptState.FINISHED:
        return []
    return [MoveAttempt(AttemptState.CLEARED), FreeBed(), CheckJobComplete()]


def failed(
    copy: Copy, reason: str, at: datetime, *, printer_failures: int, bed_is_empty: bool = False
) -> list[Effect]:
    """The print ended badly: the bed stays occupied, and the copy is printed again if it may be.

    `bed_is_empty`: a person has said so, of a print whose fate OctoPrint does not know.
    """
    if copy.state in TERMINAL_STATES or copy.state is AttemptState.FINISHED:
        return []
    if copy.cancel_requested:
        return cancelled(copy, at, may_have_started=True)
    effects: list[Effect] = [
        MoveAttempt(AttemptState.FAILED, error=reason),
        FreeBed() if bed_is_empty else _bed_afterwards(copy),
        SetPrint(PrintStatus.FAILED, ended=True),
        SetCurrentlyPrinting(False),
        CountPrint(completed=False, seconds=_seconds_printed(copy, at)),
        CountFailure(),
    ]
    if copy.consecutive_failures + 1 >= printer_failures:
        effects.append(SuspendPrinter(copy.consecutive_failures + 1))
    if copy.job_status in CLOSED_JOB_STATUSES:
        return effects
    if copy.reprints_left > 0:
        return [*effects, InsertReplacement()]
    text = f"print {copy.print_id} failed and no reprints are left: {reason}"
    return [*effects, RaiseAttention(text)]


def _bed_afterwards(copy: Copy) -> Effect:
    """A person may have said that the bed is empty, of a start whose outcome was never seen."""
    settled = copy.clear_requested and copy.state is AttemptState.STARTING
    return FreeBed() if settled else OccupyBed()


def cancelled(copy: Copy, at: datetime, *, may_have_started: bool) -> list[Effect]:
    """The print ended because PMS asked for it; a copy that is still wanted waits again."""
    if copy.state in TERMINAL_STATES or copy.state is AttemptState.FINISHED:
        return []
    if not may_have_started and copy.state in UNSTARTED_STATES | {AttemptState.STARTING}:
        return returned(copy, "taken back from the printer")
    counted = CountPrint(completed=False, seconds=_seconds_printed(copy, at))
    return _ended_on_request([_bed_afterwards(copy), counted])


def _ended_on_request(at_the_printer: list[Effect]) -> list[Effect]:
    return [
        MoveAttempt(AttemptState.CANCELLED),
        *at_the_printer,
        SetPrint(PrintStatus.CANCELLED, ended=True),
        SetCurrentlyPrinting(False),
        CheckJobComplete(),
    ]


def _is_unwanted(copy: Copy) -> bool:
    return copy.cancel_requested or copy.job_status in CLOSED_JOB_STATUSES


def returned(copy: Copy, reason: str) -> list[Effect]:
    """Certainly never started: the copy goes back to the queue, if it is still wanted."""
    if copy.state not in UNSTARTED_STATES | {AttemptState.STARTING}:
        return []
    bed: list[Effect] = [FreeBed()] if copy.state is AttemptState.STARTING else []
    if _is_unwanted(copy):
        return _ended_on_request(bed)
    return [MoveAttempt(AttemptState.RETURNED, error=reason), ReleasePrint(), *bed]


def given_back(copy: Copy, reason: str, at: datetime) -> list[Effect]:
    """The printer's process returns the copy; one whose OctoPrint refused the start has a rest."""
    effects = returned(copy, reason)
    if copy.state is AttemptState.STARTING:
        effects.append(RestPrinter(at + REST_AFTER_REFUSED_START))
    return effects


def _seconds_printed(copy: Copy, at: datetime) -> int:
    if copy.state not in RUNNING_STATES or copy.started_at is None:
        return 0
    return max(0, round((at - copy.started_at).total_seconds()))


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTally:
    """How many of a job's prints are in which status, and how many attempts are live."""

    num_copies: int
    completed: int
    cancelled: int
    open: int
    live_attempts: int
    #: Copies that came off their printer and whose prints somebody has deleted.
    deleted: int = 0

    @property
    def printed(self) -> int:
        """Copies that there are as parts."""
        return self.completed + self.deleted


def job_is_complete(tally: JobTally) -> bool:
    """Every copy is off its printer or was cancelled, and at least one was printed."""
    return (
        tally.printed > 0
        and tally.open == 0
        and tally.live_attempts == 0
        and tally.printed + tally.cancelled >= tally.num_copies
    )
