"""A coordinator as its users run it: the command, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pms.demo.children import kill_child, log_tail, start_child, stop_child
from tests.support.processes import is_alive, process_tree
from tests.support.waiting import wait_until

COMMANDS = Path(sys.executable).parent


class Coordinator:
    """`pms-coordinator start` with exactly this environment, and its other commands."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.fspath(folder),
            "PMS_POLL_INTERVAL": "2",
            "PMS_LOG_LEVEL": "DEBUG",
            # The sockets' paths must be short, which pytest's folders are not.
            "PMS_RUNTIME_DIR": tempfile.mkdtemp(prefix="pms-run-"),
            **environment,
        }
        self.log = folder / "coordinator.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._pids: set[int] = set()

    # -- life -----------------------------------------------------------------

    def launch(self, *prefix: str) -> None:
        """Start it without waiting for it to answer; a prefix is a command that runs another."""
        self._process = start_child(
            [*prefix, COMMANDS / "pms-coordinator", "start"],
            folder=self.folder,
            log=self.log,
            environment=self.environment,
        )

    def start(self, *prefix: str) -> None:
        self.launch(*prefix)
        wait_until(self._answers, 30.0, "an answer of the coordinator")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(
                f"the coordinator ended with {self._process.returncode}\n{log_tail(self.log, 40)}"
            )
        return self.run("status", "--json", check=False).returncode == 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it in the regular way; returns its exit code."""
        assert self._process is not None
        self._remember()
        stop_child(self._process, 20.0, number)
        return self._process.returncode

    def kill(self) -> None:
        """End it as a power cut would; its processes have to notice by themselves."""
        assert self._process is not None
        self._remember()
        kill_child(self._process)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        wait_until(lambda: not self.left_over(), 15.0, "end of the coordinator's processes")
        shutil.rmtree(self.environment["PMS_RUNTIME_DIR"], ignore_errors=True)

    def _remember(self) -> None:
        self._pids |= set(process_tree(self.pid))

    def left_over(self) -> list[int]:
        """Processes of this coordinator that have outlived it."""
        return [pid for pid in self._pids if is_alive(pid)]

    # -- commands ---------------------------------------------------------------

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of `pms-coordinator`, or of the program that is named first."""
        program = "pms-coordinator"
        if arguments[:1] == ("pms-probe",):
            program, arguments = arguments[0], arguments[1:]
        done = subprocess.run(
            [COMMANDS / program, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.json("status")
        return status

    def printer(self, name: str) -> dict[str, Any]:
        return next(p for p in self.status()["printers"] if p["name"] == name)

    def wait_for_printer(self, name: str, *states: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait until a printer is in one of the states; returns it."""

        def reached() -> dict[str, Any] | None:
            printer = self.printer(name)
            return printer if printer["state"] in states else None

        return wait_until(reached, timeout_s, f"{name} {' or '.join(states)}", interval_s=0.1)

    def logged(self, text: str) -> bool:
        """Whether a line of the log holds this."""
        return self.log.exists() and text in self.log.read_text(encoding="utf-8")
