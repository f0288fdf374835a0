"""Rounds of scheduling on a database: when there is one, and what its printers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from pms.bus import messages as bus
from pms.coordinator.assignments import Round
from pms.domain.demands import SETTLED_S
from pms.domain.states import PrinterState
from pms.store import printers, tables
from tests.support.shop_floor import AT, STILL_S, FailingDatabase, ShopFloor, staged

HOT = bus.Temperature(actual=60.0, target=60.0)
COLD = bus.Temperature(actual=21.0, target=60.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FailingDatabase]:
    store = FailingDatabase(f"sqlite:///{tmp_path}/pms.sqlite3")
    yield store
    store.close()


@pytest.fixture
def floor(store: FailingDatabase) -> ShopFloor:
    """Four printers."""
    return ShopFloor(store, 4)


def reasons(round_: Round) -> set[str]:
    """Why copies wait."""
    return set((round_.reasons or {}).values())


def claimed_jobs(floor: ShopFloor, after_s: float = 0.0) -> list[int]:
    return [attempt.job_id for attempt in floor.assign(after_s).claimed]


def heat(floor: ShopFloor, printer_id: int, bed: bus.Temperature) -> None:
    """What the printer's process says about its bed."""
    floor.farm[printer_id].hear(bus.Temperatures(heaters={"bed": bed}), floor.now, AT)


def start(floor: ShopFloor, printer_id: int) -> None:
    attempt = floor.attempt(printer_id)
    floor.report(staged(attempt), printer_id)
    assert floor.report(bus.PrintStarting(at=AT, attempt_id=attempt.id), printer_id).granted
    floor.report(bus.PrintStarted(at=AT, attempt_id=attempt.id), printer_id)


def occupy(floor: ShopFloor, printer_id: int) -> None:
    floor.show(printer_id, PrinterState.BUSY)
    floor.show(printer_id, PrinterState.IDLE)


def suspend(floor: ShopFloor, printer_id: int) -> None:
    with floor.store.begin() as connection:
        printers.suspend(connection, printer_id)


def disable(floor: ShopFloor, printer_id: int) -> None:
    with floor.store.begin() as connection:
        chosen = tables.printers.c.id == printer_id
        connection.execute(update(tables.printers).where(chosen).values(enabled=False))


def print_something(floor: ShopFloor, printer_id: int) -> None:
    floor.show(printer_id, PrinterState.PRINTING)


def claim(floor: ShopFloor, printer_id: int) -> None:
    """It has not said yet that it has got the copy."""
    assert floor.assign().claimed[0].printer_id == printer_id


@pytest.mark.parametrize("busy", [occupy, suspend, disable, print_something, claim])
def test_a_report_leads_to_a_round_only_where_a_printer_is_free(
    store: FailingDatabase, busy: Callable[[ShopFloor, int], None]
) -> None:
    floor = ShopFloor(store, 2)
    floor.show(2, PrinterState.PRINTING)
    floor.take_in(floor.add_job(3))
    busy(floor, 1)
    assert floor.assign(thorough=False) == Round([], None)
    # Whoever asks why the copies wait is told all the same.
    assert floor.assign().reasons
    floor.show(2, PrinterState.IDLE)
    round_ = floor.assign(thorough=False)
    assert [attempt.printer_id for attempt in round_.claimed] == [2]
    # Two copies are left over, and why they wait has to do with every printer.
    assert round_.reasons is None


@pytest.mark.parametrize("thorough", [True, False])
def test_once_every_copy_has_a_printer_no_reason_is_left(floor: ShopFloor, thorough: bool) -> None:
    floor.take_in(floor.add_job(4))
    round_ = floor.assign(thorough=thorough)
    assert len(round_.claimed) == 4
    assert round_.reasons == {}
    assert floor.assign(thorough=thorough) == Round([], {} if thorough else None)


