"""Waiting for conditions: the only place of the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    timeout_s: float,
    what: str,
    *,
    interval_s: float = 0.02,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Call `condition` until it gives something true, and give that.

    Errors of the kinds in `ignoring` count as not yet. Raises AssertionError that names
    `what` and the last value or error when `timeout_s` has passed.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        late = time.monotonic() > deadline
        try:
            value = condition()
        except ignoring as error:
            last = error
        else:
            if value:
                return value
            last = value
        if late:
            raise AssertionError(f"{what}: not within {timeout_s:g} s; last seen: {last!r}")
        time.sleep(interval_s)
