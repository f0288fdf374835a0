"""Who prints what: tables of waiting copies and printers → assignments and reasons."""

from __future__ import annotations

from typing import Any

import pytest

from pms.domain.scheduling import (
    Assignment,
    MaterialMatch,
    Need,
    PrinterView,
    WaitingPrint,
    fits,
    obstacle,
    schedule,
)
from pms.domain.states import Bed, PrinterState

MK4, MINI = 1, 2
MODELS = {MK4: "MK4", MINI: "MINI"}
PLA, PETG = 10, 11
ANY = Need(None, None)


def printer(printer_id: int, model_id: int = MK4, **changes: Any) -> PrinterView:
    idle: dict[str, Any] = {
        "materials": frozenset(),
        "state": PrinterState.IDLE,
        "bed": Bed.CLEAR,
        "model": MODELS[model_id],
    }
    return PrinterView(printer_id=printer_id, model_id=model_id, **{**idle, **changes})


def copies(job_id: int, number: int, need: Need = ANY, avoid: set[int] | None = None) -> Any:
    return [
        WaitingPrint(
            print_id=job_id * 100 + index,
            job_id=job_id,
            need=need,
            avoid=frozenset(avoid or ()),
        )
        for index in range(number)
    ]


def pairs(assignments: list[Assignment]) -> list[tuple[int, int]]:
    """Print and printer of each."""
    return [(a.print_id, a.printer_id) for a in assignments]


def loaded(*materials: int) -> PrinterView:
    return printer(1, materials=frozenset(materials))


@pytest.mark.parametrize(
    ("need", "view", "fitting_modes"),
    [
        (ANY, loaded(), "strict tracked off"),
        (ANY, loaded(PLA), "strict tracked off"),
        (Need(MK4, None), loaded(PLA), "strict tracked off"),
        (Need(MINI, None), loaded(PLA), ""),
        (Need(None, PLA), loaded(PLA), "strict tracked off"),
        (Need(None, PLA), loaded(PETG, PLA), "strict tracked off"),
        (Need(None, PLA), loaded(PETG), "off"),
        (Need(None, PLA), loaded(), "tracked off"),
        (Need(MK4, PLA), loaded(PLA), "strict tracked off"),
        (Need(MINI, PLA), loaded(PLA), ""),
    ],
)
def test_model_and_material(need: Need, view: PrinterView, fitting_modes: str) -> None:
    found = [mode.value for mode in MaterialMatch if fits(need, view, mode)]
    assert " ".join(found) == fitting_modes


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (printer(1), None),
        (printer(1, bed=Bed.OCCUPIED), "bed occupied"),
        (printer(1, claimed=True), "taken"),
        (printer(1, resting=True), "resting after a failed transfer or start"),
        (printer(1, consecutive_failures=2, completed=9), None),
        *(
            (printer(1, state=state), words)
            for state, words in {
                PrinterState.STARTING: "starting",
                PrinterState.UNREACHABLE: "unreachable",
                PrinterState.UNAUTHORIZED: "unauthorized",
                PrinterState.DISCONNECTED: "disconnected",
                PrinterState.TRANSFERRING: "receiving a file",
                PrinterState.PRINTING: "printing",
                PrinterState.PAUSED: "paused",
                PrinterState.FINISHED: "waiting to be cleared",
                PrinterState.BUSY: "busy with a print of somebody else",
                PrinterState.ERROR: "in error",
                PrinterState.SUSPENDED: "suspended",
                PrinterState.DISABLED: "disabled",
            }.items()
        ),
    ],
)
def test_only_a_free_printer_takes_a_copy(view: PrinterView, words: str | None) -> None:
    assert obstacle(view) == words
    assert bool(schedule(copies(1, 1), [view]).assignments) is (words is None)


def test_every_state_has_its_words() -> None:
    busy = [state for state in PrinterState if state is not PrinterState.IDLE]
    assert all(obstacle(printer(1, state=state)) for state in busy)


def test_the_copies_of_a_job_spread_over_all_printers_that_fit() -> None:
    farm = [printer(1), printer(2, MINI), printer(3), printer(4)]
    plan = schedule(copies(1, 5, Need(MK4, None)), farm)
    assert pairs(plan.assignments) == [(100, 1), (101, 3), (102, 4)]
    assert plan.reasons == {103: "3 MK4 printers: 3 taken", 104: "3 MK4 printers: 3 taken"}


@pytest.mark.parametrize(
    ("farm", "order"),
    [
        # The one that failed last comes last; then the least used; then the first.
        ([printer(1, consecutive_failures=1), printer(2, completed=9)], [2, 1]),
        ([printer(1, completed=5), printer(2, completed=4)], [2, 1]),
        ([printer(2), printer(1)], [1, 2]),
        ([printer(1, consecutive_failures=2), printer(2, consecutive_failures=1)], [2, 1]),
    ],
)
def test_the_best_printer_first(farm: list[PrinterView], order: list[int]) -> None:
    assert [a.printer_id for a in schedule(copies(1, 2), farm).assignments] == order


