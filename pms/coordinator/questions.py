"""The control socket: what commands and pages ask the coordinator, and its answers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pms import __version__, crash_points
from pms.bus import control
from pms.bus.control import ControlSocket
from pms.bus.messages import Command
from pms.coordinator import job_requests, requests
from pms.coordinator.effects import Policy
from pms.coordinator.farm import Farm
from pms.coordinator.gate import Gate
from pms.coordinator.processes import PrinterProcesses
from pms.coordinator.requests import Reply
from pms.coordinator.status import Health, describe
from pms.errors import DatabaseUnavailableError, PMSError
from pms.store.database import Database

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Consequence:
    """What is to be done after an answer."""

    commands: list[tuple[int, Command]]
    #: Somebody has changed the tables.
    look: bool = False
    #: A request has changed the tables.
    changed: bool = False


NONE = Consequence([])


class Questions:
    """Answers one question at a time; may read and write the database for it."""

    def __init__(
        self,
        socket: ControlSocket,
        database: Database,
        gate: Gate,
        *,
        farm: Farm,
        processes: PrinterProcesses,
        policy: Policy,
        started_at: datetime,
        broker_state: Callable[[], str],
    ) -> None:
        self._socket = socket
        self._database = database
        self._gate = gate
        self._farm = farm
        self._processes = processes
        self._policy = policy
        self._started_at = started_at
        self._broker_state = broker_state
        #: Why copies wait, from the last round of scheduling.
        self.reasons: dict[int, str] = {}
        self._last_status: dict[str, Any] = {"printers": [], "queue": [], "attention": []}

    def process(self, now: float, at: datetime) -> Consequence:
        """Answer the question that has come, if there is one."""
        question = self._socket.receive()
        if question is None:
            return NONE
        try:
            data, consequence = self._answer(question, now, at)
        except PMSError as error:
            self._socket.refuse(str(error))
            return NONE
        except Exception:
            logger.exception("question_failed")
            self._socket.refuse("the coordinator failed to answer; see its log")
            return NONE
        self._socket.answer(data)
        return consequence

    def _answer(self, question: control.Ask, now: float, at: datetime) -> tuple[Any, Consequence]:
        if isinstance(question, control.Wake):
            return {}, Consequence([], look=True)
        if isinstance(question, control.GetStatus):
            return self._status(now, at), NONE
        reply = self._carry_out(question, at)
        crash_points.reach(f"{type(question).__name__.lower()}_committed")
        return reply.data, Consequence(reply.commands, changed=True)

    def _carry_out(
        self,
        question: control.Request,
        at: datetime,
    ) -> Reply:
        self._database.claim()
        with self._database.begin() as connection:
            match question:
                case control.Clear(printer=printer, print_id=print_id):
                    return requests.clear(connection, self._farm, printer, print_id, at)
                case control.Pause(print_id=print_id):
                    return requests.pause(connection, print_id)
                case control.Resume(print_id=print_id):
                    return requests.resume(connection, print_id)
                case control.Cancel(print_id=print_id):
                    return requests.cancel(connection, self._policy, print_id, at)
                case control.RetryJob(job_id=job_id):
                    return job_requests.retry(connection, job_id, at)
                case control.CancelJob(job_id=job_id):
                    return job_requests.cancel(connection, job_id, at)
                case control.RejectJob(job_id=job_id):
                    return job_requests.reject(connection, job_id, at)

    def _status(self, now: float, at: datetime) -> dict[str, Any]:
        health = Health(
            pid=os.getpid(),
            started_at=self._started_at,
            database=self._gate.state,
            broker=self._broker_state(),
            version=__version__,
        )
        if not self._gate.is_open(now):
            return self._stale(health)
        try:
            self._last_status = self._fresh(health, at)
        except DatabaseUnavailableError as error:
            return self._stale(replace(health, database=str(error)))
        return self._last_status

    def _fresh(self, health: Health, at: datetime) -> dict[str, Any]:
        with self._database.read() as connection:
            return describe(
                connection,
                health=health,
                farm=self._farm,
                processes=self._processes,
                reasons=self.reasons,
                now=at,
            )

    def _stale(self, health: Health) -> dict[str, Any]:
        """What was true last is worth more to an operator than a refusal."""
        return {**self._last_status, "coordinator": health.describe()}
