"""Looking at processes and halting them, through /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import wait_until


def process_tree(pid: int) -> list[int]:
    """A living process and its descendants, the parents first."""
    found = [pid]
    for parent in found:
        found += _children(parent)
    return found


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0] != "Z"
    return False


def private_bytes(pid: int) -> int:
    """The memory that belongs to this process alone."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    sizes = {line.split()[0]: line.split()[1] for line in rollup.splitlines()[1:]}
    return 1024 * (int(sizes["Private_Clean:"]) + int(sizes["Private_Dirty:"]))


def end(pids: Sequence[int]) -> None:
    """Kill processes, which need not be children of ours, and wait until they are gone."""
    _signal(pids, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), 10.0, f"end of the processes {pids}")


def freeze(pids: Iterable[int]) -> None:
    """Halt processes without their noticing; none of their threads does anything any more."""
    halted = list(pids)
    _signal(halted, signal.SIGSTOP)
    wait_until(
        lambda: all(_thread_states(pid) <= {"T", "t"} for pid in halted),
        10.0,
        f"halt of the processes {halted}",
    )


def thaw(pids: Iterable[int]) -> None:
    """Let halted processes go on."""
    _signal(pids, signal.SIGCONT)


def _thread_states(pid: int) -> set[str]:
    """The states of all threads; none when the process is gone."""
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            text = stat.read_text(encoding="utf-8", errors="replace")
            states.add(text.rpartition(")")[2].split()[0])
    # A zombie does nothing, either.
    return states - {"Z", "X"}


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []
