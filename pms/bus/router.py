"""The coordinator's end of the bus. The main loop owns it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zmq

from pms.bus.codec import CodecError, decode_upstream, encode
from pms.bus.endpoints import bind, identity, open_socket
from pms.bus.messages import Acknowledge, Command, Message, Order, Report, Telemetry, Upstream
from pms.bus.outbox import Inbox, Outbox
from pms.errors import PMSError

logger = logging.getLogger(__name__)

#: How often a worker is answered although there is nothing to say: a fraction of the silence
#: after which it ends, and rarely enough not to wake hundreds for nothing.
SIGN_OF_LIFE_INTERVAL_S = 5.0
#: Committed together, and short enough for a question that comes meanwhile.
REPORTS_AT_ONCE = 20
#: Strangers that are remembered so that each is logged once.
MAX_STRANGERS = 1000


@dataclass(frozen=True, kw_only=True)
class Received:
    """A message of the process that counts for this printer."""

    printer_id: int
    incarnation: int
    message: Report | Telemetry


class NotOpenError(PMSError):
    """A printer has no process that could be told anything."""


class _Peer:
    """What is known of one run of a printer's process."""

    def __init__(self, printer_id: int, incarnation: int) -> None:
        self.printer_id = printer_id
        self.incarnation = incarnation
        self.identity = identity(printer_id, incarnation).encode()
        self.heard_at: float | None = None
        #: When it is told again that the coordinator's loop turns.
        self.answer_at = float("-inf")
        self.inbox = Inbox()
        self.outbox: Outbox[Command] = Outbox()
        #: Reports that were acknowledged with a no: the no has to be repeated with them.
        self.refused: set[int] = set()


