"""A process's memory, watched from outside."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import private_bytes

SAMPLE_INTERVAL_S = 0.1


class Memory:
    """A process's memory, watched while the block lasts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = private_bytes(pid)
        self._peak_before = peak_bytes(pid)
        self._highest = self._before
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def growth_bytes(self) -> int:
        """Of what belongs to the process alone, at its highest sample."""
        return self._highest - self._before

    @property
    def peak_growth_bytes(self) -> int:
        """Of all that is resident, by the kernel's own book, shared pages included."""
        return peak_bytes(self._pid) - self._peak_before

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(SAMPLE_INTERVAL_S):
            self._highest = max(self._highest, private_bytes(self._pid))


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
