"""Jobs and their copies: states, replacing copies, what needs attention, completion."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, exists, insert, select, update

from pms.domain.states import CLOSED_JOB_STATUSES, JobStatus, PrintStatus
from pms.store.database import locked
from pms.store.pending import later
from pms.store.tables import attempt_is_live, pms_attempts, pms_jobs, print_jobs, prints


def insert_replacement(connection: Connection, job_id: int, now: datetime) -> int:
    """Insert a pending print in place of a failed one, at the expense of the job's reprints."""
    later(
        connection,
        update(pms_jobs)
        .where(pms_jobs.c.job_id == job_id)
        .values(reprints_left=pms_jobs.c.reprints_left - 1),
    )
    inserted = connection.execute(
        insert(prints)
        .values(print_job_id=job_id, created_at=now, print_status=PrintStatus.PENDING)
        .returning(prints.c.id)
    )
    return int(inserted.scalar_one())


def set_print(
    connection: Connection,
    print_id: int,
    status: PrintStatus,
    *,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
) -> None:
    """Write a copy's state for the rest of OpenFarm."""
    times = {"started_at": started_at, "finished_at": finished_at}
    values = {name: time for name, time in times.items() if time is not None}
    later(
        connection,
        update(prints).where(prints.c.id == print_id).values(print_status=status.value, **values),
    )


def find_print(connection: Connection, print_id: int) -> tuple[int | None, PrintStatus] | None:
    """The job and the state of a copy; None: there is no such print."""
    row: Any = connection.execute(
        locked(select(prints.c.print_job_id, prints.c.print_status).where(prints.c.id == print_id))
    ).one_or_none()
    return None if row is None else (row.print_job_id, PrintStatus(row.print_status))


def release_print(connection: Connection, print_id: int) -> None:
    """Give the copy back to the queue."""
    later(
        connection,
        update(prints)
        .where(prints.c.id == print_id, prints.c.print_status == PrintStatus.PENDING.value)
        .values(printer_id=None),
    )


def set_job_printing(connection: Connection, job_id: int) -> None:
    """Show the rest of OpenFarm that the job's first copy prints."""
    later(
        connection,
        update(print_jobs)
        .where(
            print_jobs.c.id == job_id,
            print_jobs.c.job_status == JobStatus.OPERATOR_APPROVED.value,
        )
        .values(job_status=JobStatus.PRINTING.value),
    )


def complete(connection: Connection, job_id: int, at: datetime) -> bool:
    """Close a job whose copies are all done; False: it was closed already."""
    changed = connection.execute(
        update(print_jobs)
        .where(
            print_jobs.c.id == job_id,
            print_jobs.c.job_status.not_in([status.value for status in CLOSED_JOB_STATUSES]),
        )
        .values(job_status=JobStatus.COMPLETED.value, completed_at=at)
    )
    set_attention(connection, job_id, None)
    return changed.rowcount == 1


def set_attention(connection: Connection, job_id: int, text: str | None) -> None:
    """Say what a person has to see to, or that nothing is left."""
    later(connection, update(pms_jobs).where(pms_jobs.c.job_id == job_id).values(attention=text))


def clear_attention(connection: Connection, job_id: int) -> bool:
    """A person has seen to the job; False: there was nothing to see to."""
    changed = connection.execute(
        update(pms_jobs)
        .where(pms_jobs.c.job_id == job_id, pms_jobs.c.attention.is_not(None))
        .values(attention=None, gcode_retry_at=None)
    )
    return changed.rowcount == 1


def postpone(connection: Connection, job_id: int, until: datetime) -> None:
    """Try no copy of the job before then."""
    later(
        connection, update(pms_jobs).where(pms_jobs.c.job_id == job_id).values(gcode_retry_at=until)
    )


def end_postponement(connection: Connection, job_id: int) -> None:
    """The G-code that a postponed job waited for is there."""
    later(
        connection,
        update(pms_jobs)
        .where(pms_jobs.c.job_id == job_id, pms_jobs.c.gcode_retry_at.is_not(None))
        .values(attention=None, gcode_retry_at=None),
    )


def attentions(connection: Connection) -> list[tuple[int, str]]:
    """Open jobs that a person has to see to."""
    rows = connection.execute(
        select(pms_jobs.c.job_id, pms_jobs.c.attention)
        .join(print_jobs, print_jobs.c.id == pms_jobs.c.job_id)
        .where(
            pms_jobs.c.attention.is_not(None),
            print_jobs.c.job_status.not_in([status.value for status in CLOSED_JOB_STATUSES]),
        )
        .order_by(pms_jobs.c.job_id)
    )
    return [(row.job_id, row.attention) for row in rows]


def cancel_pending(connection: Connection, job_id: int, at: datetime) -> int:
    """Cancel the copies of a job that no printer has; returns how many."""
    changed = connection.execute(
        update(prints)
        .where(
            prints.c.print_job_id == job_id,
            prints.c.print_status == PrintStatus.PENDING.value,
            ~exists().where(and_(pms_attempts.c.print_id == prints.c.id, attempt_is_live)),
        )
        .values(print_status=PrintStatus.CANCELLED.value, finished_at=at)
    )
    return changed.rowcount


def status(connection: Connection, job_id: int) -> JobStatus | None:
    """The state of a job, locked until the commit; None: there is no such job."""
    found = connection.execute(
        locked(select(print_jobs.c.job_status).where(print_jobs.c.id == job_id))
    ).scalar_one_or_none()
    return None if found is None else JobStatus(found)


def close(connection: Connection, job_id: int, status: JobStatus) -> None:
    """Let the job get no new prints."""
    later(
        connection,
        update(print_jobs).where(print_jobs.c.id == job_id).values(job_status=status.value),
    )
