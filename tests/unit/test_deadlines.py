"""The deadlines of many: which is next, and which have come."""

from __future__ import annotations

import random

import pytest

from pms.coordinator.deadlines import Deadlines

NEVER = float("inf")

Changes = list[tuple[int, float | None]]


def deadlines(*changes: tuple[int, float | None]) -> Deadlines:
    made = Deadlines()
    for key, at in changes:
        made.set(key, at)
    return made


@pytest.mark.parametrize(
    ("changes", "following", "due_at_5"),
    [
        ([], NEVER, []),
        ([(1, 7.0)], 7.0, []),
        ([(1, 5.0)], 5.0, [1]),
        ([(1, 4.0), (2, 3.0), (3, 6.0)], 3.0, [2, 1]),
        # The last word counts.
        ([(1, 4.0), (1, 9.0)], 9.0, []),
        ([(1, 9.0), (1, 4.0)], 4.0, [1]),
        ([(1, 4.0), (1, None)], NEVER, []),
        ([(1, None)], NEVER, []),
        ([(1, 4.0), (1, None), (1, 4.0)], 4.0, [1]),
        ([(1, 4.0), (1, 3.0), (1, 4.0)], 4.0, [1]),
        ([(1, 4.0), (1, 4.0)], 4.0, [1]),
    ],
)
def test_next_and_due(changes: Changes, following: float, due_at_5: list[int]) -> None:
    assert deadlines(*changes).next() == following
    assert deadlines(*changes).due(5.0) == due_at_5


def test_what_was_due_has_no_deadline_until_it_is_given_another() -> None:
    made = deadlines((1, 1.0), (2, 8.0))
    assert made.due(2.0) == [1]
    assert made.due(2.0) == []
    assert made.next() == 8.0
    made.set(1, 3.0)
    assert made.next() == 3.0


def test_it_agrees_with_a_plain_table() -> None:
    generator = random.Random(1)
    made, table, now = Deadlines(), dict[int, float](), 0.0
    for _ in range(2000):
        key = generator.randrange(20)
        at = generator.choice([None, now + generator.randrange(30)])
        made.set(key, at)
        table.pop(key, None)
        table |= {} if at is None else {key: at}
        assert made.next() == min(table.values(), default=NEVER)
        if generator.random() < 0.2:
            now += generator.randrange(5)
            due = [key for key, at in table.items() if at <= now]
            assert sorted(made.due(now)) == sorted(due)
            table = {key: at for key, at in table.items() if at > now}
