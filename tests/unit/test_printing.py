"""The life of a copy: every event in every state, as a table of effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pms.domain import printing
from pms.domain.printing import (
    GCODE_RETRY_AFTER,
    LONGEST_REST,
    REST_AFTER_FAILED_TRANSFER,
    REST_AFTER_REFUSED_START,
    REST_WITHOUT_ROOM,
    Announce,
    Announcement,
    CheckJobComplete,
    Copy,
    CountFailure,
    CountPrint,
    Effect,
    FreeBed,
    InsertReplacement,
    JobTally,
    MoveAttempt,
    OccupyBed,
    PostponeJob,
    RaiseAttention,
    ReleasePrint,
    ResetFailures,
    RestPrinter,
    SetCurrentlyPrinting,
    SetJobPrinting,
    SetPrint,
    SuspendPrinter,
    job_is_complete,
    may_start,
)
from pms.domain.states import (
    CLOSED_JOB_STATUSES,
    LIVE_STATES,
    RUNNING_STATES,
    TERMINAL_STATES,
    UNSTARTED_STATES,
    AttemptState,
    Bed,
    JobStatus,
    PrintStatus,
    TransferProblem,
)

S = AttemptState
P = PrintStatus
BEGUN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = BEGUN + timedelta(seconds=90)


def print_status_in(state: AttemptState) -> PrintStatus:
    if state in (S.PRINTING, S.PAUSED):
        return P.PRINTING
    ends = {S.FINISHED: P.COMPLETED, S.CLEARED: P.COMPLETED, S.FAILED: P.FAILED}
    return {**ends, S.CANCELLED: P.CANCELLED}.get(state, P.PENDING)


def copy_in(state: AttemptState, **changes: Any) -> Copy:
    """A copy as the database has it when its attempt is in this state."""
    printing_began = state in (S.PRINTING, S.PAUSED, S.FINISHED, S.CLEARED)
    return replace(
        Copy(
            attempt_id=1,
            state=state,
            print_id=2,
            job_id=3,
            printer_id=4,
            print_status=print_status_in(state),
            job_status=JobStatus.PRINTING if printing_began else JobStatus.OPERATOR_APPROVED,
            paid=True,
            reprints_left=1,
            consecutive_failures=0,
            started_at=BEGUN if printing_began else None,
            bed=Bed.CLEAR if state in UNSTARTED_STATES else Bed.OCCUPIED,
        ),
        **changes,
    )


STARTED: list[Effect] = [
    MoveAttempt(S.PRINTING),
    OccupyBed(),
    SetPrint(P.PRINTING, started=True),
    SetJobPrinting(),
    SetCurrentlyPrinting(True),
    Announce(Announcement.PRINT_STARTED),
]


def finished_after(seconds: int) -> list[Effect]:
    return [
        MoveAttempt(S.FINISHED),
        SetPrint(P.COMPLETED, ended=True),
        SetCurrentlyPrinting(False),
        CountPrint(completed=True, seconds=seconds),
        Announce(Announcement.PRINT_FINISHED),
    ]


def failed_after(seconds: int, bed: Effect | None = None) -> list[Effect]:
    return [
        MoveAttempt(S.FAILED, error="jam"),
        bed or OccupyBed(),
        SetPrint(P.FAILED, ended=True),
        SetCurrentlyPrinting(False),
        CountPrint(completed=False, seconds=seconds),
        CountFailure(),
        InsertReplacement(),
    ]


def cancelled_with(*bed_and_count: Effect) -> list[Effect]:
    return [
        MoveAttempt(S.CANCELLED),
        *bed_and_count,
        SetPrint(P.CANCELLED, ended=True),
        SetCurrentlyPrinting(False),
        CheckJobComplete(),
    ]


def returned_because(reason: str, *more: Effect) -> list[Effect]:
    return [MoveAttempt(S.RETURNED, error=reason), ReleasePrint(), *more]


def counted(seconds: int) -> CountPrint:
    return CountPrint(completed=False, seconds=seconds)


REST = RestPrinter(AT + REST_AFTER_FAILED_TRANSFER)
LONG_REST = RestPrinter(AT + REST_WITHOUT_ROOM)
REFUSED_REST = RestPrinter(AT + REST_AFTER_REFUSED_START)
TAKEN_BACK = "taken back from the printer"
UNSTARTED_EACH = (S.CLAIMED, S.TRANSFERRING, S.STAGED)


def each(states: Any, effects: list[Effect]) -> dict[AttemptState, list[Effect]]:
    return dict.fromkeys(states, effects)


def transfer_failed(copy: Copy, problem: TransferProblem) -> list[Effect]:
    return printing.transfer_failed(copy, problem, "no file", AT)


#: Event → state in which it comes → effects. A state that is missing: no effect at all.
LIFE: dict[str, tuple[Callable[[Copy], list[Effect]], dict[AttemptState, list[Effect]]]] = {
    "transferring": (
        printing.transferring,
        {S.CLAIMED: [MoveAttempt(S.TRANSFERRING)]},
    ),
    "staged": (
        printing.staged,
        each((S.CLAIMED, S.TRANSFERRING), [MoveAttempt(S.STAGED)]),
    ),
    "transfer failed at OctoPrint": (
        lambda copy: transfer_failed(copy, TransferProblem.UPLOAD_FAILED),
        each(UNSTARTED_EACH, returned_because("no file", REST)),
    ),
    "no room at OctoPrint": (
        lambda copy: transfer_failed(copy, TransferProblem.NO_ROOM),
        each(UNSTARTED_EACH, returned_because("no file", LONG_REST)),
    ),
    "transfer failed at the file server": (
        lambda copy: transfer_failed(copy, TransferProblem.GCODE_UNAVAILABLE),
        each(UNSTARTED_EACH, returned_because("no file", REST)),
    ),
    "G-code unusable": (
        lambda copy: transfer_failed(copy, TransferProblem.GCODE_UNUSABLE),
        each(
            UNSTARTED_EACH,
            returned_because(
                "no file", RaiseAttention("no file"), PostponeJob(AT + GCODE_RETRY_AFTER)
            ),
        ),
    ),
    "starting": (
        printing.starting,
        {S.STAGED: [MoveAttempt(S.STARTING), OccupyBed()]},
    ),
    "started": (
        printing.started,
        each((*UNSTARTED_EACH, S.STARTING), STARTED),
    ),
    "paused": (printing.paused, {S.PRINTING: [MoveAttempt(S.PAUSED)]}),
    "resumed": (printing.resumed, {S.PAUSED: [MoveAttempt(S.PRINTING)]}),
    "finished": (
        lambda copy: printing.finished(copy, AT),
        {
            **each((*UNSTARTED_EACH, S.STARTING), [*STARTED, *finished_after(0)]),
            **each((S.PRINTING, S.PAUSED), finished_after(90)),
        },
    ),
    "cleared": (
        printing.cleared,
        {S.FINISHED: [MoveAttempt(S.CLEARED), FreeBed(), CheckJobComplete()]},
    ),
    "failed": (
        lambda copy: printing.failed(copy, "jam", AT, printer_failures=3),
        {
            **each((*UNSTARTED_EACH, S.STARTING), failed_after(0)),
            **each((S.PRINTING, S.PAUSED), failed_after(90)),
        },
    ),
    "ended on request": (
        lambda copy: printing.cancelled(copy, AT, may_have_started=True),
        {
            **each((*UNSTARTED_EACH, S.STARTING), cancelled_with(OccupyBed(), counted(0))),
            **each((S.PRINTING, S.PAUSED), cancelled_with(OccupyBed(), counted(90))),
        },
    ),
    "taken back before the start, still wanted": (
        lambda copy: printing.cancelled(copy, AT, may_have_started=False),
        {
            **each(UNSTARTED_EACH, returned_because(TAKEN_BACK)),
            S.STARTING: returned_because(TAKEN_BACK, FreeBed()),
            # The database knows better.
            **each((S.PRINTING, S.PAUSED), cancelled_with(OccupyBed(), counted(90))),
        },
    ),
    "given back": (
        lambda copy: printing.returned(copy, "lost"),
        {
            **each(UNSTARTED_EACH, returned_because("lost")),
            S.STARTING: returned_because("lost", FreeBed()),
        },
    ),
    "given back, with a rest for the printer that refused the start": (
        lambda copy: printing.given_back(copy, "409", AT),
        {
            **each(UNSTARTED_EACH, returned_because("409")),
            S.STARTING: returned_because("409", FreeBed(), REFUSED_REST),
        },
    ),
}
EVENTS = [pytest.param(decide, effects, id=event) for event, (decide, effects) in LIFE.items()]
Decide = Callable[[Copy], list[Effect]]
Effects = dict[AttemptState, list[Effect]]


@pytest.mark.parametrize(("decide", "effects"), EVENTS)
def test_every_event_in_every_state(decide: Decide, effects: Effects) -> None:
    happens = {state: decide(copy_in(state)) for state in AttemptState}
    assert happens == {state: effects.get(state, []) for state in AttemptState}


def test_only_a_printer_that_has_failed_is_forgiven() -> None:
    finished = printing.finished(copy_in(S.PRINTING), AT)
    forgiven = printing.finished(copy_in(S.PRINTING, consecutive_failures=1), AT)

    assert [effect for effect in forgiven if effect not in finished] == [ResetFailures()]


def test_only_the_first_copy_brings_its_job_to_print() -> None:
    first = printing.started(copy_in(S.STARTING))
    later = printing.started(copy_in(S.STARTING, job_status=JobStatus.PRINTING))

    assert [effect for effect in first if effect not in later] == [SetJobPrinting()]


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_nothing_leads_out_of_the_end(state: AttemptState) -> None:
    assert all(decide(copy_in(state)) == [] for decide, _ in LIFE.values())


def after(copy: Copy, effects: list[Effect]) -> Copy:
    """The copy as the next event finds it, with these effects written."""
    for effect in effects:
        match effect:
            case MoveAttempt(state):
                copy = replace(copy, state=state)
            case OccupyBed():
                copy = replace(copy, bed=Bed.OCCUPIED)
            case FreeBed():
                copy = replace(copy, bed=Bed.CLEAR)
            case SetPrint(status, started):
                copy = replace(copy, print_status=status)
                copy = replace(copy, started_at=AT) if started else copy
            case InsertReplacement():
                copy = replace(copy, reprints_left=copy.reprints_left - 1)
            case CountFailure():
                copy = replace(copy, consecutive_failures=copy.consecutive_failures + 1)
            case _:
                pass
    return copy


SURROUNDINGS: list[dict[str, Any]] = [
    {},
    {"cancel_requested": True},
    {"clear_requested": True},
    {"job_status": JobStatus.CANCELLED},
    {"reprints_left": 0},
]


@pytest.mark.parametrize("changes", SURROUNDINGS)
@pytest.mark.parametrize(("decide", "effects"), EVENTS)
def test_an_event_that_comes_twice_has_no_effect_twice(
    decide: Decide, effects: Effects, changes: dict[str, Any]
) -> None:
    for state in AttemptState:
        copy = copy_in(state, **changes)
        assert decide(after(copy, decide(copy))) == []


@pytest.mark.parametrize("changes", SURROUNDINGS)
@pytest.mark.parametrize(("decide", "effects"), EVENTS)
def test_the_bed_is_occupied_from_the_start_until_it_is_cleared(
    decide: Decide, effects: Effects, changes: dict[str, Any]
) -> None:
    for state in AttemptState:
        copy = copy_in(state, **changes)
        then = after(copy, decide(copy))
        settled = state is S.STARTING and copy.clear_requested
        if then.state in RUNNING_STATES | {S.FINISHED} or (then.state is S.FAILED and not settled):
            assert then.bed is Bed.OCCUPIED
        if state in (S.PRINTING, S.PAUSED, S.FINISHED) and then.state is not S.CLEARED:
            assert then.bed is Bed.OCCUPIED


@pytest.mark.parametrize("state", sorted(RUNNING_STATES))
def test_the_bed_of_a_print_in_doubt_is_empty_if_a_person_says_so(state: AttemptState) -> None:
    copy = copy_in(state)
    effects = printing.failed(copy, "in doubt", AT, printer_failures=3, bed_is_empty=True)
    then = after(copy, effects)
    assert (then.state, then.bed) == (S.FAILED, Bed.CLEAR)


@pytest.mark.parametrize("changes", [c for c in SURROUNDINGS if "job_status" not in c])
@pytest.mark.parametrize(("decide", "effects"), EVENTS)
def test_a_copy_that_has_ended_is_accounted_for(
    decide: Decide, effects: Effects, changes: dict[str, Any]
) -> None:
    """Done, replaced, waiting again, cancelled on request, or somebody is told: never lost."""
    for state in LIVE_STATES:
        copy = copy_in(state, **changes)
        happens = decide(copy)
        then = after(copy, happens)
        kinds = {type(effect) for effect in happens}
        accounted = {
            S.CLEARED: then.print_status is P.COMPLETED and CheckJobComplete in kinds,
            S.FAILED: bool(kinds & {InsertReplacement, RaiseAttention}),
            S.RETURNED: then.print_status is P.PENDING and ReleasePrint in kinds,
            S.CANCELLED: then.print_status is P.CANCELLED and CheckJobComplete in kinds,
        }
        assert accounted.get(then.state, True)


# -- the permission to start ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "granted"),
    [
        ({}, True),
        ({"job_status": JobStatus.PRINTING}, True),
        ({"paid": False}, False),
        ({"cancel_requested": True}, False),
        ({"print_status": P.CANCELLED}, False),
        ({"print_status": P.COMPLETED}, False),
        # Somebody printed by hand while the file was on its way: his part lies there now.
        ({"bed": Bed.OCCUPIED}, False),
        *(({"job_status": status}, False) for status in sorted(CLOSED_JOB_STATUSES)),
    ],
)
def test_a_start_is_granted_only_while_the_copy_is_wanted_and_the_bed_is_clear(
    changes: dict[str, Any], granted: bool
) -> None:
    copy = copy_in(S.STAGED, **changes)
    assert may_start(copy) is granted
    assert bool(printing.starting(copy)) is granted


@pytest.mark.parametrize("state", AttemptState)
def test_only_a_staged_file_is_granted_a_start(state: AttemptState) -> None:
    # In `starting` the bed is occupied by this very attempt, and its request may come again.
    assert may_start(copy_in(state)) is (state in (S.STAGED, S.STARTING))


# -- on request --------------------------------------------------------------------------

UNWANTED: list[dict[str, Any]] = [
    {"cancel_requested": True},
    *({"job_status": status} for status in sorted(CLOSED_JOB_STATUSES)),
]


@pytest.mark.parametrize("changes", UNWANTED)
@pytest.mark.parametrize(
    "event",
    [
        "taken back before the start, still wanted",
        "given back",
    ],
)
@pytest.mark.parametrize(
    ("state", "bed"), [*((state, []) for state in UNSTARTED_EACH), (S.STARTING, [FreeBed()])]
)
def test_a_copy_that_nobody_wants_does_not_go_back_to_the_queue(
    state: AttemptState, bed: list[Effect], event: str, changes: dict[str, Any]
) -> None:
    decide = LIFE[event][0]
    assert decide(copy_in(state, **changes)) == cancelled_with(*bed)


@pytest.mark.parametrize("changes", UNWANTED)
@pytest.mark.parametrize("problem", TransferProblem)
def test_a_failed_transfer_of_an_unwanted_copy_blames_nobody(
    problem: TransferProblem, changes: dict[str, Any]
) -> None:
    assert transfer_failed(copy_in(S.TRANSFERRING, **changes), problem) == cancelled_with()


@pytest.mark.parametrize("problem", TransferProblem)
def test_no_rest_is_so_long_that_it_would_be_taken_for_one_of_another_clock(
    problem: TransferProblem,
) -> None:
    effects = transfer_failed(copy_in(S.TRANSFERRING), problem)
    rests = [effect.until - AT for effect in effects if isinstance(effect, RestPrinter)]
    assert all(rest <= LONGEST_REST for rest in rests)


@pytest.mark.parametrize("state", sorted(RUNNING_STATES))
def test_a_print_that_fails_while_it_is_to_be_cancelled_is_not_printed_again(
    state: AttemptState,
) -> None:
    copy = copy_in(state, cancel_requested=True)
    effects = printing.failed(copy, "jam", AT, printer_failures=1)
    seconds = 0 if state is S.STARTING else 90
    assert effects == cancelled_with(OccupyBed(), counted(seconds))


def test_a_question_that_a_person_has_settled_frees_the_bed() -> None:
    copy = copy_in(S.STARTING, clear_requested=True)
    failed = printing.failed(copy, "jam", AT, printer_failures=3)
    assert failed == failed_after(0, bed=FreeBed())
    ended = printing.cancelled(copy, AT, may_have_started=True)
    assert ended == cancelled_with(FreeBed(), counted(0))


@pytest.mark.parametrize("state", [S.PRINTING, S.PAUSED])
def test_a_clear_that_came_before_the_print_was_seen_says_nothing_of_its_part(
    state: AttemptState,
) -> None:
    copy = copy_in(state, clear_requested=True)
    assert OccupyBed() in printing.failed(copy, "jam", AT, printer_failures=3)
    assert FreeBed() not in printing.failed(copy, "jam", AT, printer_failures=3)
    assert FreeBed() not in printing.cancelled(copy, AT, may_have_started=True)


# -- failures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "consequence"),
    [
        ({"reprints_left": 2}, [InsertReplacement()]),
        ({"reprints_left": 1}, [InsertReplacement()]),
        (
            {"reprints_left": 0},
            [RaiseAttention("print 2 failed and no reprints are left: jam")],
        ),
        *(({"job_status": status}, []) for status in sorted(CLOSED_JOB_STATUSES)),
    ],
)
def test_a_failed_copy_is_replaced_while_reprints_are_left(
    changes: dict[str, Any], consequence: list[Effect]
) -> None:
    copy = copy_in(S.PRINTING, **changes)
    effects = printing.failed(copy, "jam", AT, printer_failures=3)
    assert effects[effects.index(CountFailure()) + 1 :] == consequence


@pytest.mark.parametrize(
    ("before", "suspended"), [(0, []), (1, []), (2, [SuspendPrinter(3)]), (7, [SuspendPrinter(8)])]
)
def test_a_printer_that_fails_again_and_again_is_suspended(
    before: int, suspended: list[Effect]
) -> None:
    copy = copy_in(S.PRINTING, consecutive_failures=before)
    effects = printing.failed(copy, "jam", AT, printer_failures=3)
    assert [e for e in effects if isinstance(e, SuspendPrinter)] == suspended


def test_a_clock_that_was_set_back_does_not_count_negative_seconds() -> None:
    effects = printing.finished(copy_in(S.PRINTING), BEGUN - timedelta(hours=1))
    assert CountPrint(completed=True, seconds=0) in effects


# -- the job ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completed", "cancelled", "waiting", "live", "complete"),
    [
        (3, 0, 0, 0, True),
        (2, 1, 0, 0, True),
        (4, 0, 0, 0, True),
        # The last part still lies on its bed.
        (3, 0, 0, 1, False),
        (2, 0, 1, 0, False),
        # A failed copy that nobody replaces: an operator decides.
        (2, 0, 0, 0, False),
        (0, 3, 0, 0, False),
        (0, 0, 3, 0, False),
        (3, 0, 1, 0, False),
    ],
)
def test_a_job_is_complete_once_every_copy_is_off_its_printer(
    completed: int, cancelled: int, waiting: int, live: int, complete: bool
) -> None:
    tally = JobTally(
        num_copies=3, completed=completed, cancelled=cancelled, open=waiting, live_attempts=live
    )
    assert job_is_complete(tally) is complete


@pytest.mark.parametrize(("completed", "deleted"), [(2, 1), (0, 3), (3, 1)])
def test_a_copy_whose_print_was_deleted_counts_for_its_job(completed: int, deleted: int) -> None:
    tally = JobTally(
        num_copies=3, completed=completed, cancelled=0, open=0, live_attempts=0, deleted=deleted
    )
    assert job_is_complete(tally)
