"""The printers' processes: one for each printer in the table, watched and restarted."""

from __future__ import annotations

import logging
import random
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pms import logs
from pms.bus import messages as bus
from pms.bus.endpoints import Endpoints
from pms.bus.router import Router
from pms.config import Settings
from pms.coordinator.child import Child
from pms.coordinator.deadlines import Deadlines
from pms.coordinator.farm import Farm
from pms.domain import liveness
from pms.domain import restarts as policy
from pms.domain.restarts import Phase
from pms.store.printers import PrinterRow
from workers.spec import WorkerSpec

logger = logging.getLogger(__name__)

#: Processes that are started in one round, so that the others' reports do not wait for long.
MOST_STARTS = 16
#: How often it is looked who is silent: more than enough for a silence of seconds.
LISTEN_INTERVAL_S = 0.5
DAY_S = 86400.0

_ENDED = frozenset({Phase.STOPPED, Phase.FATAL})


@dataclass(slots=True)
class _Worker:
    """One printer's process over all its incarnations."""

    #: What the next process is started with, but for its incarnation.
    spec: WorkerSpec
    state: policy.State = field(default_factory=policy.State)
    child: Child | None = None
    incarnation: int = 0
    restarts: int = -1
    #: The printer is out of the table.
    removed: bool = False


