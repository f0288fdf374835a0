"""One measured figure, and how it is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Seconds for one thing that PMS does, and for the least that it could take."""

    what: str
    median_s: float
    p99_s: float
    floor_s: float
    budget: str
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.median_s / self.floor_s


def durations(action: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of so many calls, after one that does not count."""
    action()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return sorted(taken)


def percentile_99(taken: list[float]) -> float:
    """Of sorted values."""
    return taken[min(len(taken) - 1, int(len(taken) * 0.99))]


def compare(
    what: str,
    action: Callable[[], object],
    floor: Callable[[], object],
    *,
    rounds: int,
    budget: str,
) -> Figure:
    """Measure the action and its floor in the same run."""
    taken = durations(action, rounds)
    return Figure(
        what=what,
        median_s=statistics.median(taken),
        p99_s=percentile_99(taken),
        floor_s=statistics.median(durations(floor, rounds)),
        budget=budget,
    )
