"""Watches the coordinator from outside: what it says, and what it takes of the machine."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pms.bus.control import GetStatus, ask
from pms.errors import PMSError
from tests.chaos.farm import Farm

INTERVAL_S = 1.0
STATUS_TIMEOUT_S = 2.0
#: A process that is so young has not made everything yet.
SETTLED_AFTER_SAMPLES = 10


@dataclass(frozen=True)
class Sample:
    """What a process holds at one moment."""

    memory_bytes: int
    threads: int
    descriptors: int


class Monitor:
    """Asks for the status and measures, about once a second, in a thread of its own."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        #: Samples of each life of the coordinator, by its process.
        self.samples: dict[int, list[Sample]] = {}
        self._worker_pids: dict[int, int] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def worker_pid(self, printer_id: int) -> int | None:
        """The process of a printer, as last told."""
        return self._worker_pids.get(printer_id)

    def status(self) -> dict[str, Any] | None:
        """Ask the coordinator; None: it does not answer."""
        try:
            status: dict[str, Any] = ask(self._farm.control, GetStatus(), STATUS_TIMEOUT_S)
        except PMSError:
            return None
        return status

    def settled_lives(self) -> list[list[Sample]]:
        """The samples of lives that were long enough to compare their ends."""
        lives = self.samples.values()
        return [life for life in lives if len(life) > 2 * SETTLED_AFTER_SAMPLES]

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            status = self.status()
            if status is None:
                continue
            self._worker_pids = {p["id"]: p["worker_pid"] for p in status["printers"]}
            # What it holds before it serves every printer says nothing.
            if self._worker_pids and all(self._worker_pids.values()):
                self._measure()

    def _measure(self) -> None:
        pid = self._farm.supervisor.pid
        # One that has just ended has no memory any more.
        with suppress(OSError, KeyError):
            if pid is not None:
                self.samples.setdefault(pid, []).append(_sample(pid))


def _sample(pid: int) -> Sample:
    process = Path(f"/proc/{pid}")
    lines = (process / "status").read_text(encoding="utf-8").splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return Sample(
        memory_bytes=1024 * int(facts["VmRSS"].split()[0]),
        threads=int(facts["Threads"]),
        descriptors=len(list((process / "fd").iterdir())),
    )
