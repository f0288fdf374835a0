"""What processes use of the machine, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

KIB_PER_MIB = 1024


def cores_used(pids: Callable[[], Iterable[int]], seconds: float) -> float:
    """Processor cores that processes use on average for so long; those that end do not count."""
    began, before = time.monotonic(), _cpu_s(pids())
    time.sleep(seconds)
    after = _cpu_s(pids())
    used_s = sum(used - before.get(pid, 0.0) for pid, used in after.items())
    return used_s / (time.monotonic() - began)


def pss_mib(pids: Iterable[int]) -> float:
    """Memory of processes; of what several processes share, each has its part."""
    return sum(map(_pss_kib, pids)) / KIB_PER_MIB


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        sizes = (line.split() for line in rollup.splitlines())
        return next((int(words[1]) for words in sizes if words[0] == "Pss:"), 0)
    return 0


def _cpu_s(pids: Iterable[int]) -> dict[int, float]:
    used = {}
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = text.rpartition(")")[2].split()
            used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used