class PrinterProcesses:
    """Starts, watches and stops the children; the policy is `pms.domain.restarts`."""

    def __init__(
        self, settings: Settings, endpoints: Endpoints, router: Router, farm: Farm
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._router = router
        self._farm = farm
        self._workers: dict[int, _Worker] = {}
        #: Readable when a process has ended; a round costs the same however many there are.
        self._ends = select.epoll()
        #: Whose process ends, by its sentinel.
        self._by_sentinel: dict[int, int] = {}
        self._deadlines = Deadlines()
        self._listen_at = 0.0
        self._attention = liveness.begin(time.monotonic())

    # -- what runs ------------------------------------------------------------------

    @property
    def serving(self) -> frozenset[int]:
        """Printers that have a process, or are about to get one again."""
        return frozenset(
            printer_id
            for printer_id, worker in self._workers.items()
            if worker.child is not None or worker.state.phase not in _ENDED
        )

    def pid(self, printer_id: int) -> int | None:
        """The printer's process, if it has one now."""
        worker = self._workers.get(printer_id)
        return worker.child.pid if worker and worker.child else None

    def restarts(self, printer_id: int) -> int:
        """How often the printer's process was started again."""
        worker = self._workers.get(printer_id)
        return max(0, worker.restarts) if worker else 0

    def fileno(self) -> int:
        """Descriptor that is readable while a process has ended and was not reaped."""
        return self._ends.fileno()

    def next_deadline(self) -> float:
        """When `supervise` has something to do, monotonic seconds."""
        return self._deadlines.next()

    # -- what should run ----------------------------------------------------------------

    def apply(self, rows: Iterable[PrinterRow], now: float) -> bool:
        """Let exactly the printers of the table be served, each with its present settings.

        False: more printers are new than are started at once; call it again soon.
        """
        wanted = {row.id: row for row in rows}
        new = [printer_id for printer_id in wanted if printer_id not in self._workers]
        put_off = frozenset(new[MOST_STARTS:])
        for printer_id, row in wanted.items():
            if printer_id not in put_off:
                self._serve(row, now)
        for printer_id, worker in self._workers.items():
            if printer_id not in wanted and not worker.removed:
                worker.removed = True
                self._decide(printer_id, worker, policy.Stop(), now)
        self._forget_removed()
        return not put_off

    def _serve(self, row: PrinterRow, now: float) -> None:
        spec = self._spec(row)
        logs.register_secret(spec.api_key)
        worker = self._workers.setdefault(row.id, _Worker(spec))
        changed = worker.spec != spec or worker.removed
        worker.spec, worker.removed = spec, False
        # An earlier coordinator's, which may have lived by a clock that was ahead.
        worker.incarnation = max(worker.incarnation, row.incarnation)
        event = policy.Restart() if changed else policy.Start()
        self._decide(row.id, worker, event, now)

    def restart(self, printer_id: int) -> None:
        """Replace a printer's process by a new one, which asks OctoPrint for the facts."""
        worker = self._workers.get(printer_id)
        if worker is not None:
            self._decide(printer_id, worker, policy.Hung(), time.monotonic())

    def _forget_removed(self) -> None:
        gone = [
            printer_id
            for printer_id, worker in self._workers.items()
            if worker.removed and worker.child is None and worker.state.phase in _ENDED
        ]
        for printer_id in gone:
            del self._workers[printer_id]
            self._router.forget(printer_id)
            self._farm.forget(printer_id)

    def _spec(self, row: PrinterRow) -> WorkerSpec:
        settings = self._settings
        return WorkerSpec(
            printer_id=row.id,
            incarnation=0,
            name=row.name,
            address=row.address,
            api_key=row.api_key,
            enabled=row.enabled,
            bus_endpoint=self._endpoints.workers,
            poll_interval_s=settings.poll_interval_s,
            http_timeout_s=settings.http_timeout_s,
            upload_timeout_s=settings.upload_timeout_s,
            transfer_retries=settings.transfer_retries,
            file_retention_s=settings.file_retention_days * DAY_S,
            transfer_rate=settings.transfer_rate,
            cache_folder=settings.data_dir / "cache",
            cache_bytes=settings.cache_bytes,
            file_server_base_url=settings.file_server_base_url,
            session_file=settings.runtime_dir / f"printer-{row.id}.session",
            gcode_folder=settings.data_dir / "gcode",
            log_level=settings.log_level,
            log_format=settings.log_format,
        )

    # -- watching ---------------------------------------------------------------------

    def supervise(self, now: float) -> None:
        """Reap what has ended, notice what hangs, and do what is due; after each receive."""
        self._reap(now)
        self._attention = liveness.turn(self._attention, now)
        if now >= self._listen_at:
            self._listen_at = now + LISTEN_INTERVAL_S
            self._listen(now)
        self._do_what_is_due(now)

    def _listen(self, now: float) -> None:
        """Notice who has been heard of for the first time, and who has fallen silent."""
        last_heard = {}
        for printer_id, worker in self._workers.items():
            heard_at = self._router.heard_at(printer_id)
            if heard_at is None or worker.child is None:
                continue
            last_heard[printer_id] = heard_at
            if worker.state.phase is Phase.STARTING:
                self._decide(printer_id, worker, policy.Heard(), now)
        for printer_id in liveness.hung(last_heard, self._attention, now):
            if self._workers[printer_id].state.phase is Phase.RUNNING:
                self._warn("worker_hangs", printer_id)
                self._decide(printer_id, self._workers[printer_id], policy.Hung(), now)

    def _do_what_is_due(self, now: float) -> None:
        for printer_id in self._deadlines.due(now):
            self._decide(printer_id, self._workers[printer_id], policy.Tick(), now)

    def _reap(self, now: float) -> None:
        for sentinel, _ in self._ends.poll(0):
            printer_id = self._by_sentinel[sentinel]
            self._bury(printer_id, self._workers[printer_id], now)

    def _bury(self, printer_id: int, worker: _Worker, now: float) -> None:
        if worker.child is None:
            return
        self._ends.unregister(worker.child.sentinel)
        del self._by_sentinel[worker.child.sentinel]
        exit_code = worker.child.exit_code()
        worker.child.close()
        worker.child = None
        self._router.forget(printer_id)
        self._farm[printer_id].restart()
        if worker.state.phase is not Phase.STOPPING:
            self._warn("worker_died", printer_id, exit_code=exit_code)
        died = policy.Died(
            exit_code=exit_code if exit_code is not None else -1, random=random.random()
        )
        self._decide(printer_id, worker, died, now)

    def _decide(self, printer_id: int, worker: _Worker, event: policy.Event, now: float) -> None:
        worker.state, actions = policy.decide(worker.state, event, now)
        self._deadlines.set(printer_id, worker.state.due_at)
        for action in actions:
            match action:
                case policy.Spawn():
                    self._spawn(printer_id, worker, now)
                case policy.SendStop():
                    if self._router.is_open(printer_id):
                        self._router.order(printer_id, bus.Stop(), now)
                case policy.Signal(number=number):
                    if worker.child is not None:
                        worker.child.signal(number)

    def _spawn(self, printer_id: int, worker: _Worker, now: float) -> None:
        # From the clock, too: one that never reported is not in the database.
        worker.incarnation = max(worker.incarnation + 1, int(time.time()))
        self._router.open(printer_id, worker.incarnation)
        worker.restarts += 1
        try:
            worker.child = Child(worker.spec.as_incarnation(worker.incarnation))
        except OSError as error:
            self._warn("worker_not_started", printer_id, error=str(error))
            died = policy.Died(exit_code=-1, random=random.random())
            self._decide(printer_id, worker, died, now)
        else:
            self._ends.register(worker.child.sentinel, select.EPOLLIN)
            self._by_sentinel[worker.child.sentinel] = printer_id

    @staticmethod
    def _warn(event: str, printer_id: int, **fields: object) -> None:
        logger.warning(event, extra={"printer_id": printer_id, "fields": fields})

    # -- the end -----------------------------------------------------------------------

    def stop_all(self, deadline: float, meanwhile: Callable[[], None]) -> None:
        """Let every process end in its own way, until the deadline in monotonic seconds."""
        now = time.monotonic()
        for printer_id, worker in self._workers.items():
            self._decide(printer_id, worker, policy.Stop(), now)
        while self._by_sentinel and time.monotonic() < deadline:
            meanwhile()
            self._ends.poll(0.1)
            self._reap(time.monotonic())
            self._do_what_is_due(time.monotonic())

    def kill_all(self) -> None:
        """End by force whatever is still there."""
        for worker in self._workers.values():
            if worker.child is not None:
                worker.child.kill()
                worker.child = None
