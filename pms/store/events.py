"""The farm's diary: what happened, to which printer, job and print, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from pms.store.pending import append
from pms.store.tables import pms_events

#: The most rows that one call deletes, so that no transaction takes long.
PRUNE_LIMIT = 10_000


class EventRow(NamedTuple):
    """One entry of the diary."""

    id: int
    at: datetime
    #: A stable snake_case name.
    kind: str
    printer_id: int | None
    job_id: int | None
    print_id: int | None
    attempt_id: int | None
    detail: str


def record(
    connection: Connection,
    now: datetime,
    kind: str,
    *,
    printer_id: int | None = None,
    job_id: int | None = None,
    print_id: int | None = None,
    attempt_id: int | None = None,
    detail: str = "",
) -> None:
    """Write an entry, in the transaction of the change that it tells of."""
    append(
        connection,
        pms_events,
        {
            "at": now,
            "kind": kind,
            "printer_id": printer_id,
            "job_id": job_id,
            "print_id": print_id,
            "attempt_id": attempt_id,
            "detail": detail,
        },
    )


def record_of_jobs(
    connection: Connection, now: datetime, kind: str, details: Mapping[int, str]
) -> None:
    """Write an entry for each of these jobs."""
    for job_id, detail in details.items():
        record(connection, now, kind, job_id=job_id, detail=detail)


def recent(
    connection: Connection,
    *,
    after_id: int | None = None,
    printer_id: int | None = None,
    job_id: int | None = None,
    limit: int = 100,
) -> list[EventRow]:
    """Return up to `limit` entries, oldest first.

    They are the newest ones, or with `after_id` those that follow that entry, so that a
    reader that goes on from the last one it got misses none.
    """
    chosen = select(*(pms_events.c[name] for name in EventRow._fields)).limit(limit)
    if printer_id is not None:
        chosen = chosen.where(pms_events.c.printer_id == printer_id)
    if job_id is not None:
        chosen = chosen.where(pms_events.c.job_id == job_id)
    if after_id is not None:
        following = chosen.where(pms_events.c.id > after_id).order_by(pms_events.c.id)
        return [EventRow._make(row) for row in connection.execute(following)]
    newest = connection.execute(chosen.order_by(pms_events.c.id.desc())).all()
    return [EventRow._make(row) for row in reversed(newest)]


def prune(connection: Connection, before: datetime) -> int:
    """Delete some of the entries from before then; return how many.

    Call it again while it returns more than 0.
    """
    old = select(pms_events.c.id).where(pms_events.c.at < before).limit(PRUNE_LIMIT)
    return connection.execute(delete(pms_events).where(pms_events.c.id.in_(old))).rowcount
