"""Looking at the dead-letter queue and emptying it, for the commands.

AMQP can't browse: every call takes all messages, and those that it does not settle go back
to their places when its connection ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from pms.broker import intake, topology
from pms.broker.connection import connect, translated
from pms.config import BrokerSettings
from pms.errors import NotFoundError, RefusedError

#: More than a person can look at; the rest stays where it is.
LIMIT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message that PMS could not act on, and why."""

    id: str
    reason: str
    #: ISO 8601; empty if it is not known.
    failed_at: str
    #: The queue that it came from.
    queue: str
    exchange: str
    routing_key: str
    body: bytes


def list_all(settings: BrokerSettings) -> list[DeadLetter]:
    """Return the dead letters, the oldest first. Raises BrokerUnavailableError."""
    with _open(settings) as channel:
        return [letter for _, letter in _take(channel)]


def show(settings: BrokerSettings, letter_id: str) -> DeadLetter:
    """Return one. Raises NotFoundError, BrokerUnavailableError."""
    for letter in list_all(settings):
        if letter.id == letter_id:
            return letter
    raise NotFoundError(_missing({letter_id}))


def requeue(settings: BrokerSettings, letter_ids: Collection[str] | None = None) -> int:
    """Put dead letters, or all of them, back into the queues that they came from.

    Only there, not through the exchange: other services had their copy. Returns how many.
    Raises NotFoundError, RefusedError, BrokerUnavailableError.
    """
    with _open(settings) as channel:
        channel.confirm_delivery()
        chosen = _chosen(channel, letter_ids)
        for tag, letter in chosen:
            _return(channel, letter)
            channel.basic_ack(tag)
        return len(chosen)


def drop(settings: BrokerSettings, letter_ids: Collection[str] | None = None) -> int:
    """Delete dead letters, or all of them, for good. Returns how many.

    Raises NotFoundError, BrokerUnavailableError.
    """
    with _open(settings) as channel:
        chosen = _chosen(channel, letter_ids)
        for tag, _ in chosen:
            channel.basic_ack(tag)
        return len(chosen)


@contextmanager
def _open(settings: BrokerSettings) -> Iterator[BlockingChannel]:
    with translated(settings), connect(settings, "dead letters") as connection:
        topology.ensure(connection)
        yield connection.channel()


def _take(channel: BlockingChannel) -> Iterator[tuple[int, DeadLetter]]:
    for _ in range(LIMIT):
        method, properties, body = channel.basic_get(topology.DEAD_LETTER_QUEUE)
        if method is None:
            return
        yield method.delivery_tag, _read(properties, body)


def _chosen(
    channel: BlockingChannel, letter_ids: Collection[str] | None
) -> list[tuple[int, DeadLetter]]:
    letters = list(_take(channel))
    if letter_ids is None:
        return letters
    wanted = set(letter_ids)
    if missing := wanted - {letter.id for _, letter in letters}:
        raise NotFoundError(_missing(missing))
    return [(tag, letter) for tag, letter in letters if letter.id in wanted]


def _return(channel: BlockingChannel, letter: DeadLetter) -> None:
    try:
        channel.basic_publish(
            exchange="",
            routing_key=letter.queue,
            body=letter.body,
            properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
            mandatory=True,
        )
    except (UnroutableError, NackError, ChannelClosedByBroker) as error:
        raise RefusedError(
            f"the queue {letter.queue} does not take dead letter {letter.id}"
        ) from error


def _read(properties: Any, body: bytes) -> DeadLetter:
    headers = properties.headers or {}
    return DeadLetter(
        id=properties.message_id or sha256(body).hexdigest()[:12],
        reason=str(headers.get(intake.REASON_HEADER, "not known: not put there by PMS")),
        failed_at=str(headers.get(intake.FAILED_AT_HEADER, "")),
        queue=str(headers.get(intake.QUEUE_HEADER, topology.JOB_PAID_QUEUE)),
        exchange=str(headers.get(intake.EXCHANGE_HEADER, "")),
        routing_key=str(headers.get(intake.ROUTING_KEY_HEADER, "")),
        body=body,
    )


def _missing(letter_ids: Collection[str]) -> str:
    return f"there is no dead letter {', '.join(sorted(letter_ids))}"
