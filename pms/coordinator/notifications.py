"""The outbox on its way to the broker: offered in order, marked once it is confirmed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from pms import crash_points
from pms.broker.relay import OutgoingMessage, Published, PublishFailed, RelayResult
from pms.coordinator.gate import Gate
from pms.mailbox import Mailbox
from pms.store import outbox

logger = logging.getLogger(__name__)

BATCH = 200
#: How long the relay is left alone after a failure.
RETRY_S = 2.0


class Publisher(Protocol):
    """The broker's relay, or what stands in for it without a broker."""

    def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """Publish in this order; results come by mailbox."""


class Notifications:
    """Feeds the relay from the outbox, a batch at a time."""

    def __init__(self, gate: Gate, relay: Publisher, results: Mailbox[RelayResult]) -> None:
        self._gate = gate
        self._relay = relay
        self._results = results
        self._in_flight: set[int] = set()
        self._confirmed: list[int] = []
        self._retry_at = 0.0
        #: There may be messages in the outbox that have not been offered.
        self.pending = True

    def next_due(self) -> float:
        """When `process` has something to do without any result, monotonic seconds."""
        if self._confirmed:
            return self._gate.opens_at
        if self.pending and not self._in_flight:
            return max(self._retry_at, self._gate.opens_at)
        return float("inf")

    def process(self, now: float, at: datetime) -> None:
        """Take in the relay's results, mark what is out, and offer the next batch."""
        for result in self._results.drain():
            self._note(result, now)
        if self._confirmed:
            self._mark(now, at)
        if self.pending and not self._in_flight and now >= self._retry_at:
            self._offer(now)

    def _note(self, result: RelayResult, now: float) -> None:
        match result:
            case Published(outbox_ids):
                crash_points.reach("notification_confirmed")
                self._confirmed += outbox_ids
                self._in_flight -= set(outbox_ids)
            case PublishFailed(reason):
                logger.warning("notifications_wait", extra={"fields": {"reason": reason}})
                self._in_flight.clear()
                self.pending = True
                self._retry_at = now + RETRY_S

    def _mark(self, now: float, at: datetime) -> None:
        ids = list(self._confirmed)

        def mark(connection: Connection) -> bool:
            outbox.mark_published(connection, ids, at)
            return True

        if self._gate.transact(mark, now):
            self._confirmed.clear()

    def _offer(self, now: float) -> None:
        rows = self._gate.transact(lambda c: outbox.unpublished(c, BATCH), now)
        if rows is None:
            return
        skipped = set(self._confirmed)
        messages = [
            OutgoingMessage(
                outbox_id=row.id,
                exchange=row.exchange,
                body=row.body,
                message_id=row.message_id,
                created_at=row.created_at,
            )
            for row in rows
            if row.id not in skipped
        ]
        self.pending = len(rows) == BATCH
        self._in_flight = {message.outbox_id for message in messages}
        self._relay.publish(messages)
