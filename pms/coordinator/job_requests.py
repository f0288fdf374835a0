"""What operators ask for whole jobs: print what failed once more, or give the job up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pms.bus import messages as bus
from pms.bus.messages import Command
from pms.coordinator import announcements
from pms.coordinator.requests import Reply
from pms.domain.states import CLOSED_JOB_STATUSES, AttemptState, JobStatus
from pms.errors import NotFoundError, RefusedError
from pms.store import attempts, copies, events, jobs


def retry(connection: Connection, job_id: int, now: datetime) -> Reply:
    """Let the copies that failed for good be printed once more."""
    _refuse_closed(connection, job_id)
    created = copies.create_missing(connection, job_id, now)
    had_attention = jobs.clear_attention(connection, job_id)
    if not created and not had_attention:
        raise RefusedError(f"job {job_id} has nothing to retry: no copy of it failed for good")
    events.record(connection, now, "job_retried", job_id=job_id, detail=f"{created} new prints")
    return Reply({"job_id": job_id, "created": created, "state": "retried"})


def cancel(connection: Connection, job_id: int, now: datetime) -> Reply:
    """Give the job up: its copies are cancelled wherever they are."""
    return _give_up(connection, job_id, JobStatus.CANCELLED, now)


def reject(connection: Connection, job_id: int, now: datetime) -> Reply:
    """Give up a job that cannot be printed, and tell its customer."""
    reply = _give_up(connection, job_id, JobStatus.REJECTED, now)
    announcements.add_rejection(connection, job_id, now)
    return reply


def _give_up(connection: Connection, job_id: int, status: JobStatus, now: datetime) -> Reply:
    _refuse_closed(connection, job_id)
    jobs.close(connection, job_id, status)
    jobs.clear_attention(connection, job_id)
    cancelled = jobs.cancel_pending(connection, job_id, now)
    events.record(connection, now, f"job_{status}", job_id=job_id)
    return Reply(
        {"job_id": job_id, "cancelled": cancelled, "state": status.value},
        _cancel_running(connection, job_id, now),
    )


def _cancel_running(
    connection: Connection, job_id: int, now: datetime
) -> list[tuple[int, Command]]:
    """A part that is complete stays; it is cleared as any other."""
    commands: list[tuple[int, Command]] = []
    for attempt in attempts.live_of_job(connection, job_id):
        if attempt.state is not AttemptState.FINISHED:
            attempts.request_cancel(connection, attempt.id, now)
            commands.append((attempt.printer_id, bus.CancelPrint(attempt_id=attempt.id)))
    return commands


def _refuse_closed(connection: Connection, job_id: int) -> None:
    status = jobs.status(connection, job_id)
    if status is None:
        raise NotFoundError(f"there is no job {job_id}; see `pms-coordinator job list`")
    if status in CLOSED_JOB_STATUSES:
        raise RefusedError(f"job {job_id} is {status} already")
