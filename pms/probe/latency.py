"""How long an OctoPrint takes to answer."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Of a number of round trips, in seconds."""

    count: int
    minimum_s: float
    median_s: float
    #: The 99th percentile; of fewer than 100, the longest.
    p99_s: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Latency:
        """The figures of one round trip or more."""
        ordered = sorted(samples)
        return cls(
            count=len(ordered),
            minimum_s=ordered[0],
            median_s=statistics.median(ordered),
            p99_s=ordered[math.ceil(len(ordered) * 0.99) - 1],
        )

    def __str__(self) -> str:
        figures = (self.minimum_s, self.median_s, self.p99_s)
        minimum, median, p99 = (f"{figure * 1000:.1f}" for figure in figures)
        return f"median {median} ms, minimum {minimum} ms, 99th percentile {p99} ms"


def round_trips(request: Callable[[], object], count: int, limit_s: float = math.inf) -> Latency:
    """Make a request so often, or until `limit_s` have passed, over a connection that is open."""
    request()
    samples: list[float] = []
    while len(samples) < count and sum(samples) < limit_s:
        samples.append(_timed(request))
    return Latency.of(samples)


def _timed(request: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    request()
    return time.perf_counter() - started_at
