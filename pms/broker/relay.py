"""Publishes the outbox to RabbitMQ, in a thread and over a connection of its own.

One message at a time and each confirmed before the next: that is fast enough, and nothing
can overtake a message that the broker did not take.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError, UnroutableError

from pms.broker import topology
from pms.broker.link import TURN_S, Link, Session
from pms.config import BrokerSettings
from pms.mailbox import Mailbox

logger = logging.getLogger(__name__)

#: Confirmed messages are reported at least this often.
REPORT_EVERY = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingMessage:
    """A row of the outbox on its way."""

    #: Ascending in the order in which messages are to go out.
    outbox_id: int
    exchange: str
    body: bytes
    message_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """The broker has these, for good."""

    outbox_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """Whatever was offered and not reported as published is to be offered again, oldest first."""

    reason: str


RelayResult = Published | PublishFailed


class Relay:
    """Publishes what it is given, in order; forgets all that is queued when one fails."""

    def __init__(self, settings: BrokerSettings, results: Mailbox[RelayResult]) -> None:
        self._link = Link(settings, "relay", self, warns=False)
        self._results = results
        self._lock = threading.Lock()
        self._queue: deque[OutgoingMessage] = deque()
        self._highest_offered = 0
        self._failed = False
        self._channel: BlockingChannel | None = None

    @property
    def state(self) -> str:
        """`connected`, or in words why not."""
        return self._link.state

    def start(self) -> None:
        """Begin to connect."""
        self._link.start()

    def stop(self, timeout_s: float) -> bool:
        """Publish what is queued as far as it goes, then end; False: the broker hangs."""
        return self._link.stop(timeout_s)

    def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """Queue messages, ascending by their ids; called from any thread.

        While there is no connection they wait for the next try to make one.
        """
        if not messages:
            return
        with self._lock:
            if not self._accepts(messages):
                self._results.put(PublishFailed("an earlier message has to go out first"))
                return
            self._queue.extend(messages)
        if session := self._link.session:
            session.wake()

    def _accepts(self, messages: Sequence[OutgoingMessage]) -> bool:
        """Whether nothing that failed would be overtaken."""
        # After a failure the owner begins again with something that it has offered before. A
        # batch of new messages only was offered before the owner could know of the failure.
        unaware = self._failed and messages[0].outbox_id > self._highest_offered
        self._highest_offered = max(self._highest_offered, messages[-1].outbox_id)
        self._failed = unaware
        return not unaware

    def prepare(self, session: Session) -> None:
        """Open a channel with confirms."""
        self._channel = session.connection.channel()
        self._channel.confirm_delivery()

    def serve(self, session: Session) -> None:
        """Publish until the link is to stop and nothing is queued, or the time is up."""
        while not self._is_done():
            session.turn(0 if self._queue else TURN_S)
            if refusal := self._publish_some():
                topology.ensure(session.connection)
                logger.warning("publishing_refused", extra={"fields": {"reason": refusal}})
                self._fail(refusal)

    def lost(self, reason: str, /) -> None:
        """Give up what is queued."""
        self._fail(reason)

    def _is_done(self) -> bool:
        if not self._link.stopping.is_set():
            return False
        return not self._queue or time.monotonic() >= self._link.stop_at

    def _publish_some(self) -> str | None:
        """Publish from the head of the queue; returns in words why the broker refused one."""
        confirmed: list[int] = []
        try:
            while self._queue and len(confirmed) < REPORT_EVERY:
                self._publish_one(self._queue[0])
                confirmed.append(self._queue.popleft().outbox_id)
        except UnroutableError:
            return f"RabbitMQ has no queue for messages of exchange {self._queue[0].exchange}"
        except NackError:
            return f"RabbitMQ could not store a message of exchange {self._queue[0].exchange}"
        finally:
            if confirmed:
                self._results.put(Published(tuple(confirmed)))
        return None

    def _publish_one(self, message: OutgoingMessage) -> None:
        assert self._channel is not None
        self._channel.basic_publish(
            exchange=message.exchange,
            routing_key=topology.ROUTING_KEY,
            body=message.body,
            properties=_properties(message),
            mandatory=True,
        )

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self._queue:
                self._queue.clear()
                self._failed = True
                self._results.put(PublishFailed(reason))


class LogRelay:
    """Stands in for the relay where there is no broker: the log is where messages go."""

    def __init__(self, results: Mailbox[RelayResult]) -> None:
        self._results = results

    @property
    def state(self) -> str:
        """In words, for `status`."""
        return "embedded: notifications go to the log"

    def start(self) -> None:
        """Nothing to connect to."""

    def stop(self, _timeout_s: float, /) -> bool:
        """Nothing to wait for."""
        return True

    def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """Log each message in a line."""
        for message in messages:
            logger.info("notification", extra={"fields": _facts(message)})
        if messages:
            self._results.put(Published(tuple(message.outbox_id for message in messages)))


def _properties(message: OutgoingMessage) -> pika.BasicProperties:
    return pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent,
        content_type="application/json",
        message_id=message.message_id,
        timestamp=int(message.created_at.timestamp()),
        type=message.exchange,
        app_id="pms",
    )


def _facts(message: OutgoingMessage) -> dict[str, object]:
    return {
        "exchange": message.exchange,
        "message_id": message.message_id,
        "body": message.body.decode(errors="replace"),
    }
