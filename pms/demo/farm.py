"""What the demonstration consists of: OctoPrints, real or not, and a PMS of its own.

Nothing here waits; a caller that waits looks at `check` in between.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pms.bus.control import Clear, GetStatus, ask
from pms.bus.endpoints import Endpoints
from pms.config import Settings
from pms.demo.children import log_tail, start_child, stop_child
from pms.demo.parks import Address, OctoPrintPark, Park, SimulatedPark
from pms.demo.registration import Registration, register
from pms.errors import CoordinatorNotRunningError, PMSError
from pms.setting_table import TABLE
from pms.store import job_overview
from pms.store.database import Database
from pms.store.job_overview import CopyDetails, JobSummary

GCODE = Path(__file__).with_name("cube.gcode")

#: The models of the printers, in turn.
MODELS = ("MK4", "MK4", "MINI")
POLL_INTERVAL_S = 1
#: A coordinator ends within 10 s; then it is ended.
COORDINATOR_STOP_S = 12.0
STATUS_TIMEOUT_S = 2.0

# As the installed program does, wherever it was installed.
_PROGRAM = (
    sys.executable,
    "-P",
    "-c",
    "from pms.cli.coordinator import main; raise SystemExit(main())",
)


class DemoError(PMSError):
    """The demonstration cannot go on."""


class Command:
    """A command of PMS at work, with its output in a file of its own."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    def done(self) -> bool:
        """Whether it has succeeded; raises DemoError with its words when it has failed."""
        code = self._process.poll()
        if code:
            raise DemoError(f"a command failed: {log_tail(self._output, 1) or f'exit code {code}'}")
        return code is not None

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8")


class DemoFarm:
    """Starts and stops the processes in a folder of its own, and talks with PMS as people do."""

    def __init__(self, folder: Path, printers: int, octoprint: Path | None) -> None:
        """With the program `octoprint` the printers are those of real servers."""
        #: The model of each printer, by its name.
        self.printers = dict(_named(printers))
        names = list(self.printers)
        self.park: Park = (
            SimulatedPark(folder, names)
            if octoprint is None
            else OctoPrintPark(folder, octoprint, names)
        )
        #: Where each printer is, by its name; empty before `open`.
        self.addresses: dict[str, Address] = {}
        self.folder = folder
        self._environment = _environment(folder)
        self._settings = Settings.from_environment(self._environment)
        self._control = Endpoints(self._settings.runtime_dir).control
        self._database = Database(self._settings.database_url)
        self._log = folder / "coordinator.log"
        self._coordinator: subprocess.Popen[bytes] | None = None
        self._commands: list[subprocess.Popen[bytes]] = []

    def open(self) -> bool:
        """Start PMS as soon as it is known where the printers are; gives whether it was started.

        Raises a PMSError and OSError when that fails.
        """
        addresses = self.park.addresses()
        if addresses is None:
            return False
        self.addresses = dict(zip(self.printers, addresses, strict=True))
        register(
            self._settings,
            [
                Registration(name=name, model=model, url=address.url, api_key=address.api_key)
                for (name, model), address in zip(self.printers.items(), addresses, strict=True)
            ],
        )
        self._coordinator = self._start("start", log=self._log)
        return True

    def check(self) -> None:
        """Raise a PMSError when a process that should run has ended."""
        self.park.check()
        if self._coordinator is not None and (code := self._coordinator.poll()) is not None:
            words = log_tail(self._log, 1)
            raise DemoError(f"the coordinator has ended with the exit code {code}: {words}")

    def command(self, *arguments: str) -> Command:
        """Start a command of PMS, such as `submit`."""
        output = self.folder / f"command-{len(self._commands) + 1}.log"
        process = self._start(*arguments, log=output)
        self._commands.append(process)
        return Command(process, output)

    def status(self) -> dict[str, Any] | None:
        """What `status --json` shows; None while the coordinator does not answer."""
        try:
            status: dict[str, Any] = ask(self._control, GetStatus(), STATUS_TIMEOUT_S)
        except CoordinatorNotRunningError:
            return None
        return status

    def clear(self, printer: str, print_id: int) -> None:
        """Tell PMS that a bed is empty; raises RefusedError and CoordinatorNotRunningError."""
        ask(self._control, Clear(printer=printer, print_id=print_id))

    def newest_job(self) -> JobSummary:
        """The job that was submitted last."""
        with self._database.read() as connection:
            return job_overview.newest(connection, 1)[0]

    def copies(self, job_id: int) -> list[CopyDetails]:
        """What `job show` shows of a job's copies."""
        with self._database.read() as connection:
            return job_overview.copies(connection, job_id)

    def stop(self) -> None:
        """End every process and return when all are gone."""
        for command in self._commands:
            stop_child(command, 1.0)
        if self._coordinator is not None:
            stop_child(self._coordinator, COORDINATOR_STOP_S)
            _end_group(self._coordinator.pid)
        self.park.stop()
        self._database.close()

    def _start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        return start_child(
            [*_PROGRAM, *arguments],
            folder=self.folder,
            log=log,
            environment=self._environment,
            # A coordinator ends its printers' processes, if it is given the time.
            death_signal=signal.SIGTERM,
        )


def _named(count: int) -> Iterator[tuple[str, str]]:
    """Names and models of so many printers."""
    numbers = Counter[str]()
    for index in range(count):
        model = MODELS[index % len(MODELS)]
        numbers[model] += 1
        yield f"{model}-{numbers[model]}", model


def _end_group(leader: int) -> None:
    """End what a coordinator that has crashed leaves behind."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment, but none of the settings of the PMS that may run here for real."""
    known = {setting.variable for setting in TABLE}
    kept = {name: value for name, value in os.environ.items() if name not in known}
    return kept | {
        "PMS_DATA_DIR": str(folder / "pms-data"),
        "PMS_POLL_INTERVAL": str(POLL_INTERVAL_S),
        "TMPDIR": str(folder),
    }
