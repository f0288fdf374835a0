from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pms.domain.backoff import CLOCK_SLACK, backoff_s, still_waits

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("failures", "longest"),
    [(-1, 0), (0, 0), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1_000_000, 60)],
)
def test_the_longest_wait_doubles_up_to_the_cap(failures: int, longest: float) -> None:
    assert backoff_s(failures, 1.0) == longest


@pytest.mark.parametrize(("random", "expected"), [(0.0, 0.0), (0.25, 2.0), (0.5, 4.0)])
def test_any_wait_below_the_longest_is_possible(random: float, expected: float) -> None:
    assert backoff_s(4, random) == expected


def test_first_and_cap_are_the_callers() -> None:
    assert [backoff_s(n, 1.0, first=0.1, cap=0.3) for n in (1, 2, 3)] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (None, False),
        (NOW - timedelta(hours=1), False),
        (NOW, False),
        (NOW + timedelta(microseconds=1), True),
        (NOW + MINUTE, True),
        # Kept a moment after `now` was read.
        (NOW + MINUTE + CLOCK_SLACK, True),
        # Kept before the clock was put back.
        (NOW + MINUTE + CLOCK_SLACK + timedelta(microseconds=1), False),
        (NOW + timedelta(hours=1), False),
    ],
)
def test_a_wait_ends_even_if_the_clock_was_put_back(until: datetime | None, expected: bool) -> None:
    assert still_waits(until, NOW, MINUTE) is expected
