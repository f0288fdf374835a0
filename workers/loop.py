"""The main thread of a printer's process: waits, decides, acts, and never blocks."""

from __future__ import annotations

import logging
import math
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

import zmq

from pms import crash_points
from pms.bus.dealer import Dealer, Granted
from pms.bus.messages import Heartbeat, PrinterReady, PrintStarting, Telemetry
from pms.mailbox import Mailbox
from workers.caller import Caller
from workers.printer import Printer
from workers.push import PushListener, PushStimulus
from workers.spec import WorkerSpec
from workers.steps import (
    AbortTransfer,
    Action,
    BeginTransfer,
    CallOutcome,
    Emit,
    Exit,
    MakeCall,
    Moment,
    Tell,
    TransferOutcome,
    WakePush,
)
from workers.transfer import Transfer

logger = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0
#: Processes beat in groups, on a clock that they share: hundreds of single beats would make the
#: coordinator's loop turn hundreds of times a second.
HEARTBEAT_GROUPS = 10
#: A coordinator that was silent for so long is gone or frozen for good.
COORDINATOR_SILENCE_S = 30.0
GOODBYE_S = 1.0


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The caller's thread has an outcome."""

    outcome: CallOutcome


@dataclass(frozen=True, slots=True)
class GcodeFetched:
    """The transfer's thread has got more of what it is going to send; bytes so far."""

    received: int


@dataclass(frozen=True, slots=True)
class TransferMoved:
    """The transfer's thread has sent more; bytes."""

    sent: int
    total: int


Stimulus = CallEnded | GcodeFetched | TransferMoved | TransferOutcome | PushStimulus


class PrinterLoop:
    """Owns the bus socket and the threads of one printer."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._stopping = threading.Event()
        self._mailbox: Mailbox[Stimulus] = Mailbox()
        self._context = zmq.Context()
        self._dealer = Dealer(self._context, spec.bus_endpoint, spec.identity)
        self._printer = Printer(
            enabled=spec.enabled,
            poll_interval_s=spec.poll_interval_s,
            file_retention_s=spec.file_retention_s,
            random=random.random,
        )
        self._caller = Caller(spec, lambda outcome: self._mailbox.put(CallEnded(outcome)))
        self._push = PushListener(spec.address or "", spec.api_key or "", self._mailbox.put)
        self._transfer: Transfer | None = None
        self._poller = zmq.Poller()
        self._poller.register(self._dealer.socket, zmq.POLLIN)
        self._poller.register(self._mailbox.fileno(), zmq.POLLIN)
        self._next_beat_at = 0.0
        #: When there is something to do besides the heartbeat, if nothing comes before.
        self._due_at = 0.0
        self._started_at = time.monotonic()

    def stop_soon(self) -> None:
        """End the loop after the current round; safe to call from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop; leaves no thread behind that holds a connection."""
        logger.info("worker_started", extra={"printer_id": self._spec.printer_id})
        self._caller.start()
        self._push.start()
        now = _now()
        self._dealer.report(PrinterReady(at=now.utc, pid=os.getpid()), now.monotonic)
        self._perform(self._printer.tick(now))
        try:
            while not self._stopping.is_set():
                self._round()
        finally:
            self._close()

    def _round(self) -> None:
        """Hundreds of processes do this every second, most of them for the heartbeat alone."""
        wait_s = min(self._next_beat_at, self._due_at) - time.monotonic()
        something_came = self._poller.poll(math.ceil(max(0.0, wait_s) * 1000))
        if something_came or time.monotonic() >= self._due_at:
            self._work(_now())
            self._due_at = self._next_due(time.monotonic())
        self._beat(time.monotonic())

    def _work(self, now: Moment) -> None:
        self._hear_coordinator(now)
        for stimulus in self._mailbox.drain():
            self._perform(self._decide(stimulus, now))
        self._perform(self._printer.tick(now))
        self._dealer.flush(now.monotonic)
        self._end_if_alone(now.monotonic)

    def _next_due(self, now: float) -> float:
        send_again_at = self._dealer.next_due(now)
        return min(
            self._printer.next_deadline(),
            self._alone_at,
            float("inf") if send_again_at is None else send_again_at,
        )

    def _hear_coordinator(self, now: Moment) -> None:
        for item in self._dealer.receive(now.monotonic):
            if not isinstance(item, Granted):
                self._perform(self._printer.command(item, now))
                continue
            self._printer.recorded(item.event)
            if isinstance(item.event, PrinterReady):
                self._perform(self._printer.briefed(now))
            elif isinstance(item.event, PrintStarting):
                attempt_id = item.event.attempt_id
                self._perform(self._printer.start_granted(attempt_id, item.granted, now))

    def _decide(self, stimulus: Stimulus, now: Moment) -> list[Action]:
        match stimulus:
            case CallEnded(outcome):
                return self._printer.call_ended(outcome, now)
            case GcodeFetched(received):
                return self._printer.gcode_fetched(received)
            case TransferMoved(sent, total):
                return self._printer.transfer_moved(sent, total)
            case TransferOutcome():
                return self._printer.transfer_ended(stimulus, now)
            case _:
                return self._printer.push(stimulus, now)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Emit(event):
                    crash_points.reach(f"emit_{type(event).__name__}")
                    self._dealer.report(event, time.monotonic())
                case Tell(message):
                    self._dealer.telemetry(message)
                case MakeCall(call):
                    self._caller.make(call)
                case BeginTransfer():
                    self._begin_transfer(action)
                case AbortTransfer():
                    self._abort_transfer()
                case WakePush():
                    self._push.wake()
                case Exit():
                    self._stopping.set()
                case _:
                    assert_never(action)

    def _begin_transfer(self, request: BeginTransfer) -> None:
        self._abort_transfer()
        self._transfer = Transfer(
            self._spec,
            request,
            on_fetch=lambda received: self._mailbox.put(GcodeFetched(received)),
            on_progress=lambda sent, total: self._mailbox.put(TransferMoved(sent, total)),
            on_end=self._mailbox.put,
        )
        self._transfer.start()

    def _abort_transfer(self) -> None:
        if self._transfer is not None:
            self._transfer.abort()
            self._transfer = None

    def _beat(self, now: float) -> None:
        if now >= self._next_beat_at:
            self._next_beat_at = next_beat_at(now, self._spec.printer_id)
            heartbeat: Telemetry = Heartbeat()
            self._dealer.telemetry(heartbeat)

    @property
    def _alone_at(self) -> float:
        """When the coordinator's silence has lasted too long."""
        return (self._dealer.last_heard_at or self._started_at) + COORDINATOR_SILENCE_S

    def _end_if_alone(self, now: float) -> None:
        if now >= self._alone_at:
            logger.warning("coordinator_silent", extra={"printer_id": self._spec.printer_id})
            self._stopping.set()

    def _close(self) -> None:
        self._abort_transfer()
        self._push.stop()
        self._caller.stop()
        self._dealer.close(GOODBYE_S)
        self._context.term()
        self._mailbox.close()
        logger.info("worker_stopped", extra={"printer_id": self._spec.printer_id})


def next_beat_at(now: float, printer_id: int) -> float:
    """The beat of this printer's group that comes next, at most an interval from now."""
    offset = printer_id % HEARTBEAT_GROUPS / HEARTBEAT_GROUPS
    return (math.floor(now / HEARTBEAT_INTERVAL_S - offset) + 1 + offset) * HEARTBEAT_INTERVAL_S


def _now() -> Moment:
    return Moment(time.monotonic(), datetime.now(UTC))
