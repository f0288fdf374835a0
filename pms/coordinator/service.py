"""The coordinator's main loop, and what has to be there before it turns."""

from __future__ import annotations

import fcntl
import gc
import logging
import math
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import zmq
from sqlalchemy import Connection

from pms import __version__, crash_points, logs
from pms.broker.intake import Delivery, Intake
from pms.broker.relay import LogRelay, Relay, RelayResult
from pms.bus.control import ControlSocket
from pms.bus.endpoints import Endpoints
from pms.bus.router import Router
from pms.bus.telemetry import Publisher
from pms.config import Settings
from pms.coordinator import table
from pms.coordinator.assignments import Assigner
from pms.coordinator.effects import Policy
from pms.coordinator.farm import Farm
from pms.coordinator.gate import Gate
from pms.coordinator.handlers import start_print
from pms.coordinator.notifications import Notifications
from pms.coordinator.paid_jobs import PaidJobs
from pms.coordinator.processes import PrinterProcesses
from pms.coordinator.questions import Questions
from pms.coordinator.reports import Reports
from pms.coordinator.startup import prepare_database
from pms.domain.capacity import Limits
from pms.errors import RefusedError
from pms.mailbox import Mailbox
from pms.store import events, outbox
from pms.store.database import Database

logger = logging.getLogger(__name__)

#: A round comes at least so often, so that nobody's silence goes unnoticed.
LONGEST_WAIT_S = 1.0
PRUNE_INTERVAL_S = 3600.0
#: A round of scheduling is followed by a pause of so many times what it took, so that with a long
#: queue the reports of what happens do not wait for it all the time; a thorough one, which takes
#: longest, by a longer pause, but only until the next thorough one.
ASSIGN_PAUSE, EXPLAIN_PAUSE = 5.0, 20.0
#: What took long because somebody else had stopped us says nothing about the queue.
LONGEST_ASSIGN_PAUSE_S = 1.0
#: From the signal to the end, whatever hangs; what is not done by then is done at the next start.
STOP_S = 8.0
#: Parts of it, for each of those that have to end.
DATABASE_STOP_S = 1.5
INTAKE_STOP_S = 1.5
WORKERS_STOP_S = 4.0
RELAY_STOP_S = 2.0


def run(settings: Settings) -> int:
    """Run the coordinator until SIGTERM or SIGINT; returns the exit code."""
    logs.configure(settings.log_level, settings.log_format, process="coordinator")
    for secret in settings.secrets:
        logs.register_secret(secret)
    for note in settings.notes:
        logger.warning("setting_note", extra={"fields": {"note": note}})
    endpoints = Endpoints(settings.runtime_dir)
    endpoints.prepare()
    _allow_open_files()
    with _only_one(settings.runtime_dir):
        coordinator = Coordinator(settings, endpoints)
        coordinator.run()
    return 0


