"""How many copies of a job there are, and how many it lacks.

Other services may change the order, and delete prints; a copy that a printer has, or has had, still
counts then, so that none is printed in its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, exists, func, insert, select

from pms.domain.printing import JobTally
from pms.domain.states import (
    RUNNING_STATES,
    STARTABLE_JOB_STATUSES,
    AttemptState,
    JobStatus,
    PrintStatus,
)
from pms.store.database import locked
from pms.store.tables import attempt_is_live, pms_attempts, pms_jobs, print_jobs, prints

#: What is inserted at once has to be done before the server counts as silent.
ROWS_AT_ONCE = 1000


def is_any_open(connection: Connection, job_id: int) -> bool:
    """Whether a print of the job waits or is under way, as far as its rows say."""
    open_ones = [PrintStatus.PENDING.value, PrintStatus.PRINTING.value]
    found = (
        select(prints.c.id)
        .where(prints.c.print_job_id == job_id, prints.c.print_status.in_(open_ones))
        .limit(1)
    )
    return connection.execute(found).one_or_none() is not None


def tally(connection: Connection, job_id: int) -> JobTally | None:
    """Count a job's prints and live attempts; None: there is no such job."""
    num_copies = connection.execute(
        locked(select(print_jobs.c.num_copies).where(print_jobs.c.id == job_id))
    ).scalar_one_or_none()
    if num_copies is None:
        return None
    counts = prints_by_status(connection, [job_id]).get(job_id, {})
    live = connection.execute(
        select(func.count())
        .select_from(pms_attempts)
        .where(pms_attempts.c.job_id == job_id, attempt_is_live)
    ).scalar_one()
    return JobTally(
        num_copies=num_copies,
        completed=counts.get(PrintStatus.COMPLETED, 0),
        cancelled=counts.get(PrintStatus.CANCELLED, 0),
        open=counts.get(PrintStatus.PENDING, 0) + counts.get(PrintStatus.PRINTING, 0),
        live_attempts=live,
        deleted=_deleted(connection, job_id, AttemptState.CLEARED),
    )


def _deleted(connection: Connection, job_id: int, *states: AttemptState) -> int:
    """Count the attempts in these states whose prints somebody has deleted."""
    return connection.execute(
        select(func.count())
        .select_from(pms_attempts)
        .where(
            pms_attempts.c.job_id == job_id,
            pms_attempts.c.state.in_([state.value for state in states]),
            ~exists().where(prints.c.id == pms_attempts.c.print_id),
        )
    ).scalar_one()


def prints_by_status(connection: Connection, job_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Count the prints of each of these jobs; one that has none is left out."""
    rows = connection.execute(
        select(prints.c.print_job_id, prints.c.print_status, func.count().label("number"))
        .where(prints.c.print_job_id.in_(list(job_ids)))
        .group_by(prints.c.print_job_id, prints.c.print_status)
    )
    counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts[row.print_job_id][row.print_status] = row.number
    return dict(counts)


def tried(connection: Connection, job_ids: Iterable[int]) -> set[int]:
    """Those jobs of which a printer ever had a copy, whose print may have been deleted since."""
    chosen = list(job_ids)
    if not chosen:
        return set()
    found = select(pms_attempts.c.job_id).where(pms_attempts.c.job_id.in_(chosen)).distinct()
    return set(connection.execute(found).scalars())


def settled(connection: Connection) -> list[int]:
    """Open jobs of which copies were printed, and nothing waits or is under way any more."""
    pending = [PrintStatus.PENDING.value, PrintStatus.PRINTING.value]
    # Not with EXISTS: without statistics PostgreSQL compares every job with every print then.
    with_attempt = select(pms_attempts.c.job_id).where(attempt_is_live)
    with_print = select(prints.c.print_job_id).where(
        prints.c.print_status.in_(pending), prints.c.print_job_id.is_not(None)
    )
    printed = exists().where(
        pms_attempts.c.job_id == print_jobs.c.id,
        pms_attempts.c.state == AttemptState.CLEARED.value,
    )
    rows = connection.execute(
        select(print_jobs.c.id)
        .where(
            print_jobs.c.job_status == JobStatus.PRINTING.value,
            print_jobs.c.id.not_in(with_attempt),
            print_jobs.c.id.not_in(with_print),
            printed,
        )
        .order_by(print_jobs.c.id)
    )
    return list(rows.scalars())


class Shortage(NamedTuple):
    """A job that has fewer copies than it is to have."""

    job_id: int
    present: int
    ordered: int


def shortages(connection: Connection) -> list[Shortage]:
    """Open jobs that lack copies, if nothing else needs attention about them already."""
    rows = connection.execute(
        select(print_jobs.c.id, print_jobs.c.num_copies)
        .join(pms_jobs, pms_jobs.c.job_id == print_jobs.c.id)
        .outerjoin(
            prints,
            and_(
                prints.c.print_job_id == print_jobs.c.id,
                prints.c.print_status != PrintStatus.FAILED.value,
            ),
        )
        .where(
            print_jobs.c.paid,
            print_jobs.c.job_status.in_([status.value for status in STARTABLE_JOB_STATUSES]),
            pms_jobs.c.attention.is_(None),
        )
        .group_by(print_jobs.c.id, print_jobs.c.num_copies)
        .having(func.count(prints.c.id) < print_jobs.c.num_copies)
        .order_by(print_jobs.c.id)
    ).all()
    found = [
        Shortage(row.id, row.num_copies - _missing(connection, row.id), row.num_copies)
        for row in rows
    ]
    return [shortage for shortage in found if shortage.present < shortage.ordered]


def _missing(connection: Connection, job_id: int) -> int:
    """How many copies a job lacks that were neither printed nor cancelled nor are to come."""
    counted = tally(connection, job_id)
    if counted is None:
        return 0
    under_way = _deleted(connection, job_id, *RUNNING_STATES, AttemptState.FINISHED)
    present = counted.printed + counted.cancelled + counted.open + under_way
    return max(0, counted.num_copies - present)


def create_missing(connection: Connection, job_id: int, now: datetime) -> int:
    """Insert a pending print for every copy that the job lacks; returns how many."""
    missing = _missing(connection, job_id)
    insert_pending(connection, {job_id: missing}, now)
    return missing


def insert_pending(connection: Connection, numbers: Mapping[int, int], now: datetime) -> None:
    """Let so many copies more of each of these jobs wait."""
    row = {"created_at": now, "print_status": PrintStatus.PENDING}
    rows = [row | {"print_job_id": job} for job, number in numbers.items() for _ in range(number)]
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        connection.execute(insert(prints), rows[begin : begin + ROWS_AT_ONCE])
