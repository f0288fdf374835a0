"""The queue: copies that wait for a printer, in the order in which they are served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from pms.domain.backoff import still_waits
from pms.domain.printing import GCODE_RETRY_AFTER
from pms.domain.scheduling import Need, WaitingPrint
from pms.domain.states import (
    CLOSED_JOB_STATUSES,
    STARTABLE_JOB_STATUSES,
    AttemptState,
    PrintStatus,
)
from pms.store.tables import attempt_is_live, pms_attempts, pms_jobs, print_jobs, prints


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """Copies that wait: those that may start, in their order, and why the others may not."""

    startable: list[WaitingPrint]
    held_back: dict[int, str]
    #: Job of each waiting print.
    job_ids: dict[int, int]


def read(connection: Connection, now: datetime) -> Queue:
    """Every pending copy that no printer has."""
    waiting = _waiting(connection)
    startable: list[WaitingPrint] = []
    held_back: dict[int, str] = {}
    job_ids: dict[int, int] = {}
    avoid = _failed_on(connection) if waiting else {}
    for row in _jobs(connection) if waiting else ():
        job_id, model_id, material_id, priority, paid, job_status, attention, retry_at = row
        reason = _held_back(paid, job_status, attention, retry_at, now)
        need, avoided = Need(model_id, material_id), avoid.get(job_id, frozenset())
        for print_id in waiting.get(job_id, ()):
            job_ids[print_id] = job_id
            if reason is None:
                startable.append(WaitingPrint(print_id, job_id, need, priority, avoided))
            else:
                held_back[print_id] = reason
    return Queue(startable=startable, held_back=held_back, job_ids=job_ids)


def _waiting(connection: Connection) -> dict[int | None, list[int]]:
    """Pending prints of each job, in the order in which they were made."""
    rows = connection.execute(
        select(prints.c.print_job_id, prints.c.id)
        .where(
            prints.c.print_status == PrintStatus.PENDING.value,
            # Not with EXISTS: without statistics PostgreSQL compares every copy with every attempt.
            prints.c.id.not_in(select(pms_attempts.c.print_id).where(attempt_is_live)),
        )
        .order_by(prints.c.id)
    ).all()
    found: defaultdict[int | None, list[int]] = defaultdict(list)
    for job_id, print_id in rows:
        found[job_id].append(print_id)
    return found


def _jobs(connection: Connection) -> Sequence[Any]:
    """Open jobs, in the order in which they are served."""
    return connection.execute(
        select(
            print_jobs.c.id,
            print_jobs.c.printer_model_id,
            print_jobs.c.material_id,
            pms_jobs.c.priority,
            print_jobs.c.paid,
            print_jobs.c.job_status,
            pms_jobs.c.attention,
            pms_jobs.c.gcode_retry_at,
        )
        .join(pms_jobs, pms_jobs.c.job_id == print_jobs.c.id)
        .where(print_jobs.c.job_status.not_in([status.value for status in CLOSED_JOB_STATUSES]))
        .order_by(pms_jobs.c.priority.desc(), pms_jobs.c.paid_at, print_jobs.c.id)
    ).all()


def _held_back(
    paid: bool,
    job_status: str,
    attention: str | None,
    gcode_retry_at: datetime | None,
    now: datetime,
) -> str | None:
    if not paid:
        return "the job is not paid"
    if job_status not in STARTABLE_JOB_STATUSES:
        return f"the job is {job_status}: an operator has to approve it"
    if gcode_retry_at is not None and still_waits(gcode_retry_at, now, GCODE_RETRY_AFTER):
        words = attention or "the G-code cannot be used"
        return f"{words}; asked again at {gcode_retry_at:%H:%M:%S} UTC"
    return None


def _failed_on(connection: Connection) -> dict[int, frozenset[int]]:
    """Printers on which copies of still open jobs have failed."""
    rows = connection.execute(
        select(pms_attempts.c.job_id, pms_attempts.c.printer_id)
        .join(print_jobs, print_jobs.c.id == pms_attempts.c.job_id)
        .where(
            pms_attempts.c.state == AttemptState.FAILED.value,
            print_jobs.c.job_status.not_in([status.value for status in CLOSED_JOB_STATUSES]),
        )
        .distinct()
    )
    printers: defaultdict[int, set[int]] = defaultdict(set)
    for job_id, printer_id in rows:
        printers[job_id].add(printer_id)
    return {job_id: frozenset(found) for job_id, found in printers.items()}
