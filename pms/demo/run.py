"""The demonstration: a farm that prints a few copies, from an empty folder to a summary."""

from __future__ import annotations

import math
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

from pms.cli.farm_view import Status, attention_lines
from pms.cli.output import count, duration, show, show_line
from pms.demo.attendant import Attendant
from pms.demo.farm import GCODE, DemoError, DemoFarm
from pms.demo.octoprint_server import find_octoprint
from pms.demo.view import View, open_view, summary_table
from pms.domain.states import JobStatus, PrinterState
from pms.errors import PMSError

#: Printers and copies, of the simulator and of real OctoPrints.
SIMULATED_SIZE = (6, 12)
OCTOPRINT_SIZE = (3, 4)
TICK_S = 0.2
#: For everything, and on top of it for each copy that a printer has to make.
DEADLINE_S = 600.0
COPY_S = 60.0

DONE = 0
INTERRUPTED = 130


class Interrupted(Exception):
    """Somebody wants the demonstration to end."""


class StopSignals:
    """Notes Ctrl-C and SIGTERM, so that they are acted upon only where nothing can get lost."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> StopSignals:
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Interrupted when a signal has come."""
        if self._came:
            raise Interrupted

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True


def run(
    printers: int | None = None, copies: int | None = None, *, with_octoprint: bool = False
) -> int:
    """Print `copies` of a cube on `printers` printers; returns the exit code.

    They are simulated, or virtual ones of real OctoPrint servers. Raises a PMSError that names
    the folder with the logs when it does not work out.
    """
    octoprint = find_octoprint() if with_octoprint else None
    usual_printers, usual_copies = OCTOPRINT_SIZE if with_octoprint else SIMULATED_SIZE
    with StopSignals() as signals:
        folder = Path(tempfile.mkdtemp(prefix="pms-demo-"))
        try:
            farm = DemoFarm(folder, printers or usual_printers, octoprint)
            _perform(farm, signals, copies or usual_copies)
            code = DONE
        except Interrupted:
            code = INTERRUPTED
        except (PMSError, OSError) as error:
            raise DemoError(f"the demo has failed: {error}; its logs are in {folder}") from error
        shutil.rmtree(folder, ignore_errors=True)
    show_line("stopped everything that was started")
    return code


def _perform(farm: DemoFarm, signals: StopSignals, copies: int) -> None:
    try:
        with open_view() as view:
            course = Course(farm, view, signals, copies)
            course.run()
        course.sum_up()
    except Interrupted:
        show_line("interrupted: stopping everything")
        raise
    finally:
        farm.stop()


class Course:
    """What happens in the demonstration, in its order."""

    def __init__(self, farm: DemoFarm, view: View, signals: StopSignals, copies: int) -> None:
        self._farm = farm
        self._view = view
        self._signals = signals
        self._copies = copies
        self._attendant = Attendant(farm.clear, view.note)
        self._status: Status | None = None
        self._job_id = 0
        self._started_at = time.monotonic()
        self._limit_s = DEADLINE_S + COPY_S * math.ceil(copies / len(farm.printers))

    def run(self) -> None:
        """Start the farm, add its printers, print all copies.

        Raises Interrupted, and DemoError and other PMSErrors when it does not work out.
        """
        park = self._farm.park
        self._view.note(f"starting {park.contents} and a coordinator in {self._farm.folder}")
        park.start()
        self._wait_for(self._farm.open)
        for name, address in self._farm.addresses.items():
            self._view.note(f"{name} is {park.kind} {address.url}")
        self._wait_for(self._is_farm_idle)
        self._carry_out("submit", str(GCODE), "--copies", str(self._copies))
        self._job_id = self._farm.newest_job().id
        self._wait_for(self._is_job_completed)

    def sum_up(self) -> None:
        """Print what has been made where."""
        copies = self._farm.copies(self._job_id)
        machines = len({copy.printer_id for copy in copies})
        took = duration(time.monotonic() - self._started_at)
        show_line(
            f"{count(self._copies, 'copy', 'copies')} of {GCODE.name}"
            f" on {count(machines, 'printer')} in {took}:"
        )
        show(summary_table(copies))

    def _carry_out(self, *arguments: str) -> None:
        """Carry out a command as a person would in another terminal."""
        self._view.note(f"$ pms-coordinator {shlex.join(arguments)}")
        self._wait_for(self._farm.command(*arguments).done)

    def _is_farm_idle(self) -> bool:
        printers = self._status["printers"] if self._status else []
        states = [printer["state"] for printer in printers]
        return states == [PrinterState.IDLE] * len(self._farm.printers)

    def _is_job_completed(self) -> bool:
        return self._farm.newest_job().status == JobStatus.COMPLETED

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            time.sleep(TICK_S)
            self._look()

    def _look(self) -> None:
        """See whether all is well, and let people see it."""
        self._signals.check()
        self._farm.check()
        if time.monotonic() > self._started_at + self._limit_s:
            raise DemoError(f"not done after {duration(self._limit_s)}")
        self._status = self._farm.status()
        if self._status is None:
            return
        if lines := attention_lines(self._status):
            raise DemoError(f"PMS asks for a person: {lines[0]}")
        self._attendant.look(self._status, time.monotonic())
        self._view.show(self._status)
