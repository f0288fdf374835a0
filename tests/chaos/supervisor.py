"""Keeps the coordinator running, as supervisord would, but restarts it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pms.demo.children import start_child
from tests.chaos.history import History

PROGRAM = Path(sys.executable).parent / "pms-coordinator"
LOOK_INTERVAL_S = 0.05
#: After an end so early, the next start waits a moment.
EARLY_S = 1.0
STOP_TIMEOUT_S = 12.0


class Supervisor:
    """One coordinator process at a time; a thread watches it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], history: History) -> None:
        self.log = folder / "coordinator.log"
        self._folder = folder
        self._environment = environment
        self._history = history
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        #: Processes whose end was our doing.
        self._ended_by_us: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.starts = 0

    def start(self) -> None:
        self._spawn()
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process that runs now; None: between two."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def signal(self, number: signal.Signals) -> int | None:
        """Send the coordinator a signal; gives the process that got it."""
        pid = self.pid
        if pid is not None:
            if number in (signal.SIGKILL, signal.SIGTERM):
                self._ended_by_us.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def stop(self) -> tuple[int | None, float]:
        """End it for good; gives its exit code (None: it had to be killed) and the seconds."""
        self._stopping.set()
        self._thread.join()
        process = self._process
        assert process is not None
        began = time.monotonic()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code: int | None = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        return code, time.monotonic() - began

    def _spawn(self) -> None:
        self._process = start_child(
            [PROGRAM, "start"], folder=self._folder, log=self.log, environment=self._environment
        )
        self._started_at = time.monotonic()
        self.starts += 1
        self._history.note("coordinator started", pid=self._process.pid)

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_INTERVAL_S):
            process = self._process
            assert process is not None
            if process.poll() is None:
                continue
            self._history.note(
                "coordinator ended",
                pid=process.pid,
                code=process.returncode,
                by_us=process.pid in self._ended_by_us,
            )
            if time.monotonic() - self._started_at < EARLY_S:
                self._stopping.wait(EARLY_S)
            self._spawn()