def test_a_thorough_round_tells_of_busy_printers_too(floor: ShopFloor) -> None:
    floor.show(3, PrinterState.PRINTING)
    disable(floor, 4)
    floor.take_in(floor.add_job(3))
    round_ = floor.assign()
    assert [attempt.printer_id for attempt in round_.claimed] == [1, 2]
    assert reasons(round_) == {"4 printers: 2 taken, 1 printing, 1 disabled"}


def test_transfers_are_limited_and_jobs_take_turns(floor: ShopFloor) -> None:
    floor.limit(transfers=2)
    big, small = floor.add_job(3), floor.add_job(1)
    for job in (big, small):
        floor.take_in(job)
    round_ = floor.assign()
    assert [attempt.job_id for attempt in round_.claimed] == [big, small]
    assert reasons(round_) == {"waits for one of 2 transfers"}
    assert claimed_jobs(floor) == []
    # Staged or given back, a copy makes room for the next one.
    floor.report(staged(floor.attempt(1)), 1)
    assert claimed_jobs(floor) == [big]
    refusal = bus.CommandRefused(
        at=AT, command="StartPrint", attempt_id=floor.attempt(2).id, reason="lost", returned=True
    )
    floor.report(refusal, 2)
    assert claimed_jobs(floor) == [big]


def test_a_new_coordinator_knows_what_is_under_way(floor: ShopFloor) -> None:
    """Nothing is kept that could leak: what counts are the attempts that are live."""
    floor.limit(transfers=1)
    floor.take_in(floor.add_job(3))
    assert len(floor.assign().claimed) == 1
    floor.limit(transfers=1)
    assert floor.assign().claimed == []
    floor.limit(transfers=2)
    assert len(floor.assign().claimed) == 1


def test_a_transfer_that_stands_still_does_not_block_the_farm(floor: ShopFloor) -> None:
    floor.limit(transfers=1)
    stuck, other = floor.add_job(1), floor.add_job(2)
    for job in (stuck, other):
        floor.take_in(job)
    assert claimed_jobs(floor) == [stuck]
    assert claimed_jobs(floor) == []
    assert claimed_jobs(floor, STILL_S - 1) == []
    assert claimed_jobs(floor, 1) == [other]


@pytest.mark.parametrize("counted", ["bytes_fetched", "bytes_sent"])
def test_a_slow_transfer_counts_as_long_as_it_moves(floor: ShopFloor, counted: str) -> None:
    floor.limit(transfers=1)
    for job in (floor.add_job(1), floor.add_job(1)):
        floor.take_in(job)
    floor.assign()
    attempt = floor.attempt()
    nothing = {"attempt_id": attempt.id, "bytes_sent": 0, "bytes_total": 0}
    for moved in range(1, 4):
        progress = bus.TransferProgress(**nothing | {counted: moved})
        floor.farm[1].hear(progress, floor.now, AT)
        assert claimed_jobs(floor, STILL_S - 1) == []
    assert len(claimed_jobs(floor, STILL_S)) == 1


def test_as_many_heat_up_as_may(floor: ShopFloor) -> None:
    floor.limit(heating=1)
    job = floor.add_job(3)
    floor.take_in(job)
    round_ = floor.assign()
    assert [attempt.printer_id for attempt in round_.claimed] == [1]
    assert reasons(round_) == {"waits until another printer has heated up"}
    start(floor, 1)
    heat(floor, 1, COLD)
    assert claimed_jobs(floor, 60.0) == []
    heat(floor, 1, HOT)
    assert claimed_jobs(floor) == []
    assert claimed_jobs(floor, SETTLED_S) == [job]
    # A print that ends is not waited for either.
    start(floor, 2)
    heat(floor, 2, COLD)
    assert claimed_jobs(floor) == []
    floor.report(bus.PrintFailed(at=AT, attempt_id=floor.attempt(2).id, reason="jam"), 2)
    assert claimed_jobs(floor) == [job]