def test_an_earlier_job_that_fits_nowhere_does_not_hold_up_a_later_one() -> None:
    waiting = copies(1, 2, Need(MINI, None)) + copies(2, 1, Need(MK4, None)) + copies(3, 1)
    plan = schedule(waiting, [printer(1), printer(2)])
    assert pairs(plan.assignments) == [(200, 1), (300, 2)]
    assert set(plan.reasons) == {100, 101}


def test_the_earlier_copy_gets_the_only_printer() -> None:
    plan = schedule(copies(7, 1) + copies(3, 1), [printer(1)])
    assert pairs(plan.assignments) == [(700, 1)]


@pytest.mark.parametrize(
    ("avoid", "farm", "chosen"),
    [
        ({1}, [printer(1), printer(2, completed=50)], [2]),
        ({1, 2}, [printer(1), printer(2), printer(3, consecutive_failures=2)], [3]),
        # Better on the one where it failed than not at all.
        ({1}, [printer(1), printer(2, bed=Bed.OCCUPIED)], [1]),
        ({1, 2}, [printer(1, completed=3), printer(2)], [2]),
        ({5}, [printer(1)], [1]),
    ],
)
def test_a_reprint_prefers_another_printer(
    avoid: set[int], farm: list[PrinterView], chosen: list[int]
) -> None:
    plan = schedule(copies(1, 1, avoid=avoid), farm)
    assert [a.printer_id for a in plan.assignments] == chosen


def test_a_copy_that_avoids_a_printer_leaves_it_to_the_next() -> None:
    waiting = copies(1, 1, avoid={1}) + copies(2, 1)
    plan = schedule(waiting, [printer(1), printer(2)])
    assert pairs(plan.assignments) == [(100, 2), (200, 1)]


OCCUPIED = printer(1, bed=Bed.OCCUPIED)
OFFLINE = printer(2, state=PrinterState.UNREACHABLE)


@pytest.mark.parametrize(
    ("need", "farm", "reason"),
    [
        (ANY, [], "there are no printers"),
        (Need(MINI, None), [], "there are no printers"),
        (
            Need(MINI, None),
            [OCCUPIED, OFFLINE],
            "no printer is of the model that the job asks for",
        ),
        (Need(MK4, None), [OCCUPIED, OFFLINE], "2 MK4 printers: 1 bed occupied, 1 unreachable"),
        (ANY, [OCCUPIED], "1 printer: 1 bed occupied"),
        (
            ANY,
            [OCCUPIED, OFFLINE, printer(3, bed=Bed.OCCUPIED), printer(4, MINI, claimed=True)],
            "4 printers: 2 bed occupied, 1 unreachable, 1 taken",
        ),
        (
            Need(MK4, PLA),
            [printer(1, materials=frozenset({PETG})), printer(2, MINI)],
            "1 MK4 printer: none has the job's material loaded",
        ),
        # Printers without the material are not counted among those that could.
        (
            Need(MK4, PLA),
            [printer(1, materials=frozenset({PETG})), OFFLINE],
            "1 MK4 printer: 1 unreachable",
        ),
    ],
)
def test_a_copy_that_waits_has_a_reason_in_words(
    need: Need, farm: list[PrinterView], reason: str
) -> None:
    assert schedule(copies(1, 1, need), farm).reasons == {100: reason}


def test_every_copy_is_either_assigned_or_has_a_reason() -> None:
    waiting = copies(1, 3, Need(MK4, PLA), {1}) + copies(2, 3, Need(MINI, None)) + copies(3, 3)
    farm = [printer(1), printer(2, MINI), OFFLINE, printer(4)]
    for mode in MaterialMatch:
        plan = schedule(waiting, farm, mode)
        assigned = {a.print_id for a in plan.assignments}
        assert assigned | set(plan.reasons) == {w.print_id for w in waiting}
        assert not assigned & set(plan.reasons)
        assert len({a.printer_id for a in plan.assignments}) == len(plan.assignments)


def test_a_big_farm_with_a_long_queue() -> None:
    """10,000 copies and 1,000 printers; how long it takes is the benchmark's business."""
    farm = [
        printer(number, 1 + number % 2, completed=number % 7, claimed=number % 10 == 9)
        for number in range(1000)
    ]
    waiting: list[WaitingPrint] = []
    for job_id in range(1000):
        need = Need((None, MK4, MINI)[job_id % 3], (None, PLA)[job_id % 2])
        waiting += copies(job_id, 10, need, {job_id} if job_id % 5 == 0 else None)
    plan = schedule(waiting, farm)
    assert len(plan.assignments) == 900
    assert len({a.printer_id for a in plan.assignments}) == 900
    assert len(plan.reasons) == 9100
    needs = {copy.print_id: copy.need for copy in waiting}
    for assignment in plan.assignments:
        view = farm[assignment.printer_id]
        assert not view.claimed
        assert fits(needs[assignment.print_id], view, MaterialMatch.TRACKED)
