"""Why a job is where it is: rows of the database in, words out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pms.cli.copy_account import Account, Facts
from pms.cli.explanation import Step, explain
from pms.cli.probe_explain import only_print, show_explanation
from pms.domain.scheduling import MaterialMatch, Need, PrinterView, Schedule, WaitingPrint, schedule
from pms.domain.states import Bed, PrinterState
from pms.store.events import EventRow
from pms.store.job_overview import AttemptDetails, CopyDetails, JobSummary
from pms.store.printers import PrinterRow

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
JOB = JobSummary(
    id=3,
    status="printing",
    paid=True,
    copies=1,
    prints={"pending": 1, "printing": 0, "completed": 0, "failed": 0, "cancelled": 0},
    model="MK4",
    material="PLA/Black",
    priority=0,
    reprints_left=1,
    submitted_at=NOON,
    paid_at=NOON,
    completed_at=None,
    attention=None,
)
NEED = Need(model_id=1, material_id=None)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def copy(status: str = "pending", *tries: AttemptDetails, **values: Any) -> CopyDetails:
    fields: dict[str, Any] = {
        "print_id": 7,
        "status": status,
        "printer_id": None,
        "printer": None,
        "created_at": NOON,
        "started_at": None,
        "finished_at": None,
        "attempts": tries,
    }
    return CopyDetails(**fields | values)


def attempt(state: str, **values: Any) -> AttemptDetails:
    fields: dict[str, Any] = {
        "id": 1,
        "number": 1,
        "printer_id": 1,
        "printer": "mk4-1",
        "state": state,
        "progress": 0.25,
        "remote_path": "pms/job-3_print-7_try-1.gcode",
        "size": 10,
        "sha1": "0" * 40,
        "finish_marker": None,
        "claimed_at": at(1),
        "transferring_at": at(2),
        "staged_at": at(3),
        "starting_at": at(4),
        "started_at": at(5),
        "finished_at": None,
        "clear_requested_at": None,
        "cancel_requested_at": None,
        "ended_at": None,
        "error": None,
    }
    return AttemptDetails(**fields | values)


def printer(number: int, state: PrinterState = PrinterState.IDLE, **values: Any) -> PrinterRow:
    fields: dict[str, Any] = {
        "id": number,
        "name": f"mk4-{number}",
        "model_id": 1,
        "model": "MK4",
        "address": "10.0.0.7",
        "api_key": "key",
        "enabled": True,
        "autostart": False,
        "currently_printing": False,
        "materials": frozenset(),
        "completed": 0,
        "state": state,
        "state_since": NOON,
        "detail": "",
        "bed": Bed.CLEAR,
        "bed_print_id": None,
        "suspended": False,
        "consecutive_failures": 0,
        "resting_until": None,
        "attention": None,
        "last_seen_at": NOON,
        "incarnation": 1,
    }
    return PrinterRow(**fields | values)


def seen(row: PrinterRow) -> PrinterView:
    return PrinterView(
        printer_id=row.id,
        model_id=row.model_id,
        model=row.model,
        materials=row.materials,
        state=row.state,
        bed=row.bed,
    )


def facts(copies: list[CopyDetails], *printers: PrinterRow, **values: Any) -> Facts:
    """What is known of a job whose waiting copies may start."""
    need = values.pop("need", NEED)
    waiting = [
        WaitingPrint(print_id=each.print_id, job_id=3, need=need)
        for each in copies
        if each.status == "pending" and each.print_id not in values.get("held_back", {})
    ]
    views = [seen(row) for row in printers]
    known: dict[str, Any] = {
        "job": JOB,
        "copies": copies,
        "printers": {row.id: row for row in printers},
        "views": views,
        "material_match": MaterialMatch.TRACKED,
        "needs": {each.print_id: each.need for each in waiting},
        "held_back": {},
        "plan": schedule(waiting, views),
    }
    return Facts(**known | values)


def account(known: Facts) -> Account:
    return explain(known).copies[0].account


# -- a copy that waits ---------------------------------------------------------------------

OCCUPIED = {"bed": Bed.OCCUPIED}


@pytest.mark.parametrize(
    ("row", "why", "todo"),
    [
        (printer(1, PrinterState.PRINTING), "1 printing", ""),
        (printer(1, PrinterState.TRANSFERRING), "1 receiving a file", ""),
        (printer(1, PrinterState.STARTING), "1 starting", "`worker_died`"),
        (printer(1, PrinterState.UNREACHABLE), "1 unreachable", "pms-probe check --printer mk4-1"),
        (printer(1, PrinterState.UNAUTHORIZED), "1 unauthorized", "printer set mk4-1 --api-key K"),
        (printer(1, PrinterState.DISCONNECTED), "1 disconnected", "check its cable"),
        (printer(1, PrinterState.FINISHED, **OCCUPIED), "to be cleared", "take the part off mk4-1"),
        (
            printer(1, PrinterState.BUSY),
            "busy with a print of somebody",
            "has ended, empty its bed",
        ),
        (printer(1, PrinterState.ERROR), "1 in error", "see to mk4-1"),
        (printer(1, PrinterState.SUSPENDED), "1 suspended", "printer enable mk4-1"),
        (printer(1, PrinterState.DISABLED), "1 disabled", "printer enable mk4-1"),
        (printer(1, **OCCUPIED), "1 bed occupied", "pms-coordinator clear mk4-1"),
        (printer(1, name="big one", **OCCUPIED), "1 bed", "pms-coordinator clear 'big one'"),
    ],
)
def test_what_hinders_the_only_printer_has_its_remedy(row: PrinterRow, why: str, todo: str) -> None:
    told = account(facts([copy()], row))
    assert told.summary == "waits"
    assert why in (told.why or "")
    assert todo in "\n".join(told.todo)
    assert bool(todo) == bool(told.todo)


@pytest.mark.parametrize(
    ("need", "match", "rows", "todo"),
    [
        (Need(2, None), "tracked", [printer(1)], "add a printer of the model MK4"),
        (Need(1, 5), "strict", [printer(1)], "printer set NAME --material PLA/Black"),
        (Need(1, None), "tracked", [], "add a printer: `pms-coordinator printer add`"),
    ],
)
def test_what_no_printer_can_do_is_said(
    need: Need, match: str, rows: list[PrinterRow], todo: str
) -> None:
    views = [seen(row) for row in rows]
    plan = schedule([WaitingPrint(print_id=7, job_id=3, need=need)], views, MaterialMatch(match))
    known = facts([copy()], *rows, need=need, plan=plan, material_match=MaterialMatch(match))
    assert todo in account(known).todo[0]


def test_of_many_printers_only_a_few_are_named() -> None:
    rows = [printer(number, PrinterState.FINISHED, **OCCUPIED) for number in range(1, 40)]
    told = account(facts([copy()], *rows))
    assert len(told.todo) == 6
    assert told.todo[-1] == "see to 34 more printers: `pms-coordinator status`"


@pytest.mark.parametrize(
    ("job", "held_back", "todo"),
    [
        ({"paid": False}, "the job is not paid", "wait until job 3 is paid"),
        (
            {"status": "received"},
            "the job is received: an operator has to approve it",
            "approve job 3: set its job_status to operatorApproved",
        ),
        ({}, "the file is empty; asked again at 12:05:00 UTC", "job retry 3"),
    ],
)
def test_a_copy_that_is_held_back_says_until_when(
    job: dict[str, Any], held_back: str, todo: str
) -> None:
    known = facts([copy()], printer(1), held_back={7: held_back}, job=replace(JOB, **job))
    told = account(known)
    assert (told.summary, told.why, told.since) == ("waits", held_back, NOON)
    assert todo in told.todo[0]


def test_a_free_printer_gets_the_copy_next() -> None:
    told = account(facts([copy()], printer(1)))
    assert (told.why, told.todo) == ("mk4-1 is free and gets it next", [])


def test_a_copy_that_came_back_says_why() -> None:
    back = attempt("returned", ended_at=at(60), error="its disk is full")
    told = account(facts([copy("pending", back)], printer(1, PrinterState.PRINTING)))
    assert told.why == "1 MK4 printer: 1 printing; it came back from mk4-1: its disk is full"
    assert told.since == at(60)


@pytest.mark.parametrize("status", ["cancelled", "rejected", "completed"])
def test_a_copy_of_a_closed_job_never_starts(status: str) -> None:
    known = facts([copy()], printer(1), job=replace(JOB, status=status))
    told = account(known)
    assert (told.summary, told.why, told.over) == ("never starts", f"the job is {status}", True)


def test_a_print_that_pms_does_not_know_is_not_in_the_queue() -> None:
    known = facts([copy()], printer(1), plan=Schedule([], {}))
    assert account(known).why == "PMS has not taken the job in"


# -- a copy that a printer has -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "values", "row", "summary", "why", "todo"),
    [
        ("claimed", {}, printer(1), "is on its way to mk4-1", None, ""),
        (
            "transferring",
            {},
            printer(1, PrinterState.UNREACHABLE, detail="does not answer"),
            "is on its way to mk4-1",
            "unreachable: does not answer",
            "pms-probe check --printer mk4-1",
        ),
        ("starting", {}, printer(1), "was to start on mk4-1", None, ""),
        (
            "starting",
            {},
            printer(1, PrinterState.ERROR, attention="look at the bed, then clear it"),
            "was to start on mk4-1",
            "look at the bed, then clear it",
            "once no print runs there and its bed is empty",
        ),
        ("printing", {}, printer(1), "prints on mk4-1, 25 % done", None, ""),
        (
            "printing",
            {"cancel_requested_at": at(9)},
            printer(1),
            "prints on mk4-1, 25 % done; it is being cancelled",
            None,
            "",
        ),
        (
            "printing",
            {},
            printer(1, attention="no progress for long"),
            "prints on mk4-1, 25 % done",
            "no progress for long",
            "look at mk4-1",
        ),
        ("paused", {}, printer(1), "is paused on mk4-1", None, "pms-coordinator resume 7"),
        (
            "finished",
            {"finished_at": at(9)},
            printer(1),
            "is complete and lies on the bed of mk4-1",
            None,
            "pms-coordinator clear mk4-1",
        ),
        (
            "finished",
            {"finished_at": at(9), "clear_requested_at": at(10)},
            printer(1),
            "is complete and being cleared from mk4-1",
            None,
            "",
        ),
    ],
)
def test_a_copy_under_way_says_where_and_what_hinders_it(
    state: str, values: dict[str, Any], row: PrinterRow, summary: str, why: str | None, todo: str
) -> None:
    told = account(facts([copy("printing", attempt(state, **values))], row))
    assert (told.summary, told.why) == (summary, why)
    assert todo in "\n".join(told.todo)
    assert len(told.todo) == (1 if todo else 0)


def test_a_printer_that_was_removed_with_its_copy_is_named_by_its_number() -> None:
    told = account(facts([copy("printing", attempt("printing", printer=None))]))
    assert told.summary == "is with printer 1, removed"


# -- a copy that is over --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "tries", "summary"),
    [
        (
            "completed",
            [attempt("cleared", ended_at=at(90))],
            "is done: printed on mk4-1 and off the bed",
        ),
        ("completed", [], "is done: printed and off the bed"),
        ("cancelled", [attempt("cancelled", ended_at=at(90))], "was cancelled"),
        ("failed", [attempt("failed", ended_at=at(90))], "failed on mk4-1"),
        ("printing", [], "is printing, but not by PMS"),
    ],
)
def test_a_copy_that_is_over_says_how_it_ended(
    status: str, tries: list[AttemptDetails], summary: str
) -> None:
    told = account(facts([copy(status, *tries)], printer(1)))
    assert told.summary == summary
    assert told.todo == []
    assert told.over == (status != "printing")


def test_a_cancelled_copy_may_lie_on_a_bed() -> None:
    cancelled = copy("cancelled", attempt("cancelled", ended_at=at(90)))
    occupied = printer(1, bed=Bed.OCCUPIED, bed_print_id=7)
    clear = "empty the bed of mk4-1, then `pms-coordinator clear mk4-1`"
    assert account(facts([cancelled], occupied)).todo == [clear]
    assert account(facts([cancelled], replace(occupied, bed_print_id=8))).todo == []


def test_a_failed_copy_leaves_a_bed_and_perhaps_a_suspended_printer() -> None:
    failed = copy("failed", attempt("failed", ended_at=at(90), error="Thermal Runaway"))
    row = printer(1, PrinterState.SUSPENDED, suspended=True, bed=Bed.OCCUPIED, bed_print_id=7)
    told = account(facts([failed], row))
    assert (told.why, told.since) == ("Thermal Runaway", at(90))
    assert told.todo == [
        "empty the bed of mk4-1, then `pms-coordinator clear mk4-1`",
        "find out why prints fail on mk4-1, then `pms-coordinator printer enable mk4-1`",
    ]


# -- the tries and the diary --------------------------------------------------------------------


def test_each_try_is_told_step_by_step() -> None:
    tried = attempt("failed", ended_at=at(90), error="Thermal Runaway", finished_at=None)
    event = EventRow(1, at(91), "print_replaced", 1, 3, 7, 1, "print 8 takes its place")
    other = EventRow(2, at(91), "attempt_failed", 1, 3, 7, 1, "Thermal Runaway")
    (story,) = explain(facts([copy("failed", tried)], printer(1), diary=[event, other])).copies
    (told,) = story.tries
    assert (told.number, told.printer, told.state) == (1, "mk4-1", "failed")
    assert told.steps[0] == Step(at(1), "given to mk4-1")
    assert told.steps[-1] == Step(at(90), "it failed")
    assert [step.at for step in told.steps] == [at(n) for n in (1, 2, 3, 4, 5, 90)]
    assert story.notes == [Step(at(91), "print 8 takes its place")]


# -- the job -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "todo"),
    [
        ({}, "wait for the next look of a running coordinator"),
        ({"paid": False}, "wait until job 3 is paid"),
        ({"status": "received"}, "set job 3 to operatorApproved"),
        ({"attention": "job 3 asks for 0 copies: correct num_copies"}, "correct num_copies; PMS"),
        ({"status": "cancelled"}, ""),
    ],
)
def test_a_job_without_prints_says_what_it_waits_for(job: dict[str, Any], todo: str) -> None:
    told = explain(
        facts([], printer(1), job=replace(JOB, **job, prints=dict.fromkeys(JOB.prints, 0)))
    )
    assert todo in "\n".join(told.todo)
    assert "no prints yet" in told.summary
    assert told.copies == []


def test_a_job_that_needs_a_decision_says_which() -> None:
    job = replace(JOB, attention="no reprints are left", prints=JOB.prints | {"failed": 1})
    told = explain(facts([copy("failed")], job=job))
    assert told.attention == "no reprints are left"
    assert "`pms-coordinator job retry 3`" in told.todo[0]
    closed = explain(facts([copy("failed")], job=replace(job, status="rejected")))
    assert (closed.attention, closed.todo) == (None, [])


def test_a_job_that_lacks_copies_says_so_unless_a_copy_does() -> None:
    job = replace(JOB, attention="there are 1 of 2 copies: retry")
    assert explain(facts([copy()], printer(1), job=job)).todo == ["there are 1 of 2 copies: retry"]
    held_back = explain(facts([copy()], printer(1), job=job, held_back={7: "the file is empty"}))
    assert ["job retry 3" in step for step in held_back.todo] == [True]


def test_a_missing_coordinator_comes_first_and_nothing_is_said_twice() -> None:
    copies = [copy(print_id=number) for number in (7, 8, 9)]
    occupied = printer(1, **OCCUPIED)
    told = explain(facts(copies, occupied, coordinator_problem="no coordinator runs"))
    assert told.todo == [
        "no coordinator runs",
        "empty the bed of mk4-1, then `pms-coordinator clear mk4-1`",
    ]


def test_one_print_is_told_with_its_own_steps_and_the_jobs() -> None:
    mine = copy("paused", attempt("paused"))
    other = copy("paused", attempt("paused"), print_id=8)
    told = only_print(explain(facts([mine, other], printer(1), coordinator_problem="none")), 8)
    assert [story.print_id for story in told.copies] == [8]
    assert told.todo == ["none", "`pms-coordinator resume 8`, or resume it at OctoPrint"]


@pytest.mark.parametrize(
    ("copies", "last_line"),
    [
        ([copy(), copy("cancelled", print_id=8)], "nothing: it goes on by itself"),
        ([copy("completed"), copy("cancelled", print_id=8)], "nothing"),
        ([], "nothing"),
    ],
)
def test_only_what_is_not_over_goes_on_by_itself(
    copies: list[CopyDetails], last_line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JOB if copies else replace(JOB, status="cancelled")
    show_explanation(explain(facts(copies, printer(1, PrinterState.PRINTING), job=job)))
    assert capsys.readouterr().out.splitlines()[-1].strip() == last_line
