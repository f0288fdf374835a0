"""The person of the demonstration clears each bed once, a moment after its print has ended."""

from __future__ import annotations

from typing import Any

import pytest

from pms.demo.attendant import WALK_S, Attendant
from pms.errors import CoordinatorNotRunningError, PMSError, RefusedError


class Pms:
    """Keeps what it is told, or refuses it."""

    def __init__(self) -> None:
        self.refusal: PMSError | None = None
        self.cleared: list[tuple[str, int]] = []

    def clear(self, printer: str, print_id: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.cleared.append((printer, print_id))


def status(*printers: tuple[str, str, str, int | None]) -> dict[str, Any]:
    """Name, state, bed and print of each printer."""
    names = ("name", "state", "bed", "print_id")
    return {"printers": [dict(zip(names, printer, strict=True)) for printer in printers]}


FINISHED = status(("a", "finished", "occupied", 1))


@pytest.mark.parametrize(
    ("state", "bed", "print_id", "cleared"),
    [
        ("finished", "occupied", 1, True),
        ("idle", "occupied", 1, True),
        ("idle", "clear", 1, False),
        ("idle", "occupied", None, False),
        ("transferring", "occupied", 1, False),
        ("printing", "occupied", 1, False),
        ("paused", "occupied", 1, False),
        ("unreachable", "occupied", 1, False),
    ],
)
def test_takes_off_what_lies_there(
    state: str, bed: str, print_id: int | None, cleared: bool
) -> None:
    pms = Pms()
    attendant = Attendant(pms.clear, lambda _: None)
    seen = status(("a", state, bed, print_id))
    attendant.look(seen, 10.0)
    attendant.look(seen, 10.0 + WALK_S / 2)
    assert pms.cleared == []
    attendant.look(seen, 10.0 + WALK_S)
    assert pms.cleared == ([("a", 1)] if cleared else [])


def test_clears_a_print_once_and_the_next_one_again() -> None:
    pms = Pms()
    attendant = Attendant(pms.clear, lambda _: None)
    for now in (0.0, WALK_S, 2 * WALK_S, 3 * WALK_S):
        attendant.look(FINISHED, now)
    assert pms.cleared == [("a", 1)]
    following = status(("a", "finished", "occupied", 2), ("b", "finished", "occupied", 3))
    for now in (4 * WALK_S, 5 * WALK_S):
        attendant.look(following, now)
    assert pms.cleared == [("a", 1), ("a", 2), ("b", 3)]


@pytest.mark.parametrize("refusal", [RefusedError("not yet"), CoordinatorNotRunningError("away")])
def test_says_what_was_refused_and_comes_again(refusal: PMSError) -> None:
    pms, told = Pms(), list[str]()
    attendant = Attendant(pms.clear, told.append)
    pms.refusal = refusal
    attendant.look(FINISHED, 0.0)
    attendant.look(FINISHED, WALK_S)
    assert len(told) == 1
    assert str(refusal) in told[0]
    pms.refusal = None
    attendant.look(FINISHED, WALK_S + 1.0)
    assert pms.cleared == []
    attendant.look(FINISHED, 2 * WALK_S + 1.0)
    assert pms.cleared == [("a", 1)]
