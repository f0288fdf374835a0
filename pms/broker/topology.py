"""The exchanges and queues of OpenFarm that PMS needs, and making sure that they are there.

They belong to the broker's own definitions. PMS declares only what is missing, in the same
shape, so that it also runs on an empty broker; what has another shape is somebody's wish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pika import BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from pms.broker.messages import Exchange

#: The queue that PMS consumes.
JOB_PAID_QUEUE = "JobPaid"

#: Messages that PMS can't act on, with the reason in their headers.
DEAD_LETTER_QUEUE = "pms.dead-letter"

EXCHANGE_TYPE = "direct"
ROUTING_KEY = ""

#: Exchange to the queues that are bound to it.
BINDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        Exchange.JOB_PAID: (JOB_PAID_QUEUE, "EmailJobPaid"),
        Exchange.PRINT_STARTED: ("PrintStarted", "EmailPrintStarted"),
        Exchange.PRINT_FINISHED: ("PrintFinished", "DiscordPrintFinished"),
        Exchange.PRINT_CLEARED: ("PrintCleared", "EmailPrintCleared"),
        Exchange.JOB_REJECTED: ("JobRejected", "EmailJobRejected", "DeleteFile"),
        Exchange.JOB_COMPLETED: ("DeleteFile",),
    }
)

QUEUES = (*dict.fromkeys(queue for queues in BINDINGS.values() for queue in queues),)

ACCESS_REFUSED = 403


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What `ensure` did and saw, in words."""

    declared: tuple[str, ...] = ()
    #: Exists in another shape, or may not be declared: left alone.
    different: tuple[str, ...] = ()


def ensure(connection: BlockingConnection) -> Findings:
    """Declare what is missing and bind it; what has another shape is left alone.

    Raises pika's errors when the connection is lost.
    """
    return _Inspection(connection).run()


class _Inspection:
    """One walk through exchanges, queues and bindings."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self._channel: BlockingChannel | None = None
        self._declared: list[str] = []
        self._different: list[str] = []

    def run(self) -> Findings:
        exchanges = [name for name in BINDINGS if self._exchange_fits(name)]
        queues = [name for name in (*QUEUES, DEAD_LETTER_QUEUE) if self._queue_fits(name)]
        for exchange in exchanges:
            for queue in BINDINGS[exchange]:
                if queue in queues:
                    self._bind(exchange, queue)
        if self._channel and self._channel.is_open:
            self._channel.close()
        return Findings(declared=tuple(self._declared), different=tuple(self._different))

    def _exchange_fits(self, name: str) -> bool:
        def declare(channel: BlockingChannel, passive: bool) -> None:
            channel.exchange_declare(name, EXCHANGE_TYPE, passive=passive, durable=True)

        return self._fits(f"exchange {name}", declare)

    def _queue_fits(self, name: str) -> bool:
        def declare(channel: BlockingChannel, passive: bool) -> None:
            channel.queue_declare(name, passive=passive, durable=True)

        return self._fits(f"queue {name}", declare)

    def _fits(self, what: str, declare: Callable[[BlockingChannel, bool], None]) -> bool:
        absent = self._refusal(lambda channel: declare(channel, True))
        # A passive declaration only says that something has the name; declaring what exists
        # changes nothing, and is refused if the shape differs.
        refusal = self._refusal(lambda channel: declare(channel, False))
        if refusal is None:
            if absent:
                self._declared.append(what)
            return True
        if absent is None and refusal.reply_code == ACCESS_REFUSED:
            # It exists, and PMS has no permission to declare anything: nothing to complain of.
            return True
        self._different.append(f"{what}: {refusal.reply_text}")
        return False

    def _bind(self, exchange: str, queue: str) -> None:
        refusal = self._refusal(lambda channel: channel.queue_bind(queue, exchange, ROUTING_KEY))
        if refusal and refusal.reply_code != ACCESS_REFUSED:
            self._different.append(f"binding {exchange} to {queue}: {refusal.reply_text}")

    def _refusal(
        self, operation: Callable[[BlockingChannel], object]
    ) -> ChannelClosedByBroker | None:
        """Carry it out; a refusal closes the channel, so that the next one needs a fresh one."""
        if self._channel is None or self._channel.is_closed:
            self._channel = self._connection.channel()
        try:
            operation(self._channel)
        except ChannelClosedByBroker as refusal:
            return refusal
        return None
