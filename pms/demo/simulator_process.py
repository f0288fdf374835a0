"""`pms-simulator` as a child of this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pms.demo.children import log_tail, start_child, stop_child
from pms.errors import PMSError

STOP_S = 5.0

# As the installed program does, wherever it was installed.
_PROGRAM = (
    sys.executable,
    "-P",
    "-c",
    "from pms.simulator.command import main; raise SystemExit(main())",
)


class SimulatorProcessError(PMSError):
    """The simulator has ended."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where the look-alikes are."""

    control_url: str
    #: The base URL and the API key of each.
    printers: list[tuple[str, str]] = field(repr=False)


class SimulatorProcess:
    """Starts it on ports that the system chooses, and ends it."""

    def __init__(self, folder: Path, printers: int, *options: str) -> None:
        """`options` are those of the command, such as `--speed 100000`."""
        self._folder = folder
        self._command = [
            *_PROGRAM,
            "--json",
            *("--printers", str(printers), "--base-port", "0"),
            *options,
        ]
        self._log = folder / "simulator.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process; None when it was not started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; does not wait until it is ready. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = start_child(
            self._command,
            folder=self._folder,
            log=self._log,
            environment=os.environ | {"TMPDIR": str(self._folder)},
            # It has a temporary folder to remove.
            death_signal=signal.SIGTERM,
        )

    def announced(self) -> Announcement | None:
        """Where everything is; None: not ready yet. Raises SimulatorProcessError."""
        self.check()
        for line in self._log.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                return _read(json.loads(line))
        return None

    def check(self) -> None:
        """Raise SimulatorProcessError when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise SimulatorProcessError(f"the simulator has ended: {log_tail(self._log, 1)}")

    def stop(self) -> None:
        """End it, and return when it is gone."""
        if self._process is not None:
            stop_child(self._process, STOP_S)


def _read(announced: dict[str, Any]) -> Announcement:
    printers = [(printer["url"], printer["api_key"]) for printer in announced["printers"]]
    return Announcement(announced["control"], printers)
