"""The worker's end of the bus. One thread owns it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import zmq

from pms.bus.codec import CodecError, decode_downstream, encode
from pms.bus.endpoints import open_socket
from pms.bus.messages import Acknowledge, Command, Event, Message, Order, Report, Telemetry
from pms.bus.outbox import Inbox, Outbox

logger = logging.getLogger(__name__)

#: A bound on one drain, so that a flood cannot keep the loop from its other work.
DRAIN_LIMIT = 500


@dataclass(frozen=True, kw_only=True)
class Granted:
    """The coordinator has recorded our event; `granted` is its answer to a `PrintStarting`."""

    event: Event
    granted: bool


class Dealer:
    """Reports events until they are acknowledged, and receives each command once.

    Never blocks. `now` is monotonic seconds everywhere.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, identity: str) -> None:
        """Connect as `identity` (`endpoints.identity`), which nobody may ever have used before."""
        self.socket = open_socket(context, zmq.DEALER)
        self.socket.identity = identity.encode()
        # Nothing is queued for a coordinator that is not there; the outbox keeps it.
        self.socket.immediate = 1
        self.socket.connect(endpoint)
        #: When the last message of the coordinator came; None before the first.
        self.last_heard_at: float | None = None
        self._outbox: Outbox[Event] = Outbox()
        self._inbox = Inbox()

    @property
    def unacknowledged(self) -> int:
        """How many events the coordinator has not yet recorded."""
        return len(self._outbox)

    def report(self, event: Event, now: float) -> int:
        """Send an event, again and again until it is acknowledged; returns its sequence.

        Raises CodecError when it is too long to be sent.
        """
        encode(Report(sequence=0, event=event))
        sequence = self._outbox.add(event, now)
        self.flush(now)
        return sequence

    def telemetry(self, message: Telemetry) -> None:
        """Send a value now or never."""
        self._send(message)

    def receive(self, now: float) -> list[Command | Granted]:
        """New commands, and the acknowledgements of our events, in the order they came."""
        received: list[Command | Granted] = []
        for _ in range(DRAIN_LIMIT):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self.last_heard_at = now
            self._outbox.unblock()
            try:
                message = decode_downstream(b"".join(frames))
            except CodecError as error:
                logger.warning("bus_frame_dropped", extra={"fields": {"reason": str(error)}})
                continue
            taken = self._take(message)
            if taken is not None:
                received.append(taken)
        return received

    def flush(self, now: float) -> None:
        """Send the events that are due (again)."""
        self._outbox.flush(now, self._send_report)

    def next_due(self, now: float) -> float | None:
        """The time at which `flush` should be called next, `now` at the earliest."""
        return self._outbox.next_due(now)

    def close(self, linger_s: float = 0.0) -> None:
        """Close the socket, giving what has been sent so long to leave."""
        self.socket.close(linger=int(linger_s * 1000))

    def _take(self, message: Order | Acknowledge) -> Command | Granted | None:
        if isinstance(message, Acknowledge):
            event = self._outbox.acknowledge(message.sequence)
            return None if event is None else Granted(event=event, granted=message.granted)
        verdict = self._inbox.accept(message.sequence)
        if verdict != "gap":
            self._send(Acknowledge(sequence=message.sequence))
        return message.command if verdict == "new" else None

    def _send_report(self, sequence: int, event: Event) -> bool:
        return self._send(Report(sequence=sequence, event=event))

    def _send(self, message: Message) -> bool:
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True
