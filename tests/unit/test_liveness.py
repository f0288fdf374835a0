from __future__ import annotations

import pytest

from pms.domain.liveness import ABSENCE_S, HEARTBEAT_TIMEOUT_S, Attention, begin, hung, turn


@pytest.mark.parametrize(
    ("last_heard", "now", "expected"),
    [
        ({}, 100.0, []),
        ({1: 100.0}, 100.0, []),
        ({1: 95.0}, 100.0, []),
        ({1: 94.9}, 100.0, [1]),
        ({1: 94.9, 2: 99.0, 3: 20.0}, 100.0, [1, 3]),
    ],
)
def test_silence_of_more_than_the_timeout_is_hanging(
    last_heard: dict[int, float], now: float, expected: list[int]
) -> None:
    assert hung(last_heard, Attention(since=0.0, last_turn_at=now), now) == expected


def test_the_timeout_can_be_chosen() -> None:
    attention = Attention(since=0.0, last_turn_at=10.0)
    assert hung({1: 8.0}, attention, 10.0, timeout_s=1.0) == [1]


def attention_after(*turns: float) -> Attention:
    attention = begin(turns[0])
    for now in turns[1:]:
        attention = turn(attention, now)
    return attention


@pytest.mark.parametrize(
    ("turns", "since"),
    [
        ((0.0,), 0.0),
        ((0.0, 0.5, 1.5, 2.5), 0.0),
        ((0.0, 0.5, 0.5 + ABSENCE_S + 0.01), 0.5 + ABSENCE_S + 0.01),
        ((0.0, 30.0, 30.5, 31.0), 30.0),
        ((0.0, 30.0, 60.0, 60.5), 60.0),
    ],
)
def test_an_absence_of_our_own_begins_the_listening_anew(
    turns: tuple[float, ...], since: float
) -> None:
    assert attention_after(*turns) == Attention(since=since, last_turn_at=turns[-1])


def test_nobody_is_hung_right_after_an_absence_but_the_silent_one_is_later() -> None:
    attention = attention_after(0.0, 1.0, 31.0)
    last_heard = {1: 0.9, 2: 0.9}
    assert hung(last_heard, attention, 31.0) == []
    last_heard[2] = 31.0
    now = 31.0
    while now < 31.0 + HEARTBEAT_TIMEOUT_S:
        now += 0.5
        last_heard[2] = now
        attention = turn(attention, now)
        assert hung(last_heard, attention, now) == []
    assert hung(last_heard, turn(attention, now + 0.5), now + 0.5) == [1]
