"""What the process of a printer does about the files it has put onto OctoPrint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pms.domain.observation import FileFacts, Observation
from pms.domain.states import TransferProblem
from tests.support.worker_rig import (
    AT_MARKER,
    BEGAN,
    CANCEL,
    CHANGED,
    CLEAR,
    DONE,
    FAILED,
    IDLE,
    LOST,
    OTHER,
    PATH,
    PAUSED,
    PRINTS,
    RETENTION_S,
    STAGED,
    A,
    P,
    Rig,
    finished,
    order,
    printing,
    ready,
    seen,
    settled,
    snapshot,
    staged,
)
from workers.housekeeping import FIRST_STOCK_S, STOCK_INTERVAL_IF_SHORT_S, STOCK_INTERVAL_S
from workers.steps import DeleteFile, StartFile, Stock, TakeStock

ANOTHER = "pms/job-8_print-9_try-1.gcode"
NEXT = "pms/job-3_print-4_try-1.gcode"
NO_ROOM = {
    "problem": TransferProblem.NO_ROOM,
    "detail": "OctoPrint has 0.0 MB free",
    "bytes_needed": 100,
}


def old(path: str, age_s: float = 2 * RETENTION_S, rig: Rig | None = None) -> FileFacts:
    now = BEGAN.timestamp() + (rig.now if rig else 1000.0)
    return FileFacts(path=path, size=1, sha1=None, uploaded_at=now - age_s)


def take_stock(rig: Rig, *files: FileFacts, free_bytes: int | None = None) -> None:
    """Wait for the next stocktaking, with looks that see the printer idle."""
    until_call(rig, TakeStock)
    rig.answer(Stock(files, free_bytes))


def until_call(rig: Rig, kind: type[Any], seconds: float = 2 * STOCK_INTERVAL_S) -> None:
    end = rig.now + seconds
    while not isinstance(rig.call, kind):
        assert rig.now < end, f"no {kind.__name__}"
        if rig.call is None:
            rig.wait(max(0.0, rig.printer.next_deadline() - rig.now))
        else:
            rig.look(IDLE)


def deletions(rig: Rig, observation: Observation = IDLE, seconds: float = 30.0) -> list[str]:
    """What is deleted while OctoPrint shows this."""
    rig.looks(observation, seconds)
    return [call.path for call in rig.calls if isinstance(call, DeleteFile)]


# -- the ends of attempts ----------------------------------------------------------------


def is_cleared() -> Rig:
    rig = finished()
    rig.command(CLEAR)
    rig.look(DONE)
    return rig


def has_failed() -> Rig:
    rig = printing()
    rig.looks(FAILED)
    return rig


def is_cancelled() -> Rig:
    rig = printing()
    rig.command(CANCEL)
    rig.looks(FAILED)
    return rig


def is_taken_back() -> Rig:
    rig = staged()
    rig.command(CANCEL)
    return rig


def is_returned() -> Rig:
    rig = ready()
    rig.command(order())
    rig.look(seen(A.PRINTING, path=OTHER))
    return rig


def did_not_fit() -> Rig:
    rig = ready()
    rig.command(order())
    rig.transferred(**NO_ROOM)
    return rig


ENDS: dict[str, tuple[Callable[[], Rig], str, bool]] = {
    "cleared": (is_cleared, "PrintCleared", True),
    "failed": (has_failed, "PrintFailed", False),
    "cancelled after its start": (is_cancelled, "PrintCancelled", False),
    "cancelled before its start": (is_taken_back, "PrintCancelled", True),
    "returned": (is_returned, "CommandRefused", True),
    "not transferred": (did_not_fit, "TransferFinished", True),
}


@pytest.mark.parametrize("retention_s", [RETENTION_S, 0.0])
@pytest.mark.parametrize("end", ENDS)
def test_the_file_of_an_attempt_that_has_ended(
    end: str, retention_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rig, "retention_s", retention_s)
    bring_about, event, at_once = ENDS[end]
    rig = bring_about()
    assert type(rig.events[-1]).__name__ == event
    # It is evidence as long as nobody has written the end down.
    assert deletions(rig) == []
    rig.record()
    assert deletions(rig) == ([PATH] if at_once or retention_s == 0 else [])


@pytest.mark.parametrize("retention_s", [RETENTION_S, 0.0])
@pytest.mark.parametrize("bring_about", [has_failed, is_cleared, is_cancelled])
def test_evidence_stays_when_stock_is_taken_before_anybody_has_written_the_end_down(
    bring_about: Callable[[], Rig], retention_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rig, "retention_s", retention_s)
    rig = bring_about()
    take_stock(rig, old(PATH), old(ANOTHER))
    assert deletions(rig) == [ANOTHER]
    rig.record()
    take_stock(rig, old(PATH))
    assert PATH in deletions(rig)


@pytest.mark.parametrize(
    "observation",
    [DONE, PRINTS, PAUSED, seen(A.PRINTING, path=OTHER), seen(A.FINISHING, path=OTHER)],
)
def test_nothing_goes_that_is_selected_and_nothing_while_something_prints(
    observation: Observation,
) -> None:
    rig = is_cleared()
    rig.record()
    assert deletions(rig, observation) == []
    assert deletions(rig) == [PATH]


def test_a_start_does_not_wait_for_housework() -> None:
    rig = ready()
    take_stock(rig, old(ANOTHER))
    assert deletions(rig, seen(A.OPERATIONAL, path=ANOTHER, file=None)) == []
    rig.command(order())
    rig.transferred()
    rig.look(STAGED)
    # The other file could go now, but the permission to start is due.
    assert rig.call is None
    rig.grant()
    assert rig.call == StartFile(PATH)


# -- what others have left ---------------------------------------------------------------


def test_stock_is_taken_soon_after_the_start_and_then_seldom() -> None:
    rig = ready()
    began = rig.now
    times = []
    for _ in range(3):
        until_call(rig, TakeStock)
        times.append(rig.now - began)
        rig.answer(Stock((), None))
    assert times[0] <= FIRST_STOCK_S
    assert times[1] - times[0] == pytest.approx(STOCK_INTERVAL_S)
    assert times[2] - times[1] == pytest.approx(STOCK_INTERVAL_S)


def test_what_an_earlier_process_has_left_goes_when_it_is_old() -> None:
    rig = ready()
    young = old(NEXT, age_s=RETENTION_S / 2)
    take_stock(rig, old(PATH), old(OTHER), young, old(ANOTHER))
    assert deletions(rig) == [PATH, ANOTHER]
    settled(rig)
    take_stock(rig, old(NEXT, rig=rig))
    assert deletions(rig) == [NEXT]


def test_a_file_that_is_selected_goes_later() -> None:
    rig = ready()
    take_stock(rig, old(PATH), old(ANOTHER))
    assert deletions(rig, seen(A.OPERATIONAL, path=PATH, file=None)) == [ANOTHER]
    assert deletions(rig) == [ANOTHER, PATH]


def test_the_file_of_the_attempt_in_hand_stays_whatever_its_date() -> None:
    rig = ready()
    take_stock(rig, old(PATH), old(ANOTHER))
    rig.command(order())
    rig.looks(IDLE, 5)
    assert deletions(rig) == [ANOTHER]


@pytest.mark.parametrize(
    "observation", [PRINTS, AT_MARKER, seen(A.PRINTING, path=OTHER), seen(A.DISCONNECTED, None)]
)
def test_no_stock_is_taken_while_the_printer_is_not_idle(observation: Observation) -> None:
    rig = ready()
    rig.push(CHANGED)
    rig.looks(observation, 2 * FIRST_STOCK_S)
    assert rig.count(TakeStock) == 0


def test_no_stock_is_taken_while_a_copy_is_in_hand() -> None:
    rig = ready()
    rig.command(order())
    rig.looks(IDLE, 3 * FIRST_STOCK_S)
    assert rig.count(TakeStock) == 0


def test_a_stocktaking_that_fails_is_tried_again_the_next_time() -> None:
    rig = ready()
    until_call(rig, TakeStock)
    rig.answer(LOST)
    assert deletions(rig) == []
    take_stock(rig, old(PATH, rig=rig))
    assert deletions(rig) == [PATH]


@pytest.mark.parametrize(("off_by_s", "goes"), [(0, True), (-10 * RETENTION_S, False)])
def test_age_goes_by_octoprints_own_clock_where_push_tells_it(off_by_s: float, goes: bool) -> None:
    rig = ready()
    rig.push(snapshot(server_time=rig.moment.utc.timestamp() + off_by_s))
    take_stock(rig, old(PATH))
    assert deletions(rig) == ([PATH] if goes else [])


# -- room --------------------------------------------------------------------------------


def reported(rig: Rig) -> list[tuple[str, str, bool]]:
    return [(c.state, c.detail, c.needs_attention) for c in rig.conditions()]


SHORT = (P.IDLE, NO_ROOM["detail"], True)


def test_a_disk_without_room_needs_attention_until_a_file_fits() -> None:
    rig = did_not_fit()
    rig.looks(IDLE, 30)
    assert reported(rig)[-1:] == [SHORT]
    rig.command(order(attempt_id=2, remote_path=NEXT))
    rig.looks(IDLE, 1)
    assert reported(rig) == [(P.TRANSFERRING, NO_ROOM["detail"], True)]
    rig.transferred(attempt_id=2, remote_path=NEXT)
    assert reported(rig) == [(P.TRANSFERRING, "", False)]


@pytest.mark.parametrize(
    "problem", [p for p in TransferProblem if p is not TransferProblem.NO_ROOM]
)
def test_a_transfer_that_fails_for_another_reason_says_nothing_of_the_room(
    problem: TransferProblem,
) -> None:
    rig = did_not_fit()
    rig.command(order(attempt_id=2, remote_path=NEXT))
    rig.transferred(attempt_id=2, problem=problem, detail="no file")
    rig.looks(IDLE, 1)
    assert reported(rig)[-1:] == [SHORT]


@pytest.mark.parametrize(
    ("needed", "free_bytes", "remains"),
    [(100, 99, True), (100, 100, False), (100, None, True), (None, 10**12, True)],
)
def test_attention_ends_when_there_is_room(
    needed: int | None, free_bytes: int | None, remains: bool
) -> None:
    rig = ready()
    rig.command(order())
    rig.transferred(**NO_ROOM | {"bytes_needed": needed})
    take_stock(rig, free_bytes=99)
    assert reported(rig)[-1:] == [SHORT]
    take_stock(rig, free_bytes=free_bytes)
    assert reported(rig) == ([] if remains else [(P.IDLE, "", False)])


def test_room_is_looked_for_at_once_and_again_soon() -> None:
    rig = did_not_fit()
    began = rig.now
    take_stock(rig, old(ANOTHER), free_bytes=1)
    assert rig.now == began
    assert deletions(rig) == [ANOTHER]
    take_stock(rig, free_bytes=1)
    assert rig.now - began == pytest.approx(STOCK_INTERVAL_IF_SHORT_S)


def test_a_printer_that_prints_all_the_same_shows_that() -> None:
    rig = did_not_fit()
    rig.looks(seen(A.PRINTING, path=OTHER), 1)
    [*_, (state, _, attention)] = reported(rig)
    assert (state, attention) == (P.BUSY, False)
