"""Breaks what the plan says, when it says so, and repairs it afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests

from pms.demo.octoprint_server import OctoPrintServerError
from tests.chaos.farm import Farm, FarmPrinter
from tests.chaos.monitor import Monitor
from tests.chaos.plan import MODES, Fault, Kind
from tests.chaos.proxy import Mode


class MissedError(Exception):
    """There was nothing to break."""


class Faults:
    """A thread for the plan and one for each fault that takes its time."""

    def __init__(self, farm: Farm, monitor: Monitor, faults: list[Fault]) -> None:
        self._farm = farm
        self._monitor = monitor
        self._faults = faults
        self._over = threading.Event()
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._running: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Wait until the plan is through, then cut short what still lasts and repair all."""
        self._thread.join()
        self._over.set()
        for thread in self._running:
            thread.join()
        self._farm.proxies.heal()
        self._step_clock(0)

    def _run(self) -> None:
        began = time.monotonic()
        for fault in self._faults:
            self._over.wait(max(0.0, began + fault.at - time.monotonic()))
            thread = threading.Thread(target=self._break, args=(fault,), daemon=True)
            self._running.append(thread)
            thread.start()

    def _break(self, fault: Fault) -> None:
        target = _target(fault)
        try:
            with self._alone(target):
                self._action(fault)
        except MissedError as error:
            self._farm.history.note("fault missed", kind=fault.kind, target=target, why=error)
        except (requests.RequestException, OctoPrintServerError) as error:
            self._farm.history.note("fault missed", kind=fault.kind, target=target, why=error)
        except Exception as error:
            self._farm.history.note("fault broken", kind=fault.kind, target=target, why=repr(error))

    @contextmanager
    def _alone(self, target: str) -> Iterator[None]:
        """One fault at a time for each target."""
        with self._lock:
            if target in self._busy:
                raise MissedError("another fault is at work there")
            self._busy.add(target)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(target)

    def _action(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.WORKER_KILLED | Kind.WORKER_FROZEN:
                self._worker(fault)
            case Kind.COORDINATOR_KILLED | Kind.COORDINATOR_FROZEN | Kind.COORDINATOR_STOPPED:
                self._coordinator(fault)
            case Kind.RABBITMQ_DOWN | Kind.POSTGRES_DOWN:
                self._server(fault)
            case Kind.OCTOPRINT_KILLED | Kind.OCTOPRINT_STOPPED | Kind.OCTOPRINT_FROZEN:
                self._octoprint(fault, self._printer(fault))
            case Kind.PRINTER_DISCONNECTED | Kind.PRINTER_ERROR:
                self._serial(fault, self._printer(fault))
            case Kind.CLOCK_STEPPED:
                self._step_clock(fault.clock_offset_s)
            case _:
                self._network(fault)

    def _printer(self, fault: Fault) -> FarmPrinter:
        return self._farm.printers[fault.printer]

    def _note(self, fault: Fault, **facts: object) -> None:
        self._farm.history.note(
            "fault",
            kind=fault.kind,
            target=_target(fault),
            seconds=round(fault.duration_s, 1),
            **facts,
        )

    def _lasting(self, fault: Fault, repair: Callable[[], object]) -> None:
        """Wait for the fault's end, and repair what it broke."""
        self._over.wait(fault.duration_s)
        repair()
        self._farm.history.note("repaired", kind=fault.kind, target=_target(fault))

    def _worker(self, fault: Fault) -> None:
        pid = self._monitor.worker_pid(self._printer(fault).id)
        if pid is None or pid not in self._farm.processes():
            raise MissedError("no such process now")
        self._note(fault, pid=pid)
        self._process(fault, pid, fault.kind is Kind.WORKER_KILLED)

    def _process(self, fault: Fault, pid: int, kill: bool) -> None:
        if kill:
            _send(pid, signal.SIGKILL)
            return
        _send(pid, signal.SIGSTOP)
        self._lasting(fault, lambda: self._thaw(pid))

    def _thaw(self, pid: int) -> None:
        # The number may belong to somebody else by now.
        if pid in self._farm.processes():
            _send(pid, signal.SIGCONT)

    def _coordinator(self, fault: Fault) -> None:
        supervisor = self._farm.supervisor
        number = {
            Kind.COORDINATOR_KILLED: signal.SIGKILL,
            Kind.COORDINATOR_STOPPED: signal.SIGTERM,
            Kind.COORDINATOR_FROZEN: signal.SIGSTOP,
        }[fault.kind]
        pid = supervisor.signal(number)
        if pid is None:
            raise MissedError("no coordinator runs now")
        self._note(fault, pid=pid)
        if number is signal.SIGSTOP:
            self._lasting(fault, lambda: self._thaw(pid))

    def _server(self, fault: Fault) -> None:
        rabbitmq = fault.kind is Kind.RABBITMQ_DOWN
        server = self._farm.rabbitmq if rabbitmq else self._farm.postgres
        self._note(fault, by_force=fault.by_force)
        if fault.by_force:
            server.kill()
        else:
            server.stop()
        self._lasting(fault, server.start)

    def _octoprint(self, fault: Fault, printer: FarmPrinter) -> None:
        server = printer.server
        self._note(fault)
        if fault.kind is Kind.OCTOPRINT_FROZEN:
            server.freeze()
            self._lasting(fault, server.thaw)
            return
        proxy = self._farm.proxies.all[f"printer{fault.printer}"]
        # Where nobody listens, a connection is refused, by the proxy too.
        proxy.set_mode(Mode.REFUSE)
        if fault.kind is Kind.OCTOPRINT_KILLED:
            server.kill()
        else:
            server.stop()
        self._over.wait(fault.duration_s)
        server.start()
        proxy.set_mode(Mode.PASS)
        server.wait_ready()
        self._farm.history.note("repaired", kind=fault.kind, target=_target(fault))

    def _serial(self, fault: Fault, printer: FarmPrinter) -> None:
        if fault.kind is Kind.PRINTER_ERROR:
            printer.server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
        else:
            printer.server.request("POST", "/api/connection", {"command": "disconnect"})
        self._note(fault)

    def _step_clock(self, offset_s: int) -> None:
        self._farm.clock.set(offset_s)
        kind = Kind.CLOCK_STEPPED
        self._farm.history.note("fault", kind=kind, target="clock", offset_s=offset_s)

    def _network(self, fault: Fault) -> None:
        proxy = self._farm.proxies.all[fault.link]
        self._note(fault, rate=fault.rate)
        if fault.kind is Kind.NETWORK_RESETS:
            proxy.reset()
            return
        proxy.set_mode(MODES[fault.kind], fault.rate)
        self._lasting(fault, lambda: proxy.set_mode(Mode.PASS))


def _target(fault: Fault) -> str:
    match fault.kind:
        case Kind.WORKER_KILLED | Kind.WORKER_FROZEN:
            return f"worker{fault.printer}"
        case Kind.COORDINATOR_KILLED | Kind.COORDINATOR_FROZEN | Kind.COORDINATOR_STOPPED:
            return "coordinator"
        case Kind.RABBITMQ_DOWN:
            return "rabbitmq server"
        case Kind.POSTGRES_DOWN:
            return "postgres server"
        case Kind.OCTOPRINT_KILLED | Kind.OCTOPRINT_STOPPED | Kind.OCTOPRINT_FROZEN:
            # Its proxy refuses meanwhile, so nothing else may happen to that.
            return f"printer{fault.printer}"
        case Kind.PRINTER_DISCONNECTED | Kind.PRINTER_ERROR:
            return f"serial{fault.printer}"
        case Kind.CLOCK_STEPPED:
            return "clock"
        case _:
            return fault.link


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
