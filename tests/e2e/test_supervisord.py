"""The repository's supervisord.conf with the real supervisord."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.coordinator import COMMANDS, Coordinator
from tests.support.processes import is_alive, process_tree
from tests.support.waiting import wait_until

CONFIGURATION = Path(__file__).parents[2] / "supervisord.conf"
TIMEOUT_S = 30.0


class Supervisord:
    """A running supervisord, and all that it and its program have written to its stdout."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._output: list[str] = []
        # stdout is opened again by name, so the pipe must belong to the same user, as here.
        self.process = subprocess.Popen(
            [COMMANDS / "supervisord", "--configuration", CONFIGURATION],
            cwd=coordinator.folder,
            env=coordinator.environment | {"PATH": f"{COMMANDS}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._output.append(line)

    def said(self, text: str) -> int:
        """How many of the lines so far hold this."""
        return sum(text in line for line in self._output)

    def end(self) -> None:
        """By force, with all that it has started."""
        for pid in process_tree(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()


@pytest.fixture
def supervisord(alone: Coordinator) -> Iterator[Supervisord]:
    supervisord = Supervisord(alone)
    yield supervisord
    if supervisord.process.poll() is None:
        supervisord.end()


def test_keeps_the_coordinator_running(alone: Coordinator, supervisord: Supervisord) -> None:
    pid = running_coordinator(alone)
    alone.run(
        "printer", "add", "p0", "--url", "http://127.0.0.1:9", "--api-key", "k", "--model", "m"
    )
    alone.wait_for_printer("p0", "unreachable")

    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: other_coordinator(alone, pid), TIMEOUT_S, "another coordinator")
    alone.wait_for_printer("p0", "unreachable")
    assert supervisord.said("coordinator_started") == 2
    # It is an end that nobody asked for only once it has run for `startsecs`.
    wait_until(lambda: supervisord.said("entered RUNNING state"), TIMEOUT_S, "the state RUNNING")

    everything = process_tree(supervisord.process.pid)
    assert len(everything) > 3
    supervisord.process.send_signal(signal.SIGTERM)
    assert supervisord.process.wait(TIMEOUT_S) == 0
    wait_until(lambda: not any(map(is_alive, everything)), TIMEOUT_S, "end of all processes")
    assert supervisord.said("coordinator_stopped") == 1
    assert supervisord.said("stopped: pms-coordinator (exit status 0)") == 1


def running_coordinator(coordinator: Coordinator) -> int:
    return wait_until(lambda: other_coordinator(coordinator, None), TIMEOUT_S, "a coordinator")


def other_coordinator(coordinator: Coordinator, than: int | None) -> int | None:
    """The process that answers, when it is another one."""
    if coordinator.run("status", check=False).returncode != 0:
        return None
    pid: int = coordinator.status()["coordinator"]["pid"]
    return None if pid == than else pid
