"""A virtual host as OpenFarm's other services see it: what they publish, what they receive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pika
import pika.exceptions

from tests.support.ports import HOST
from tests.support.waiting import wait_until

#: Exchange → the queues that OpenFarm's definitions bind to it.
TOPOLOGY = {
    "JobPaid": ("JobPaid", "EmailJobPaid"),
    "PrintStarted": ("PrintStarted", "EmailPrintStarted"),
    "PrintFinished": ("PrintFinished", "DiscordPrintFinished"),
    "PrintCleared": ("PrintCleared", "EmailPrintCleared"),
    "JobRejected": ("JobRejected", "EmailJobRejected", "DeleteFile"),
    "JobCompleted": ("DeleteFile",),
}


class Message(NamedTuple):
    """One received message; the body is the bytes as they are when they are not JSON."""

    body: Any
    properties: pika.BasicProperties


@dataclass(frozen=True, kw_only=True)
class Broker:
    """How to reach one virtual host. Every call makes a connection of its own."""

    virtual_host: str
    port: int
    user: str
    password: str
    host: str = HOST

    @property
    def environment(self) -> dict[str, str]:
        return {
            "RABBITMQ_HOST": self.host,
            "RABBITMQ_PORT": str(self.port),
            "RABBITMQ_VHOST": self.virtual_host,
            "RABBITMQ_USER": self.user,
            "RABBITMQ_PASSWORD": self.password,
        }

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of a new connection, which ends with the block."""
        parameters = pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.virtual_host,
            credentials=pika.PlainCredentials(self.user, self.password),
            socket_timeout=10,
            blocked_connection_timeout=10,
        )
        with pika.BlockingConnection(parameters) as connection:
            yield connection.channel()

    def declare_openfarm_topology(self) -> None:
        """Declare all exchanges, queues and bindings as OpenFarm's definitions do."""
        with self.channel() as channel:
            for exchange, queues in TOPOLOGY.items():
                channel.exchange_declare(exchange, "direct", durable=True)
                for queue in queues:
                    channel.queue_declare(queue, durable=True)
                    channel.queue_bind(queue, exchange, routing_key="")

    def publish_job_paid(self, *jobs: int | bytes) -> None:
        """Publish as the payment service does, a message for each id or raw body.

        Returns when the broker has them; raises pika's UnroutableError where no queue is bound.
        """
        with self.channel() as channel:
            channel.confirm_delivery()
            for job in jobs:
                body = job if isinstance(job, bytes) else json.dumps({"JobId": job}).encode()
                channel.basic_publish("JobPaid", "", body, mandatory=True)

    def messages(self, queue: str) -> list[Message]:
        """Take everything out of a queue."""
        with self.channel() as channel:
            return list(_drain(channel, queue))

    def wait_for_messages(self, queue: str, count: int, timeout_s: float = 10.0) -> list[Message]:
        """Take out messages until there are `count` or more.

        Outages of the broker in the meantime do not matter.
        """
        found: list[Message] = []

        def enough() -> bool:
            found.extend(self.messages(queue))
            return len(found) >= count

        wait_until(
            enough,
            timeout_s,
            f"{count} messages in {queue}, of which {found} came",
            interval_s=0.05,
            ignoring=(pika.exceptions.AMQPError, OSError),
        )
        return found

    def queue_depth(self, queue: str) -> int:
        """How many messages are ready in a queue; those delivered and unacknowledged do not count.

        Raises pika's ChannelClosedByBroker where there is no such queue.
        """
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def is_declared(self, queue: str) -> bool:
        """Whether the queue exists."""
        try:
            self.queue_depth(queue)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True


def _drain(channel: Any, queue: str) -> Iterator[Message]:
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return
        yield Message(_parsed(body), properties)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
