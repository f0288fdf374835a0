from __future__ import annotations

import pytest

from pms.broker.intake import Ack, Unacknowledged


@pytest.mark.parametrize(
    ("rounds", "acks"),
    [
        ([[1]], [[Ack(1, multiple=True)]]),
        ([[1, 2, 3, 4, 5, 6]], [[Ack(6, multiple=True)]]),
        ([[3, 1, 2]], [[Ack(3, multiple=True)]]),
        ([[2]], [[Ack(2, multiple=False)]]),
        ([[1, 2, 4, 6]], [[Ack(2, multiple=True), Ack(4, False), Ack(6, False)]]),
        ([[2], [1, 3]], [[Ack(2, False)], [Ack(3, multiple=True)]]),
        ([[2, 3], [1]], [[Ack(2, False), Ack(3, False)], [Ack(1, multiple=True)]]),
        ([[1], [1]], [[Ack(1, multiple=True)], []]),
        ([[1, 2], [1, 2, 3]], [[Ack(2, multiple=True)], [Ack(3, multiple=True)]]),
        ([[0, 7, 99]], [[]]),
        ([[]], [[]]),
    ],
)
def test_only_what_was_asked_for_is_acknowledged(
    rounds: list[list[int]], acks: list[list[Ack]]
) -> None:
    unacknowledged = Unacknowledged()
    for tag in range(1, 7):
        unacknowledged.add(tag)
    assert [unacknowledged.settle(tags) for tags in rounds] == acks


def test_what_is_settled_is_no_longer_open() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.add(1)
    unacknowledged.add(2)
    unacknowledged.settle([1])
    assert 1 not in unacknowledged
    assert 2 in unacknowledged