class Router:
    """Receives each report until it is acknowledged, and sends commands until they are.

    Never blocks. `now` is monotonic seconds everywhere.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        """Listen; raises SettingsError when the endpoint cannot be used.

        A file that is already there is taken over, even from a living owner: see to it first
        that no other coordinator runs.
        """
        self.socket = open_socket(context, zmq.ROUTER)
        # Without it, what a full or absent peer cannot take would vanish in silence.
        self.socket.router_mandatory = 1
        self.socket.router_handover = 1
        bind(self.socket, endpoint)
        self._peers: dict[int, _Peer] = {}
        self._by_identity: dict[bytes, _Peer] = {}
        #: Those with commands in their outboxes.
        self._waiting: dict[int, _Peer] = {}
        self._strangers: set[bytes] = set()
        #: Senders and frames that have been read and not been taken.
        self._left: list[tuple[bytes, bytes]] = []

    def open(self, printer_id: int, incarnation: int) -> None:
        """From now on this run of the printer's process counts, and no earlier one."""
        self.forget(printer_id)
        peer = _Peer(printer_id, incarnation)
        self._peers[printer_id] = peer
        self._by_identity[peer.identity] = peer

    def forget(self, printer_id: int) -> None:
        """The printer's process no longer counts; commands that wait for it are dropped."""
        peer = self._peers.pop(printer_id, None)
        if peer is not None:
            del self._by_identity[peer.identity]
            self._waiting.pop(printer_id, None)

    def is_open(self, printer_id: int) -> bool:
        """Whether a run of this printer's process counts."""
        return printer_id in self._peers

    def heard_at(self, printer_id: int) -> float | None:
        """When the counting process was last heard of, by any message; None for never."""
        peer = self._peers.get(printer_id)
        return None if peer is None else peer.heard_at

    def receive(self, now: float, limit: int = 5000) -> list[Received]:
        """What has come, REPORTS_AT_ONCE reports of it at most, in each sender's order.

        Everybody whose frame is among the first `limit` counts as heard; those that were not
        taken come with the next call, which `next_due` asks for.

        A report is returned again (later) until it is acknowledged, so acknowledge what is done
        before the next call. When one cannot be done, leave that printer's later ones of the
        same batch alone too.
        """
        received: list[Received] = []
        #: How far each sender's reports would be if all of this batch were acknowledged.
        cursors: dict[int, Inbox] = {}
        reports = 0
        for sender, frame in self._frames(limit):
            peer = self._by_identity.get(sender)
            if peer is None:
                self._note_stranger(sender)
                continue
            self._heard(peer, now)
            if reports >= REPORTS_AT_ONCE:
                self._left.append((sender, frame))
                continue
            message = self._decode(peer, frame)
            if message is None:
                continue
            cursor = cursors.setdefault(peer.printer_id, Inbox(peer.inbox.last))
            taken = self._take(peer, cursor, message)
            if taken is not None:
                received.append(taken)
                reports += isinstance(message, Report)
        return received

    def acknowledge(self, received: Received, granted: bool = True) -> None:
        """The effect of this report is committed: it need not come again.

        Nothing happens when an earlier report of its sender is still open, or when its process
        no longer counts.
        """
        peer = self._peers.get(received.printer_id)
        report = received.message
        if peer is None or peer.incarnation != received.incarnation:
            return
        if not isinstance(report, Report) or peer.inbox.peek(report.sequence) == "gap":
            return
        if peer.inbox.advance(report.sequence) and not granted:
            peer.refused.add(report.sequence)
        self._send_acknowledge(peer, report.sequence)

    def order(self, printer_id: int, command: Command, now: float) -> int:
        """Send a command, again and again until it is acknowledged; returns its sequence.

        Raises NotOpenError when the printer has no process that counts.
        """
        peer = self._peers.get(printer_id)
        if peer is None:
            raise NotOpenError(f"printer {printer_id} has no process to be commanded")
        encode(Order(sequence=0, command=command))
        sequence = peer.outbox.add(command, now)
        self._waiting[printer_id] = peer
        self._flush(peer, now)
        return sequence

    def flush(self, now: float) -> None:
        """Send the commands that are due (again)."""
        for peer in self._waiting.values():
            self._flush(peer, now)

    def next_due(self, now: float) -> float | None:
        """The time at which `flush` should be called next, `now` at the earliest."""
        if self._left:
            return now
        due = (peer.outbox.next_due(now) for peer in self._waiting.values())
        return min((at for at in due if at is not None), default=None)

    def close(self, linger_s: float = 0.0) -> None:
        """Close the socket, giving what has been sent so long to leave."""
        self.socket.close(linger=int(linger_s * 1000))

    def _frames(self, limit: int) -> Iterator[tuple[bytes, bytes]]:
        left, self._left = self._left, []
        yield from left
        for _ in range(limit - len(left)):
            try:
                sender, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield sender, b"".join(frames)

    def _heard(self, peer: _Peer, now: float) -> None:
        peer.heard_at = now
        peer.outbox.unblock()
        if now >= peer.answer_at:
            peer.answer_at = now + SIGN_OF_LIFE_INTERVAL_S
            self._send(peer, Acknowledge(sequence=0))

    def _note_stranger(self, sender: bytes) -> None:
        if sender in self._strangers:
            return
        if len(self._strangers) >= MAX_STRANGERS:
            self._strangers.clear()
        self._strangers.add(sender)
        name = sender[:100].decode(errors="backslashreplace")
        logger.debug("bus_stranger_ignored", extra={"fields": {"identity": name}})

    def _decode(self, peer: _Peer, frame: bytes) -> Upstream | None:
        try:
            return decode_upstream(frame)
        except CodecError as error:
            fields = {"reason": str(error)}
            extra = {"printer_id": peer.printer_id, "fields": fields}
            logger.warning("bus_frame_dropped", extra=extra)
            return None

    def _take(self, peer: _Peer, cursor: Inbox, message: Upstream) -> Received | None:
        """The message as its owner shall see it, or None when there is nothing to be done."""
        if isinstance(message, Acknowledge):
            self._settle(peer, message.sequence)
            return None
        if isinstance(message, Report) and cursor.accept(message.sequence) != "new":
            if peer.inbox.peek(message.sequence) == "duplicate":
                self._send_acknowledge(peer, message.sequence)
            return None
        return Received(printer_id=peer.printer_id, incarnation=peer.incarnation, message=message)

    def _settle(self, peer: _Peer, sequence: int) -> None:
        peer.outbox.acknowledge(sequence)
        if not peer.outbox:
            self._waiting.pop(peer.printer_id, None)

    def _send_acknowledge(self, peer: _Peer, sequence: int) -> None:
        granted = sequence not in peer.refused
        self._send(peer, Acknowledge(sequence=sequence, granted=granted))

    def _flush(self, peer: _Peer, now: float) -> None:
        def send(sequence: int, command: Command) -> bool:
            return self._send(peer, Order(sequence=sequence, command=command))

        peer.outbox.flush(now, send)

    def _send(self, peer: _Peer, message: Message) -> bool:
        """Hand a message to ZeroMQ; False when the peer is not there or takes nothing now."""
        try:
            self.socket.send_multipart([peer.identity, encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in {errno.EAGAIN, errno.EHOSTUNREACH}:
                return False
            raise
        return True
