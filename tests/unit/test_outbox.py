from __future__ import annotations

import random

import pytest

from pms.bus.outbox import BLOCKED_RETRY_S, Inbox, Outbox, Verdict


def test_numbers_from_one_and_sends_each_once_until_late() -> None:
    outbox: Outbox[str] = Outbox(resend_after_s=2.0)
    assert (outbox.add("a", 10.0), outbox.add("b", 10.5)) == (1, 2)
    assert outbox.due(10.5) == [(1, "a"), (2, "b")]
    assert outbox.due(12.4) == []
    assert outbox.due(12.5) == [(1, "a"), (2, "b")]
    assert outbox.due(14.5) == [(1, "a"), (2, "b")]


def test_acknowledging_gives_the_item_back_once() -> None:
    outbox: Outbox[str] = Outbox()
    outbox.add("a", 0.0)
    outbox.add("b", 0.0)
    assert [outbox.acknowledge(number) for number in (1, 1, 7, 0)] == ["a", None, None, None]
    assert len(outbox) == 1
    assert outbox.due(99.0) == [(2, "b")]
    assert outbox.add("c", 99.0) == 3


def test_next_due_is_never_in_the_past() -> None:
    outbox: Outbox[str] = Outbox(resend_after_s=2.0)
    seen = [outbox.next_due(5.0)]
    outbox.add("a", 5.0)
    seen.append(outbox.next_due(6.0))
    outbox.due(6.0)
    seen.append(outbox.next_due(7.0))
    seen.append(outbox.next_due(9.0))
    outbox.add("b", 7.0)
    seen.append(outbox.next_due(7.0))
    outbox.due(7.0)
    outbox.acknowledge(1)
    seen.append(outbox.next_due(7.0))
    outbox.acknowledge(2)
    seen.append(outbox.next_due(7.0))
    assert seen == [None, 6.0, 8.0, 9.0, 7.0, 9.0, None]


def test_flush_stops_where_the_other_side_takes_nothing_and_keeps_the_order() -> None:
    outbox: Outbox[str] = Outbox(resend_after_s=2.0)
    sent: list[str] = []
    takes = {"a"}

    def send(_: int, item: str) -> bool:
        if item in takes:
            sent.append(item)
        return item in takes

    for item in "abc":
        outbox.add(item, 0.0)
    outbox.flush(0.0, send)
    assert (sent, outbox.next_due(0.0)) == (["a"], BLOCKED_RETRY_S)

    takes.update("bcd")
    outbox.add("d", 0.01)
    outbox.flush(0.05, send)
    assert sent == ["a"]
    outbox.flush(BLOCKED_RETRY_S, send)
    assert sent == ["a", "b", "c", "d"]
    assert outbox.next_due(1.0) == 2.0


def test_unblock_lets_the_next_flush_send_at_once() -> None:
    outbox: Outbox[str] = Outbox()
    outbox.add("a", 0.0)
    outbox.flush(0.0, lambda *_: False)
    outbox.unblock()
    assert outbox.next_due(0.0) == 0.0
    outbox.flush(0.0, lambda *_: True)
    assert outbox.next_due(0.0) == 2.0


@pytest.mark.parametrize(
    ("sequences", "verdicts"),
    [
        ([1, 2, 3], ["new", "new", "new"]),
        ([1, 1, 2, 1], ["new", "duplicate", "new", "duplicate"]),
        ([2, 1, 2], ["gap", "new", "new"]),
        ([3, 1, 3, 2, 3], ["gap", "new", "gap", "new", "new"]),
        ([0, -1], ["duplicate", "duplicate"]),
    ],
)
def test_accepting(sequences: list[int], verdicts: list[Verdict]) -> None:
    inbox = Inbox()
    assert [inbox.accept(sequence) for sequence in sequences] == verdicts


def test_peeking_changes_nothing_and_advancing_goes_one_step() -> None:
    inbox = Inbox()
    assert (inbox.peek(1), inbox.peek(1)) == ("new", "new")
    assert [inbox.advance(2), inbox.advance(1), inbox.advance(1)] == [False, True, False]
    assert inbox.last == 1


@pytest.mark.parametrize("seed", range(20))
def test_everything_arrives_once_and_in_order_over_a_bad_line(seed: int) -> None:
    chance = random.Random(seed)
    outbox: Outbox[int] = Outbox(resend_after_s=2.0)
    inbox = Inbox()
    arrived: list[int] = []

    def send(sequence: int, item: int) -> bool:
        fate = chance.choice(["lost", "blocked", "delivered", "delivered twice", "no answer"])
        for _ in range({"delivered": 1, "no answer": 1, "delivered twice": 2}.get(fate, 0)):
            verdict = inbox.accept(sequence)
            if verdict == "new":
                arrived.append(item)
            if verdict != "gap" and fate != "no answer":
                outbox.acknowledge(sequence)
        return fate != "blocked"

    now = 0.0
    for item in range(30):
        outbox.add(item, now)
        outbox.flush(now, send)
        now += 0.3
    for _ in range(10_000):
        due = outbox.next_due(now)
        if due is None:
            break
        now = due
        outbox.flush(now, send)
    assert arrived == list(range(30))
    assert len(outbox) == 0
