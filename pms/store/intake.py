"""Taking paid jobs in: as many prints as were ordered, however often a job is paid for.

A batch takes a handful of statements, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, exists, insert, select

from pms.domain.states import CLOSED_JOB_STATUSES, STARTABLE_JOB_STATUSES, PrintStatus
from pms.store import copies, jobs
from pms.store.database import locked
from pms.store.tables import pms_attempts, pms_jobs, print_jobs, prints


class TakenIn(Enum):
    """What became of a paid job."""

    CREATED = auto()
    ALREADY = auto()
    UNKNOWN = auto()
    CLOSED = auto()
    BAD_COPIES = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """The outcome of taking a paid job in; `detail` is fit for a person."""

    outcome: TakenIn
    job_id: int
    created: int = 0
    detail: str = ""


def take_in(
    connection: Connection,
    job_ids: Iterable[int],
    now: datetime,
    *,
    max_copies: int,
    reprints: int,
) -> list[Intake]:
    """Create the prints of paid jobs, exactly `num_copies` of each however often it is called.

    One outcome for each job, in the order of their ids.
    """
    wanted = sorted(set(job_ids))
    if not wanted:
        return []
    ordered = _lock(connection, wanted)
    known = _known(connection, wanted)
    intakes = {job_id: _judge(job_id, ordered.get(job_id), max_copies) for job_id in wanted}
    good = {i: ordered[i].num_copies for i in wanted if intakes[i].outcome is TakenIn.CREATED}
    missing = _missing(connection, good, known)
    copies.insert_pending(connection, missing, now)
    intakes |= {job_id: _accepted(job_id, missing.get(job_id)) for job_id in good}
    _remember(connection, intakes.values(), known, now, reprints)
    return list(intakes.values())


def _lock(connection: Connection, job_ids: list[int]) -> dict[int, Any]:
    """In the order of their ids, so that two coordinators cannot lock each other out."""
    chosen = select(print_jobs.c.id, print_jobs.c.num_copies, print_jobs.c.job_status)
    rows: Any = connection.execute(
        locked(chosen.where(print_jobs.c.id.in_(job_ids)).order_by(print_jobs.c.id))
    )
    return {row.id: row for row in rows}


def _known(connection: Connection, job_ids: list[int]) -> set[int]:
    known = select(pms_jobs.c.job_id).where(pms_jobs.c.job_id.in_(job_ids))
    return set(connection.execute(known).scalars())


def _judge(job_id: int, job: Any, max_copies: int) -> Intake:
    """Whether the job may have prints at all."""
    if job is None:
        outcome, detail = TakenIn.UNKNOWN, f"there is no print job {job_id}"
    elif job.job_status in CLOSED_JOB_STATUSES:
        outcome, detail = (
            TakenIn.CLOSED,
            f"print job {job_id} is {job.job_status}: no prints are made",
        )
    elif not 1 <= job.num_copies <= max_copies:
        outcome = TakenIn.BAD_COPIES
        detail = (
            f"print job {job_id} asks for {job.num_copies} copies; 1 to {max_copies} are"
            " possible (PMS_MAX_COPIES): correct num_copies"
        )
    else:
        outcome, detail = TakenIn.CREATED, ""
    return Intake(outcome=outcome, job_id=job_id, detail=detail)


def _missing(
    connection: Connection, num_copies: Mapping[int, int], known: set[int]
) -> dict[int, int]:
    """How many prints these jobs lack; those that have been taken in before are left out."""
    present = copies.prints_by_status(connection, num_copies)
    tried = copies.tried(connection, known & num_copies.keys() - present.keys())
    done = known & (present.keys() | tried)
    return {
        job_id: max(0, number - _wanted(present.get(job_id, {})))
        for job_id, number in num_copies.items()
        if job_id not in done
    }


def _wanted(counts: Mapping[str, int]) -> int:
    return sum(number for status, number in counts.items() if status != PrintStatus.FAILED)


def _accepted(job_id: int, created: int | None) -> Intake:
    if created is None:
        return Intake(outcome=TakenIn.ALREADY, job_id=job_id)
    return Intake(outcome=TakenIn.CREATED, job_id=job_id, created=created)


def _remember(
    connection: Connection,
    intakes: Iterable[Intake],
    known: set[int],
    now: datetime,
    reprints: int,
) -> None:
    """Keep which jobs were taken in, and what a person has to correct about one."""
    new = []
    for intake in intakes:
        if intake.outcome not in (TakenIn.CREATED, TakenIn.BAD_COPIES):
            continue
        attention = intake.detail or None
        if intake.job_id in known:
            jobs.set_attention(connection, intake.job_id, attention)
        else:
            new.append({"job_id": intake.job_id, "attention": attention})
    if new:
        row = {"paid_at": now, "reprints_left": reprints}
        connection.execute(insert(pms_jobs), [row | job for job in new])


def paid_but_not_taken_in(connection: Connection) -> list[int]:
    """Paid, approved jobs without prints that were never tried: their message was lost."""
    # Not with IN, as for the waiting copies: of all prints ever made there may be too many to hash.
    has_prints = exists().where(prints.c.print_job_id == print_jobs.c.id)
    was_tried = exists().where(pms_attempts.c.job_id == print_jobs.c.id)
    rows = connection.execute(
        select(print_jobs.c.id)
        .where(
            print_jobs.c.paid,
            print_jobs.c.job_status.in_([status.value for status in STARTABLE_JOB_STATUSES]),
            ~has_prints,
            ~was_tried,
        )
        .order_by(print_jobs.c.id)
    )
    return list(rows.scalars())
