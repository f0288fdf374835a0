"""Takes `JobPaid` messages off RabbitMQ, in a thread and over a connection of its own.

A message stays on the broker until its effects are committed: nothing is acknowledged here
but on request, and whatever is not acknowledged comes again after a break.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pika
from pika.exceptions import NackError, UnroutableError

from pms.broker import topology
from pms.broker.link import Link, Session
from pms.config import BrokerSettings
from pms.errors import BrokerUnavailableError
from pms.mailbox import Mailbox

logger = logging.getLogger(__name__)

#: Deliveries in the hands of PMS at a time.
PREFETCH = 500

#: A dead letter that the broker would not take is offered again after so long.
DEAD_LETTER_RETRY_S = 10.0

#: A reason is cut to this length: it travels in a header.
REASON_CHARACTERS = 500

#: Headers of a dead letter.
REASON_HEADER = "x-pms-reason"
FAILED_AT_HEADER = "x-pms-failed-at"
QUEUE_HEADER = "x-pms-queue"
EXCHANGE_HEADER = "x-pms-exchange"
ROUTING_KEY_HEADER = "x-pms-routing-key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A message as it came, to be acknowledged or dead-lettered."""

    #: Counts the connections of the intake; a tag means nothing on any other.
    epoch: int
    tag: int
    body: bytes
    redelivered: bool
    exchange: str = ""
    routing_key: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement on the wire; `multiple` covers every earlier tag too."""

    tag: int
    multiple: bool


class Unacknowledged:
    """The delivery tags of a channel that are still open, in the order in which they came."""

    def __init__(self) -> None:
        self._tags: dict[int, None] = {}

    def __contains__(self, tag: int) -> bool:
        return tag in self._tags

    def add(self, tag: int) -> None:
        """Note a delivery."""
        self._tags[tag] = None

    def settle(self, tags: Iterable[int]) -> list[Ack]:
        """Close those of the tags that are open, in as few acknowledgements as can be."""
        wanted = self._tags.keys() & tags
        oldest = 0
        for tag in self._tags:
            if tag not in wanted:
                break
            oldest = tag
        acks = [Ack(oldest, multiple=True)] if oldest else []
        acks += [Ack(tag, multiple=False) for tag in sorted(wanted) if tag > oldest]
        for tag in wanted:
            del self._tags[tag]
        return acks


class Intake:
    """Consumes the queue `JobPaid` into a mailbox; reconnects for ever."""

    def __init__(
        self, settings: BrokerSettings, mailbox: Mailbox[Delivery], prefetch: int = PREFETCH
    ) -> None:
        self._link = Link(settings, "intake", self, warns=True)
        self._mailbox = mailbox
        self._prefetch = prefetch
        self._epoch = 0
        self._consumption: _Consumption | None = None

    @property
    def state(self) -> str:
        """`connected`, or in words why not."""
        return self._link.state

    def start(self) -> None:
        """Begin to connect and to consume."""
        self._link.start()

    def stop(self, timeout_s: float) -> bool:
        """Send the acknowledgements asked for so far, then give the rest back to the queue.

        False: the broker did not answer in time; it gives the rest back when it notices.
        """
        return self._link.stop(timeout_s)

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tell the broker to forget these; those of an earlier connection are ignored."""
        if consumption := self._consumption:
            tags = [item.tag for item in deliveries if item.epoch == consumption.epoch]
            if tags:
                consumption.session.submit(partial(consumption.acknowledge, tags))

    def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead-letter queue; one of an earlier connection is ignored.

        It is acknowledged once the broker has confirmed the copy, and stays where it is until
        then.
        """
        consumption = self._consumption
        if consumption and consumption.epoch == delivery.epoch:
            consumption.session.submit(partial(consumption.dead_letter, delivery, reason))

    def prepare(self, session: Session) -> None:
        """Begin to consume on a new connection."""
        self._epoch += 1
        self._consumption = _Consumption(session, self._epoch, self._mailbox, self._prefetch)

    def serve(self, session: Session) -> None:
        """Consume until the link is to stop."""
        consumption = self._consumption
        while consumption and not self._link.stopping.is_set():
            session.turn()
            consumption.check()
        session.carry_out()

    def lost(self, _reason: str, /) -> None:
        """The connection is gone, and all tags with it."""
        self._consumption = None


class _Consumption:
    """What happens on one connection; all of it in the link's thread."""

    def __init__(
        self, session: Session, epoch: int, mailbox: Mailbox[Delivery], prefetch: int
    ) -> None:
        self.session = session
        self.epoch = epoch
        self._mailbox = mailbox
        self._unacknowledged = Unacknowledged()
        self._dead_letters = session.connection.channel()
        self._dead_letters.confirm_delivery()
        self._channel = session.connection.channel()
        self._channel.basic_qos(prefetch_count=prefetch)
        self._channel.add_on_cancel_callback(self._cancelled)
        self._channel.basic_consume(topology.JOB_PAID_QUEUE, self._delivered)

    def check(self) -> None:
        """Raise BrokerUnavailableError if the broker has closed the channel."""
        # pika says so only to whoever next uses the channel, and that may take long.
        if self._channel.is_closed:
            raise BrokerUnavailableError("RabbitMQ closed the channel of the intake")

    def acknowledge(self, tags: Iterable[int]) -> None:
        for ack in self._unacknowledged.settle(tags):
            self._channel.basic_ack(ack.tag, multiple=ack.multiple)

    def dead_letter(self, delivery: Delivery, reason: str) -> None:
        if delivery.tag not in self._unacknowledged:
            return
        try:
            self._publish(delivery, reason)
        except (UnroutableError, NackError) as refusal:
            self._put_off(delivery, reason, str(refusal))
        else:
            self.acknowledge([delivery.tag])

    def _publish(self, delivery: Delivery, reason: str) -> None:
        self._dead_letters.basic_publish(
            exchange="",
            routing_key=topology.DEAD_LETTER_QUEUE,
            body=delivery.body,
            properties=_dead_letter_properties(delivery, reason),
            mandatory=True,
        )

    def _put_off(self, delivery: Delivery, reason: str, refusal: str) -> None:
        logger.warning("dead_letter_refused", extra={"fields": {"reason": refusal}})
        topology.ensure(self.session.connection)
        again = partial(self.dead_letter, delivery, reason)
        self.session.connection.call_later(DEAD_LETTER_RETRY_S, again)

    def _delivered(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._unacknowledged.add(method.delivery_tag)
        self._mailbox.put(
            Delivery(
                epoch=self.epoch,
                tag=method.delivery_tag,
                body=body,
                redelivered=method.redelivered,
                exchange=method.exchange,
                routing_key=method.routing_key,
            )
        )

    def _cancelled(self, _frame: Any) -> None:
        raise BrokerUnavailableError(f"the queue {topology.JOB_PAID_QUEUE} was deleted")


def _dead_letter_properties(delivery: Delivery, reason: str) -> pika.BasicProperties:
    now = datetime.now(UTC)
    return pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent,
        message_id=uuid4().hex[:12],
        timestamp=int(now.timestamp()),
        app_id="pms",
        headers={
            REASON_HEADER: " ".join(reason.split())[:REASON_CHARACTERS],
            FAILED_AT_HEADER: now.isoformat(timespec="seconds"),
            QUEUE_HEADER: topology.JOB_PAID_QUEUE,
            EXCHANGE_HEADER: delivery.exchange,
            ROUTING_KEY_HEADER: delivery.routing_key,
        },
    )
