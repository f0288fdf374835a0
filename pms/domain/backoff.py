"""How long to wait before the next try of something that has failed."""

from __future__ import annotations

from datetime import datetime, timedelta

#: By how much two readings of one clock may be out of order.
CLOCK_SLACK = timedelta(seconds=5)


def backoff_s(failures: int, random: float, first: float = 1.0, cap: float = 60.0) -> float:
    """Seconds to wait after so many failures in a row, with full jitter.

    The longest wait doubles from `first` up to `cap`; `random`, from 0 to 1, picks a point
    below it, so that many who failed together do not all come back together.
    """
    if failures <= 0:
        return 0.0
    doublings = min(failures - 1, 64)
    return random * min(cap, first * 2.0**doublings)


def still_waits(until: datetime | None, now: datetime, longest: timedelta) -> bool:
    """Whether a wait lasts whose end was kept as a time of day.

    An end that is further away than the longest wait takes was kept before the clock was put
    back; such a wait is over, as nobody knows how long it has lasted.
    """
    return until is not None and now < until <= now + longest + CLOCK_SLACK
