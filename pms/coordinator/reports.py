"""The reports of the printers' processes: received, written in one transaction, acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from pms import crash_points
from pms.bus import messages as bus
from pms.bus.messages import Command, Event, Report
from pms.bus.router import Received, Router
from pms.bus.telemetry import Publisher
from pms.coordinator import handlers
from pms.coordinator.effects import Policy
from pms.coordinator.farm import Farm
from pms.coordinator.gate import Gate
from pms.coordinator.handlers import Response, Sender
from pms.domain.states import PrinterState

logger = logging.getLogger(__name__)

_TROUBLED = frozenset({PrinterState.ERROR, PrinterState.UNAUTHORIZED, PrinterState.UNREACHABLE})


class Reports:
    """Moves reports from the bus into the database, and the answers back onto the bus."""

    def __init__(
        self,
        router: Router,
        gate: Gate,
        farm: Farm,
        policy: Policy,
        publisher: Publisher,
        *,
        on_broken: Callable[[int], None],
    ) -> None:
        self._router = router
        self._gate = gate
        self._farm = farm
        self._policy = policy
        self._publisher = publisher
        #: Called with the printer whose report cannot be handled.
        self._on_broken = on_broken
        #: Printers whose bed nobody needs to clear; kept up to date by the owner.
        self.autostart: frozenset[int] = frozenset()
        self._requeued = False
        self._announced = False

    def process(self, now: float, at: datetime) -> bool:
        """Handle what has come; True: the database has changed."""
        received = self._router.receive(now)
        reports = [item for item in received if self._is_report(item, now, at)]
        if not reports:
            return False
        try:
            return self._commit(reports, now)
        except Exception:
            logger.exception("report_batch_failed")
        return self._commit_one_by_one(reports, now)

    def take_requeued(self) -> bool:
        """Whether copies may wait that did not when this was asked last."""
        requeued, self._requeued = self._requeued, False
        return requeued

    def take_announced(self) -> bool:
        """Whether messages may have been added to the outbox since this was asked last."""
        announced, self._announced = self._announced, False
        return announced

    def _is_report(self, item: Received, now: float, at: datetime) -> bool:
        if isinstance(item.message, Report):
            return True
        self._farm[item.printer_id].hear(item.message, now, at)
        self._publisher.publish(item.printer_id, item.message)
        return False

    def _commit_one_by_one(self, reports: Sequence[Received], now: float) -> bool:
        """One bad report must hold up its own printer alone."""
        broken: set[int] = set()
        changed = False
        for item in reports:
            if item.printer_id in broken:
                continue
            try:
                changed = self._commit([item], now) or changed
            except Exception:
                logger.exception("report_failed", extra={"printer_id": item.printer_id})
                broken.add(item.printer_id)
                self._on_broken(item.printer_id)
        return changed

    def _commit(self, reports: Sequence[Received], now: float) -> bool:
        responses = self._gate.transact(partial(self._write, reports), now)
        if responses is None:
            return False
        for item in reports:
            crash_points.reach(f"report_committed_{type(_event(item)).__name__}")
        for item, response in zip(reports, responses, strict=True):
            event = _event(item)
            self._take_note(item.printer_id, event, now)
            for command in response.commands:
                self._router.order(item.printer_id, command, now)
            self._router.acknowledge(item, response.granted)
        return True

    def _write(self, reports: Sequence[Received], connection: Connection) -> list[Response]:
        return handlers.handle_all(
            connection, self._policy, [(self._sender(item), _event(item)) for item in reports]
        )

    def _sender(self, item: Received) -> Sender:
        return Sender(item.printer_id, item.incarnation, item.printer_id in self.autostart)

    def _take_note(self, printer_id: int, event: Event, now: float) -> None:
        if isinstance(event, bus.PrinterStateChanged):
            self._farm[printer_id].report(event, now)
        self._requeued = self._requeued or requeues(event)
        self._announced = self._announced or announces(event)
        self._publisher.publish(printer_id, event)
        _log(printer_id, event)

    def order(self, printer_id: int, command: Command, now: float) -> None:
        """Send a command to a printer's process; one that starts later is briefed anyway."""
        if self._router.is_open(printer_id):
            self._router.order(printer_id, command, now)


def _event(item: Received) -> Event:
    if not isinstance(item.message, Report):
        raise TypeError("telemetry is not a report")
    return item.message.event


def requeues(event: Event) -> bool:
    """Whether a copy may wait after it that did not before."""
    if isinstance(event, bus.TransferFinished):
        return event.problem is not None
    return isinstance(event, bus.CommandRefused | bus.PrintFailed | bus.PrintCancelled)


def announces(event: Event) -> bool:
    """Whether the rest of OpenFarm may be told something because of it."""
    told_of = bus.PrintStarted | bus.PrintFinished | bus.PrintCleared
    # What ends a job's last open copy may complete the job.
    return requeues(event) or isinstance(event, told_of)


def _log(printer_id: int, event: Event) -> None:
    fields = {
        name: value
        for name in ("state", "detail", "reason", "problem", "command", "size", "finish_marker")
        if (value := getattr(event, name, None)) not in (None, "")
    }
    bad = isinstance(event, bus.PrintFailed | bus.CommandRefused) or (
        isinstance(event, bus.PrinterStateChanged) and event.state in _TROUBLED
    )
    logger.log(
        logging.WARNING if bad else logging.INFO,
        _snake_case(type(event).__name__),
        extra={
            "printer_id": printer_id,
            "attempt_id": getattr(event, "attempt_id", None),
            "fields": fields,
        },
    )


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
