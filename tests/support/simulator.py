"""The simulator as a process of its own, with a client for its control interface."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pms.demo.children import log_tail, start_child, stop_child
from pms.demo.octoprint_client import OctoPrintClient
from tests.support.coordinator import COMMANDS
from tests.support.waiting import wait_until


class SimulatedPrinter(OctoPrintClient):
    """One look-alike."""

    def __init__(self, number: int, url: str, api_key: str) -> None:
        super().__init__(url, api_key)
        self.number = number

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


class Simulator:
    """`pms-simulator` with so many printers, on ports that the system chooses."""

    def __init__(self, folder: Path, *options: str, printers: int = 1) -> None:
        """`options` are those of the command, such as `--speed 100000`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "simulator.log"
        command = [
            COMMANDS / "pms-simulator",
            "--json",
            *("--printers", str(printers), "--base-port", "0"),
            *options,
        ]
        self._process = start_child(command, folder=folder, log=self._log)
        try:
            announced = wait_until(self._announced, 30.0, "the simulator's ports")
        except BaseException:
            self.stop()
            raise
        self.control_url = str(announced["control"])
        self._control = OctoPrintClient(self.control_url, api_key="")
        self.printers = [
            SimulatedPrinter(printer["number"], printer["url"], printer["api_key"])
            for printer in announced["printers"]
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        stop_child(self._process, 10.0)

    # -- the control interface ----------------------------------------------------------

    def state(self) -> list[dict[str, Any]]:
        """All printers as they are: state, path of the selected file, and so on."""
        printers: list[dict[str, Any]] = self._expect("GET", "/printers")
        return printers

    def prints(self, which: int | str = "all") -> list[dict[str, Any]]:
        """Every print that was started, with its printer, path, times and outcome."""
        prints: list[dict[str, Any]] = self._expect("GET", f"/printers/{which}/prints")
        return prints

    def act(self, action: str, which: int | str = "all", **arguments: Any) -> None:
        """restart (down_s), stop, start, connect, drop, error (text), cut-push, end-sessions."""
        self._expect("POST", f"/printers/{which}/{action}", arguments)

    def set_faults(self, which: int | str = "all", **faults: Any) -> None:
        """These faults and no others (docs/simulator.md describes them); none: all is well."""
        self._expect("PUT", f"/printers/{which}/faults", faults)

    def set_up(self, which: int | str = "all", **setup: Any) -> None:
        """speed (bytes a second) and heating (degrees a second)."""
        self._expect("PUT", f"/printers/{which}/setup", setup)

    # -- inside ---------------------------------------------------------------------------

    def _expect(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self._control.request(method, path, body)
        assert status in (200, 204), f"{method} {path} answered {status}: {answer}"
        return answer

    def _announced(self) -> dict[str, Any] | None:
        lines = self._log.read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.startswith("{"):
                announced: dict[str, Any] = json.loads(line)
                return announced
        if self._process.poll() is not None:
            raise subprocess.SubprocessError(f"the simulator has ended: {log_tail(self._log)}")
        return None


@contextmanager
def simulator(folder: Path, *options: str, printers: int = 1) -> Iterator[Simulator]:
    """A simulator for the block."""
    running = Simulator(folder, *options, printers=printers)
    try:
        yield running
    finally:
        running.stop()
