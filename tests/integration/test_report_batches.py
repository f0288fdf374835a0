"""Reports that are written in one transaction: what one changes, the next ones see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pms.bus import messages as bus
from pms.bus.messages import Event
from pms.domain.states import AttemptState, Bed, PrinterState
from pms.store import job_overview, tables
from pms.store.database import Database
from tests.support.shop_floor import AT, POLICY, ShopFloor, staged

COPIES = 3


@pytest.fixture
def floor(database_url: str) -> Iterator[ShopFloor]:
    """As many printers as a job has copies."""
    store = Database(database_url)
    yield ShopFloor(store, COPIES)
    store.close()


def printing(floor: ShopFloor) -> dict[int, int]:
    """One job prints on all printers; the attempts by their printers."""
    floor.take_in(floor.add_job(COPIES))
    claimed = floor.assign().claimed
    floor.report_together(*((attempt.printer_id, staged(attempt)) for attempt in claimed))
    by_printer = {attempt.printer_id: attempt.id for attempt in claimed}
    for kind in (bus.PrintStarting, bus.PrintStarted):
        responses = floor.report_together(*reports(kind, by_printer))
        assert all(response.granted for response in responses)
    return by_printer


def reports(kind: type[Event], by_printer: dict[int, int], **facts: str) -> list[tuple[int, Event]]:
    return [
        (printer_id, kind(at=AT, attempt_id=attempt_id, **facts))  # type: ignore[call-arg]
        for printer_id, attempt_id in by_printer.items()
    ]


def test_a_whole_job_in_batches(floor: ShopFloor) -> None:
    by_printer = printing(floor)
    assert floor.statuses(1) == ["printing"] * COPIES
    floor.report_together(*reports(bus.PrintFinished, by_printer))
    assert floor.statuses(1) == ["completed"] * COPIES
    floor.report_together(*reports(bus.PrintCleared, by_printer))
    told = [message.exchange for message in floor.waiting()]
    assert sorted(told) == [
        "PrintCleared",
        *["PrintFinished"] * COPIES,
        *["PrintStarted"] * COPIES,
    ]
    with floor.store.read() as connection:
        assert job_overview.summary(connection, 1).status == "completed"
    assert floor.count(tables.maintenance) == COPIES


def test_a_foreign_print_that_is_reported_first_forbids_the_start(floor: ShopFloor) -> None:
    attempt = floor.lead_to(AttemptState.STAGED)
    _, response = floor.report_together(
        (1, bus.PrinterStateChanged(at=AT, state=PrinterState.BUSY)),
        (1, bus.PrintStarting(at=AT, attempt_id=attempt.id)),
    )
    assert not response.granted
    assert floor.bed(1) is Bed.OCCUPIED
    assert floor.attempt(1).state is AttemptState.STAGED


def test_failures_of_one_job_share_its_reprints(floor: ShopFloor) -> None:
    by_printer = printing(floor)
    assert POLICY.reprints < COPIES
    floor.report_together(*reports(bus.PrintFailed, by_printer, reason="torn off"))
    assert floor.statuses(1).count("failed") == COPIES
    assert floor.statuses(1).count("pending") == POLICY.reprints
    with floor.store.read() as connection:
        assert "no reprints are left" in (job_overview.summary(connection, 1).attention or "")


def test_what_comes_twice_in_a_batch_counts_once(floor: ShopFloor) -> None:
    by_printer = printing(floor)
    floor.report_together(
        (1, bus.PrintFailed(at=AT, attempt_id=by_printer[1], reason="a")),
        (1, bus.PrinterStateChanged(at=AT, state=PrinterState.ERROR)),
        (1, bus.PrintFailed(at=AT, attempt_id=by_printer[1], reason="a")),
        (2, bus.PrintFailed(at=AT, attempt_id=by_printer[2], reason="b")),
    )
    assert floor.statuses(1).count("failed") == 2
    assert floor.statuses(1).count("pending") == 2
