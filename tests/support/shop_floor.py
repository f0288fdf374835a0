"""A database with OpenFarm's tables and printers, and what the coordinator does with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from pms.bus import messages as bus
from pms.bus.messages import Event
from pms.coordinator import handlers, paid_jobs
from pms.coordinator.assignments import Assigner, Round
from pms.coordinator.effects import Policy
from pms.coordinator.farm import Farm
from pms.coordinator.handlers import Response, Sender
from pms.domain.capacity import Limits
from pms.domain.scheduling import MaterialMatch
from pms.domain.states import AttemptState, Bed, JobStatus, PrinterState
from pms.errors import DatabaseUnavailableError
from pms.store import attempts, outbox, printers, tables
from pms.store.attempts import Attempt, InHand
from pms.store.database import Database
from pms.store.intake import Intake
from pms.store.outbox import OutboxRow
from pms.store.schema import create_openfarm, migrate
from tests.support.worker_rig import MARKER, SHA1

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(
    reprints=2,
    printer_failures=3,
    max_copies=1000,
    delete_files_when_completed=False,
    legacy_print_finished=False,
)
SIZE = 100
STILL_S = 60.0


class ShopFloor:
    """Idle printers 1, 2 ... of one model, which persons clear."""

    def __init__(self, store: Database, number_of_printers: int = 1) -> None:
        self.store = store
        self.farm = Farm()
        self.now = 0.0
        self.limit()
        create_openfarm(store)
        migrate(store)
        with store.begin() as connection:
            connection.execute(insert(tables.printer_models).values(model="MK4", autostart=False))
            for number in range(number_of_printers):
                row = {"printer": f"p{number}", "printer_model_id": 1, "enabled": True}
                connection.execute(insert(tables.printers).values(row))
            printers.meet_new_ones(connection, AT)
        for printer_id in range(1, number_of_printers + 1):
            self.show(printer_id, PrinterState.IDLE)

    # -- jobs -----------------------------------------------------------------------

    def add_job(self, copies: int, **columns: Any) -> int:
        """A paid and approved job, not taken in."""
        row = {"submitted_at": AT, "num_copies": copies, "paid": True}
        row |= {"job_status": JobStatus.OPERATOR_APPROVED.value, **columns}
        with self.store.begin() as connection:
            added = connection.execute(
                insert(tables.print_jobs).values(row).returning(tables.print_jobs.c.id)
            )
            return int(added.scalar_one())

    def change_job(self, job_id: int, **columns: Any) -> None:
        with self.store.begin() as connection:
            chosen = update(tables.print_jobs).where(tables.print_jobs.c.id == job_id)
            connection.execute(chosen.values(columns))

    def take_in(self, job_id: int) -> Intake:
        with self.store.begin() as connection:
            return take_in(connection, job_id)

    def statuses(self, job_id: int) -> list[str]:
        """Of its prints, in the order in which they were made."""
        chosen = select(tables.prints.c.print_status).where(tables.prints.c.print_job_id == job_id)
        with self.store.read() as connection:
            return list(connection.execute(chosen.order_by(tables.prints.c.id)).scalars())

    # -- printers -------------------------------------------------------------------

    def show(self, printer_id: int, state: PrinterState) -> None:
        """A printer's process reports a state."""
        event = bus.PrinterStateChanged(at=AT, state=state)
        self.report(event, printer_id)
        self.farm[printer_id].report(event, 0.0)

    def limit(self, transfers: int | None = None, heating: int | None = None) -> None:
        """How many printers may take in files, or heat up, at a time, from a new start on."""
        limits = Limits(transfers=transfers, heating=heating)
        self.assigner = Assigner(self.farm, MaterialMatch.TRACKED, limits, STILL_S)

    def assign(self, after_s: float = 0.0, *, thorough: bool = True) -> Round:
        """A round so many seconds after the last one."""
        self.now += after_s
        at = AT + timedelta(seconds=self.now)
        with self.store.begin() as connection:
            return self.assigner.assign(connection, self.now, at, thorough=thorough)

    def report(self, event: Event, printer_id: int = 1) -> Response:
        with self.store.begin() as connection:
            return self._write(connection, [(printer_id, event)])[0]

    def report_together(self, *reports: tuple[int, Event]) -> list[Response]:
        """Of printers, in one transaction."""
        with self.store.begin() as connection:
            return self._write(connection, reports)

    @staticmethod
    def _write(connection: Connection, reports: Sequence[tuple[int, Event]]) -> list[Response]:
        senders = [(Sender(printer_id, 1, False), event) for printer_id, event in reports]
        return handlers.handle_all(connection, POLICY, senders)

    def bed(self, printer_id: int = 1) -> Bed:
        with self.store.read() as connection:
            return printers.get(connection, printer_id).bed

    def attempt(self, printer_id: int = 1) -> Attempt:
        """The live one on a printer."""
        with self.store.read() as connection:
            found = attempts.live_on(connection, printer_id)
        assert found is not None
        return found

    def live(self) -> list[InHand]:
        with self.store.read() as connection:
            return attempts.in_hand(connection)

    def lead_to(self, state: AttemptState, *, copies: int = 1) -> Attempt:
        """A new job whose first copy has come so far on printer 1."""
        self.take_in(self.add_job(copies))
        self.assign()
        attempt = self.attempt()
        for step, event in _way(attempt):
            if self.attempt().state is state:
                break
            self.report(event)
            assert self.attempt().state is step
        return self.attempt()

    # -- messages -------------------------------------------------------------------

    def waiting(self) -> list[OutboxRow]:
        """Messages that the broker has not confirmed, oldest first."""
        with self.store.read() as connection:
            return outbox.unpublished(connection, 1000)

    def count(self, table: Any) -> int:
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()


def take_in(connection: Connection, job_id: int) -> Intake:
    (taken,) = paid_jobs.take_in(connection, POLICY, [job_id], AT)
    return taken


def staged(attempt: Attempt) -> bus.TransferFinished:
    return bus.TransferFinished(
        at=AT,
        attempt_id=attempt.id,
        remote_path=attempt.remote_path,
        size=SIZE,
        sha1=SHA1,
        finish_marker=MARKER,
    )


def _way(attempt: Attempt) -> list[tuple[AttemptState, Event]]:
    return [
        (AttemptState.STAGED, staged(attempt)),
        (AttemptState.STARTING, bus.PrintStarting(at=AT, attempt_id=attempt.id)),
        (AttemptState.PRINTING, bus.PrintStarted(at=AT, attempt_id=attempt.id)),
        (AttemptState.FINISHED, bus.PrintFinished(at=AT, attempt_id=attempt.id)),
    ]


class FailingDatabase(Database):
    """One whose commits are lost while `away` is set."""

    away = False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with super().begin() as connection:
            yield connection
            if self.away:
                raise DatabaseUnavailableError("the server has gone away")
