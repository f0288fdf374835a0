"""How long to wait before the next try of something that has failed."""

from __future__ import annotations


def backoff_s(failures: int, random: float, first: float = 1.0, cap: float = 60.0) -> float:
    """Seconds to wait after so many failures in a row, with full jitter.

    The longest wait doubles from `first` up to `cap`; `random`, from 0 to 1, picks a point
    below it, so that many who failed together do not all come back together.
    """
    if failures <= 0:
        return 0.0
    doublings = min(failures - 1, 64)
    return random * min(cap, first * 2.0**doublings)
