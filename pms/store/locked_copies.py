"""An attempt with its print, its job and its printer, locked until the commit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from pms.domain.printing import Copy
from pms.domain.states import AttemptState, Bed, JobStatus, PrintStatus
from pms.store.database import locked
from pms.store.tables import pms_attempts, pms_jobs, pms_printers, print_jobs, prints


def read(connection: Connection, attempt_id: int) -> Copy | None:
    """Read an attempt with its print, job and printer, and lock what decides over it."""
    whole = read_all(connection, [attempt_id]).get(attempt_id)
    if whole is not None:
        return whole
    attempt = connection.execute(_ATTEMPT_ALONE, {"attempt": attempt_id}).one_or_none()
    if attempt is None:
        return None
    # A print or a job that another service has deleted counts as cancelled.
    own_print = connection.execute(_PRINT_ALONE, {"print": attempt.print_id}).one_or_none()
    job = connection.execute(_JOB_ALONE, {"job": attempt.job_id}).one_or_none()
    return _copy(attempt, own_print, job)


def read_all(connection: Connection, attempt_ids: Collection[int]) -> dict[int, Copy]:
    """The same for several attempts at once, but for those whose print or job is gone."""
    if not attempt_ids:
        return {}
    rows = connection.execute(_WHOLE_COPIES, {"attempts": list(attempt_ids)}).all()
    return {row.id: _copy(row, row, row) for row in rows}


def _copy(attempt: Any, own_print: Any, job: Any) -> Copy:
    return Copy(
        attempt_id=attempt.id,
        state=AttemptState(attempt.state),
        print_id=attempt.print_id,
        job_id=attempt.job_id,
        printer_id=attempt.printer_id,
        print_status=PrintStatus(own_print.print_status) if own_print else PrintStatus.CANCELLED,
        job_status=JobStatus(job.job_status) if job else JobStatus.CANCELLED,
        paid=job is not None and job.paid,
        reprints_left=job.reprints_left or 0 if job else 0,
        consecutive_failures=attempt.consecutive_failures or 0,
        # Of a printer that is gone nobody knows the bed.
        bed=Bed(attempt.bed or Bed.OCCUPIED),
        started_at=attempt.started_at or (own_print.printed_since if own_print else None),
        cancel_requested=attempt.cancel_requested_at is not None,
        clear_requested=attempt.cleared_by_person,
        finished_byte_pos=job.finished_byte_pos if job else None,
        print_time_s=job.print_time if job else None,
    )


_ATTEMPT_COLUMNS = (
    pms_attempts.c.id,
    pms_attempts.c.state,
    pms_attempts.c.print_id,
    pms_attempts.c.job_id,
    pms_attempts.c.printer_id,
    pms_attempts.c.started_at,
    pms_attempts.c.cancel_requested_at,
    pms_attempts.c.cleared_by_person,
    pms_printers.c.consecutive_failures,
    pms_printers.c.bed,
)
_PRINT_COLUMNS = (prints.c.print_status, prints.c.started_at.label("printed_since"))
_JOB_COLUMNS = (
    print_jobs.c.job_status,
    print_jobs.c.paid,
    print_jobs.c.finished_byte_pos,
    print_jobs.c.print_time,
    pms_jobs.c.reprints_left,
)
_OF_PRINTER = pms_printers.c.printer_id == pms_attempts.c.printer_id
_OF_JOB = pms_jobs.c.job_id == print_jobs.c.id
#: Nearly always it is all there, and one statement locks it.
_WHOLE_COPIES: Select[Any] = locked(
    select(*_ATTEMPT_COLUMNS, *_PRINT_COLUMNS, *_JOB_COLUMNS)
    .select_from(pms_attempts)
    .join(prints, prints.c.id == pms_attempts.c.print_id)
    .join(print_jobs, print_jobs.c.id == pms_attempts.c.job_id)
    .outerjoin(pms_printers, _OF_PRINTER)
    .outerjoin(pms_jobs, _OF_JOB)
    .where(pms_attempts.c.id.in_(bindparam("attempts", expanding=True)))
    .order_by(pms_attempts.c.id),
    pms_attempts,
    prints,
    print_jobs,
)
_ATTEMPT_ALONE: Select[Any] = locked(
    select(*_ATTEMPT_COLUMNS)
    .outerjoin(pms_printers, _OF_PRINTER)
    .where(pms_attempts.c.id == bindparam("attempt")),
    pms_attempts,
)
_PRINT_ALONE: Select[Any] = locked(select(*_PRINT_COLUMNS).where(prints.c.id == bindparam("print")))
_JOB_ALONE: Select[Any] = locked(
    select(*_JOB_COLUMNS).outerjoin(pms_jobs, _OF_JOB).where(print_jobs.c.id == bindparam("job")),
    print_jobs,
)
