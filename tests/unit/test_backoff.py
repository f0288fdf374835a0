from __future__ import annotations

import pytest

from pms.domain.backoff import backoff_s


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
