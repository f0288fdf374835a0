"""Why a job is where it is, as a person would tell it: pure, over rows of the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pms.cli.copy_account import Account, Facts, account, is_open, name_of, not_taken_in
from pms.cli.job_words import describe_payment, describe_prints, share_done
from pms.cli.output import count
from pms.domain.states import AttemptState, PrintStatus
from pms.store.job_overview import AttemptDetails, CopyDetails, JobSummary


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a copy."""

    at: datetime
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """An attempt, told."""

    number: int
    printer: str
    state: str
    #: 0 to 1.
    progress: float
    error: str | None
    steps: list[Step]


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """A copy, told."""

    print_id: int
    status: str
    account: Account
    tries: list[Try]
    #: What else the diary tells of it.
    notes: list[Step]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A job, told."""

    job_id: int
    summary: str
    attention: str | None
    todo: list[str]
    copies: list[Story]


def explain(facts: Facts) -> Explanation:
    """Tell of a job, of each of its copies, and of what a person has to do."""
    stories = [_story(facts, copy) for copy in facts.copies]
    steps = [*_job_todo(facts), *(step for story in stories for step in story.account.todo)]
    return Explanation(
        job_id=facts.job.id,
        summary=_job_summary(facts.job),
        attention=facts.job.attention if is_open(facts.job) else None,
        todo=list(dict.fromkeys(steps)),
        copies=stories,
    )


# -- the job ---------------------------------------------------------------------------------


def _job_summary(job: JobSummary) -> str:
    paid, prints = describe_payment(job.paid), describe_prints(job.prints, "no prints yet")
    return f"{job.status}, {paid}; {count(job.copies, 'copy', 'copies')} ordered, {prints}"


def _job_todo(facts: Facts) -> list[str]:
    job = facts.job
    if not is_open(job):
        return []
    todo = [facts.coordinator_problem] if facts.coordinator_problem else []
    if not facts.copies:
        todo.append(not_taken_in(job))
    elif job.attention and job.prints[PrintStatus.FAILED]:
        todo.append(_settle(job))
    elif job.attention and not any(copy.print_id in facts.held_back for copy in facts.copies):
        # Nothing else tells of it, and the words name their remedy.
        todo.append(job.attention)
    return todo


def _settle(job: JobSummary) -> str:
    return (
        f"decide over job {job.id}: `pms-coordinator job retry {job.id}` once the cause is mended,"
        f" or `job cancel {job.id}`, or `job reject {job.id}`"
    )


# -- a copy ----------------------------------------------------------------------------------


def _story(facts: Facts, copy: CopyDetails) -> Story:
    return Story(
        print_id=copy.print_id,
        status=copy.status,
        account=account(facts, copy),
        tries=[_told(attempt) for attempt in copy.attempts],
        notes=[
            Step(event.at, event.detail or event.kind.replace("_", " "))
            for event in facts.diary
            if event.print_id == copy.print_id and not event.kind.startswith("attempt_")
        ],
    )


# -- a try -----------------------------------------------------------------------------------


def _told(attempt: AttemptDetails) -> Try:
    times = (
        (attempt.claimed_at, f"given to {name_of(attempt)}"),
        (attempt.transferring_at, "the file is sent"),
        (attempt.staged_at, "the file is on OctoPrint, size and SHA-1 match"),
        (attempt.starting_at, "the start is asked for"),
        (attempt.started_at, "it prints"),
        (attempt.cancel_requested_at, "somebody cancels it"),
        (attempt.finished_at, "the part is complete"),
        (attempt.clear_requested_at, "the bed is to be cleared"),
        (attempt.ended_at, _ENDS.get(attempt.state, attempt.state)),
    )
    steps = [Step(at, what) for at, what in times if at is not None]
    return Try(
        number=attempt.number,
        printer=name_of(attempt),
        state=attempt.state,
        progress=share_done(attempt),
        error=attempt.error,
        steps=sorted(steps, key=lambda step: step.at),
    )


_ENDS: dict[str, str] = {
    AttemptState.CLEARED: "the part is off the bed",
    AttemptState.FAILED: "it failed",
    AttemptState.CANCELLED: "it was cancelled",
    AttemptState.RETURNED: "it went back to the queue",
}