def _allow_open_files() -> None:
    """Each printer takes three; of 1,024, the usual limit, there are enough for some 330."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _only_one(runtime_dir: Path) -> Iterator[None]:
    """Hold the runtime directory against a second coordinator."""
    path = runtime_dir / "coordinator.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"another coordinator runs on PMS_RUNTIME_DIR={runtime_dir}:"
                " stop it first, or choose another directory"
            ) from error
        yield


class Coordinator:
    """Owns the bus, the database and the printers' processes; everything in one loop."""

    def __init__(self, settings: Settings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._stopping = False
        self._context: zmq.Context[Any] = zmq.Context()
        self._router = Router(self._context, endpoints.workers)
        self._control = ControlSocket(self._context, endpoints.control)
        self._publisher = Publisher(self._context, endpoints.telemetry)
        self._database = Database(settings.database_url)
        self._gate = Gate(self._database)
        self._farm = Farm()
        self._policy = Policy(
            reprints=settings.reprints,
            printer_failures=settings.printer_failures,
            max_copies=settings.max_copies,
            delete_files_when_completed=settings.delete_files_when_completed,
            legacy_print_finished=settings.legacy_print_finished,
        )
        self._deliveries: Mailbox[Delivery] = Mailbox()
        self._results: Mailbox[RelayResult] = Mailbox()
        broker = settings.broker
        self._intake = Intake(broker, self._deliveries) if broker else None
        self._relay = Relay(broker, self._results) if broker else LogRelay(self._results)
        self._paid_jobs = PaidJobs(self._gate, self._policy, self._deliveries, self._intake)
        self._notifications = Notifications(self._gate, self._relay, self._results)
        self._processes = PrinterProcesses(settings, endpoints, self._router, self._farm)
        self._reports = Reports(
            self._router,
            self._gate,
            self._farm,
            self._policy,
            self._publisher,
            on_broken=self._processes.restart,
        )
        self._questions = Questions(
            self._control,
            self._database,
            self._gate,
            farm=self._farm,
            processes=self._processes,
            policy=self._policy,
            started_at=datetime.now(UTC),
            broker_state=self._broker_state,
        )
        self._assigner = Assigner(
            self._farm,
            settings.material_match,
            Limits(transfers=settings.max_transfers, heating=settings.max_heating),
            still_after_s=settings.upload_timeout_s,
        )
        self._poller = zmq.Poller()
        for source in (self._router.socket, self._control.socket):
            self._poller.register(source, zmq.POLLIN)
        for descriptor in (self._deliveries, self._results, self._processes):
            self._poller.register(descriptor.fileno(), zmq.POLLIN)
        #: A copy may find a printer that it did not find before.
        self._assign_due = True
        #: Why copies wait may have changed.
        self._explain_due = True
        #: When the next round of scheduling may be, and the next thorough one.
        self._assign_at = self._explain_at = 0.0
        self._look_at = 0.0
        self._prune_at = 0.0
        self._stop_by = float("inf")

    # -- life ---------------------------------------------------------------------

    def run(self) -> None:
        """Work until asked to stop, then leave everything as it can be taken up again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        logger.info("coordinator_starting", extra={"fields": {"version": __version__}})
        try:
            prepare_database(self._database, self._settings, lambda: self._stopping)
            if not self._stopping:
                self._work()
        finally:
            self._close()

    def _stop_soon(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            self._stop_by = time.monotonic() + STOP_S
            self._database.hurry(DATABASE_STOP_S)

    def _work(self) -> None:
        if self._intake is not None:
            self._intake.start()
        self._relay.start()
        # What is there now stays: a collection that looked at it would hold everything up.
        gc.collect()
        gc.freeze()
        logger.info("coordinator_started", extra={"fields": {"pid": os.getpid()}})
        while not self._stopping:
            self._wait()
            self._round(time.monotonic(), datetime.now(UTC))
        self._wind_down()

    def _round(self, now: float, at: datetime) -> None:
        self._gate.make_sure(now)
        if self._reports.process(now, at):
            self._notifications.pending |= self._reports.take_announced()
            self._assign_due |= self._farm.is_any_idle
            self._explain_due |= self._reports.take_requeued()
        if self._paid_jobs.process(now, at):
            self._assign_due = self._explain_due = True
        self._answer(now, at)
        self._processes.supervise(now)
        if now >= self._look_at and self._gate.is_open(now):
            self._look(now, at)
        if now >= self._prune_at and self._gate.is_open(now):
            self._prune(now, at)
        if self._next_assigning <= now and self._gate.is_open(now):
            self._assign(now, at)
        self._notifications.process(now, at)
        self._router.flush(now)

    def _wait(self) -> None:
        now = time.monotonic()
        deadline = min(
            now + LONGEST_WAIT_S,
            max(self._look_at, self._gate.opens_at),
            max(self._next_assigning, self._gate.opens_at),
            self._notifications.next_due(),
            self._processes.next_deadline(),
            self._router.next_due(now) or float("inf"),
        )
        self._poller.poll(math.ceil(max(0.0, deadline - now) * 1000))

    @property
    def _next_assigning(self) -> float:
        """When a round of scheduling is due; infinite while nothing calls for one."""
        return min(
            self._assign_at if self._assign_due else float("inf"),
            self._explain_at if self._explain_due else float("inf"),
        )

    # -- parts of a round -----------------------------------------------------------

    def _look(self, now: float, at: datetime) -> None:
        """See what has changed in the tables."""
        findings = self._gate.transact(
            lambda connection: table.look(
                connection,
                policy=self._policy,
                paid_jobs=self._paid_jobs,
                progress=self._farm.progress(),
                serving=self._processes.serving,
                stalled=self._farm.stalled(now, self._settings.stall_minutes * 60),
                at=at,
            ),
            now,
        )
        if findings is None:
            return
        self._look_at = now + self._settings.poll_interval_s
        for taken in findings.taken_in:
            self._paid_jobs.report(taken)
        if not self._processes.apply(findings.rows, now):
            self._look_at = now
        self._reports.autostart = frozenset(row.id for row in findings.rows if row.autostart)
        for printer_id, command in findings.commands:
            self._reports.order(printer_id, command, now)
        self._assign_due = self._explain_due = True
        self._notifications.pending = True

    def _prune(self, now: float, at: datetime) -> None:
        """Delete some of the diary and of the outbox that nobody needs any more."""
        before = at - timedelta(days=self._settings.event_retention_days)
        deleted = self._gate.transact(partial(_prune, before=before), now)
        self._prune_at = now + (PRUNE_INTERVAL_S if not deleted else LONGEST_WAIT_S)

    def _assign(self, now: float, at: datetime) -> None:
        """Give waiting copies to free printers."""
        thorough, began = self._explain_due and self._explain_at <= now, time.monotonic()
        done = self._gate.transact(
            lambda connection: self._assigner.assign(connection, now, at, thorough=thorough), now
        )
        if done is None:
            return
        ended = time.monotonic()
        pause = EXPLAIN_PAUSE if thorough else ASSIGN_PAUSE
        paused_until = ended + min(pause * (ended - began), LONGEST_ASSIGN_PAUSE_S)
        crash_points.reach("claim_committed")
        self._assign_due = False
        if done.reasons is not None:
            self._explain_due = False
            self._questions.reasons = done.reasons
        if thorough:
            self._explain_at = paused_until
        else:
            self._assign_at = paused_until
        for attempt in done.claimed:
            logger.info(
                "print_claimed",
                extra={
                    "printer_id": attempt.printer_id,
                    "job_id": attempt.job_id,
                    "print_id": attempt.print_id,
                    "attempt_id": attempt.id,
                },
            )
            self._reports.order(attempt.printer_id, start_print(attempt), now)

    def _answer(self, now: float, at: datetime) -> None:
        """Answer a question and do what follows from it."""
        consequence = self._questions.process(now, at)
        for printer_id, command in consequence.commands:
            self._reports.order(printer_id, command, now)
        if consequence.look:
            self._look_at = 0.0
        if consequence.changed:
            self._assign_due = self._explain_due = self._notifications.pending = True

    def _broker_state(self) -> str:
        return self._intake.state if self._intake else self._relay.state

    # -- the end ------------------------------------------------------------------------

    def _wind_down(self) -> None:
        """Stop intake, let the processes go, and publish what can still be published."""
        logger.info("coordinator_stopping")
        self._gate.end()
        if self._intake is not None:
            self._intake.stop(self._allowed_s(INTAKE_STOP_S))
        workers_s = self._allowed_s(WORKERS_STOP_S, kept_s=RELAY_STOP_S)
        self._processes.stop_all(time.monotonic() + workers_s, self._hear_last_words)
        self._hear_last_words()
        self._notifications.process(time.monotonic(), datetime.now(UTC))
        self._relay.stop(self._allowed_s(RELAY_STOP_S))
        self._notifications.process(time.monotonic(), datetime.now(UTC))

    def _allowed_s(self, wanted_s: float, kept_s: float = 0.0) -> float:
        """How long something may take to end, so that `kept_s` are left for what follows."""
        left_s = self._stop_by - kept_s - time.monotonic()
        return max(0.2, min(wanted_s, left_s))

    def _hear_last_words(self) -> None:
        self._reports.process(time.monotonic(), datetime.now(UTC))
        self._router.flush(time.monotonic())

    def _close(self) -> None:
        self._processes.kill_all()
        self._router.close()
        self._control.close()
        self._publisher.close()
        self._context.term()
        self._database.close()
        logger.info("coordinator_stopped")


def _prune(connection: Connection, before: datetime) -> int:
    return events.prune(connection, before) + outbox.prune(connection, before)
