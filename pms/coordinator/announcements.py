"""Puts messages for the rest of OpenFarm into the outbox."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pms.broker import messages
from pms.domain.printing import Announcement
from pms.store import events, outbox


def add(
    connection: Connection,
    what: Announcement,
    *,
    job_id: int,
    printer_id: int,
    at: datetime,
    print_time_s: float | None = None,
    legacy_print_finished: bool = False,
) -> None:
    """Let OpenFarm know, once the caller's transaction is committed.

    `print_time_s`: how long the copy will print, if that is known and anybody is to be told.
    """
    match what:
        case Announcement.PRINT_STARTED:
            body = messages.print_started(job_id, printer_id, print_time_s, at)
        case Announcement.PRINT_FINISHED:
            # The present service puts the printer's id there, and Discord shows it as one.
            named = printer_id if legacy_print_finished else job_id
            body = messages.print_finished(named, printer_id)
        case Announcement.PRINT_CLEARED:
            body = messages.print_cleared(job_id, printer_id, at)
        case Announcement.JOB_COMPLETED:
            body = messages.job_completed(job_id)
    _add(connection, what.value, job_id, body, at)


def add_rejection(connection: Connection, job_id: int, at: datetime) -> None:
    """Let the customer know that the job cannot be printed.

    OpenFarm's tables hold no e-mail address; the service that writes the e-mails knows it.
    """
    body = messages.job_rejected(job_id, None, messages.RejectReason.FAILED_TO_PRINT)
    _add(connection, messages.Exchange.JOB_REJECTED.value, job_id, body, at)


def _add(connection: Connection, exchange: str, job_id: int, body: bytes, at: datetime) -> None:
    outbox.add(connection, exchange, job_id, body, at)
    # Without a broker, the diary is where notifications can be read again.
    detail = f"{exchange} {body.decode()}"
    events.record(connection, at, "notification", job_id=job_id, detail=detail)
