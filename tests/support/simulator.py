"""The simulator as a process of its own, with a client for its control interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pms.demo.octoprint_client import OctoPrintClient
from pms.demo.simulator_process import SimulatorProcess
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
        self._process = SimulatorProcess(folder, printers, *options)
        try:
            self._process.start()
            announced = wait_until(self._process.announced, 30.0, "the simulator's ports")
        except BaseException:
            self._process.stop()
            raise
        self.control_url = announced.control_url
        self._control = OctoPrintClient(self.control_url, api_key="")
        self.printers = [
            SimulatedPrinter(number, url, api_key)
            for number, (url, api_key) in enumerate(announced.printers, 1)
        ]

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> None:
        self._process.stop()

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
        self._expect("PATCH", f"/printers/{which}/setup", setup)

    # -- inside ---------------------------------------------------------------------------

    def _expect(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self._control.request(method, path, body)
        assert status in (200, 204), f"{method} {path} answered {status}: {answer}"
        return answer


@contextmanager
def simulator(folder: Path, *options: str, printers: int = 1) -> Iterator[Simulator]:
    """A simulator for the block."""
    running = Simulator(folder, *options, printers=printers)
    try:
        yield running
    finally:
        running.stop()
