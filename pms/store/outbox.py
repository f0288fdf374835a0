"""Messages to the rest of OpenFarm, written in the transaction of the change they tell of.

The relay publishes them afterwards, in the order in which they were added, and marks them
once the broker has confirmed them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, delete, func, select, update

from pms.store.pending import append
from pms.store.tables import pms_outbox

#: The most rows that one call deletes, so that no transaction takes long.
PRUNE_LIMIT = 10_000


class OutboxRow(NamedTuple):
    """A message that the broker has not confirmed."""

    id: int
    exchange: str
    job_id: int
    body: bytes
    #: The same each time the message is sent.
    message_id: str
    created_at: datetime


def add(
    connection: Connection,
    exchange: str,
    job_id: int,
    body: bytes,
    now: datetime,
    *,
    message_id: str | None = None,
) -> str:
    """Let a message go out once the transaction is committed; return its id."""
    message_id = message_id or uuid4().hex
    append(
        connection,
        pms_outbox,
        {
            "exchange": exchange,
            "job_id": job_id,
            "body": body,
            "message_id": message_id,
            "created_at": now,
        },
    )
    return message_id


def unpublished(connection: Connection, limit: int) -> list[OutboxRow]:
    """Return the oldest messages that are still to be published, oldest first."""
    columns = [pms_outbox.c[name] for name in OutboxRow._fields]
    waiting = select(*columns).where(pms_outbox.c.published_at.is_(None))
    rows = connection.execute(waiting.order_by(pms_outbox.c.id).limit(limit))
    return [OutboxRow._make(row) for row in rows]


def mark_published(connection: Connection, ids: Iterable[int], now: datetime) -> None:
    """Note that the broker has confirmed these messages."""
    chosen = list(ids)
    if chosen:
        connection.execute(
            update(pms_outbox).where(pms_outbox.c.id.in_(chosen)).values(published_at=now)
        )


def prune(connection: Connection, before: datetime) -> int:
    """Delete some of the messages that were published before then; return how many.

    Call it again while it returns more than 0.
    """
    old = select(pms_outbox.c.id).where(pms_outbox.c.published_at < before).limit(PRUNE_LIMIT)
    return connection.execute(delete(pms_outbox).where(pms_outbox.c.id.in_(old))).rowcount


def depth(connection: Connection) -> int:
    """Return how many messages are still to be published."""
    waiting = select(func.count()).where(pms_outbox.c.published_at.is_(None))
    return connection.execute(waiting).scalar_one()
