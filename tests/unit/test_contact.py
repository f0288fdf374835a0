"""Keeping in touch with one OctoPrint: deadlines and backoff."""

from __future__ import annotations

import pytest

from pms.domain.observation import Activity, Observation
from pms.domain.states import PrinterState
from workers.contact import ANSWER_PATIENCE_S, Contact, Trouble
from workers.steps import CallFailed, FailureKind

POLL_S = 10.0
NOW = 1000.0
A = Activity


def contact(random: float = 0.5) -> Contact:
    return Contact(POLL_S, lambda: random)


def seen(activity: Activity = A.OPERATIONAL) -> Observation:
    return Observation(activity=activity)


def failure(kind: FailureKind) -> CallFailed:
    return CallFailed(kind=kind, text=f"it is {kind.name}", certainly_not_done=False)


def fail(touch: Contact, *kinds: FailureKind) -> float:
    """Looks that end like this, one after the other; the wait after the last one."""
    for kind in kinds:
        touch.look_sent()
        touch.failed(failure(kind), NOW)
    return touch.next_look_at - NOW


def ok(touch: Contact, activity: Activity = A.OPERATIONAL, now: float = NOW) -> float:
    touch.look_sent()
    touch.seen(seen(activity), now)
    return touch.next_look_at - now


REFUSED, UNREACHABLE = FailureKind.REFUSED, FailureKind.UNREACHABLE
UNAUTHORIZED, REJECTED = FailureKind.UNAUTHORIZED, FailureKind.REJECTED


def test_the_first_look_is_due_at_once() -> None:
    touch = contact()
    assert touch.look_is_due(0.0)
    touch.look_sent()
    assert not touch.look_is_due(1e9)


@pytest.mark.parametrize(
    ("activity", "push_open", "wait"),
    [
        (A.OPERATIONAL, False, POLL_S),
        (A.OPERATIONAL, True, POLL_S),
        (A.PRINTING, False, POLL_S),
        # Without push nobody tells when the printer is there.
        (A.DISCONNECTED, False, 2.0),
        (A.ERROR, False, 2.0),
        (A.CONNECTING, False, 2.0),
        (A.CONNECTING, True, POLL_S),
        (A.DISCONNECTED, True, POLL_S),
    ],
)
def test_the_next_look_after_a_good_one(activity: Activity, push_open: bool, wait: float) -> None:
    touch = contact()
    if push_open:
        touch.push_opened()
    assert ok(touch, activity) == wait


@pytest.mark.parametrize(
    ("kinds", "random", "wait"),
    [
        ([REFUSED], 0.0, 0.5),
        ([REFUSED], 1.0, 1.5),
        ([REFUSED] * 50, 1.0, 1.5),
        ([UNREACHABLE], 0.0, 0.5),
        ([UNREACHABLE], 1.0, 1.0),
        ([UNREACHABLE] * 3, 1.0, 4.0),
        ([UNREACHABLE] * 3, 0.5, 2.0),
        ([UNREACHABLE] * 50, 1.0, 60.0),
        ([REJECTED] * 50, 1.0, 60.0),
        ([UNAUTHORIZED], 0.0, 60.0),
        ([UNAUTHORIZED] * 9, 1.0, 60.0),
        # A server that starts: refused for long, then odd for a moment. It is ready soon.
        ([REFUSED] * 50 + [UNREACHABLE], 1.0, 1.0),
        ([UNREACHABLE] * 50 + [REFUSED], 1.0, 1.5),
        ([UNREACHABLE] * 50 + [REFUSED, UNREACHABLE], 1.0, 1.0),
    ],
)
def test_the_next_look_after_failures(kinds: list[FailureKind], random: float, wait: float) -> None:
    assert fail(contact(random), *kinds) == wait


@pytest.mark.parametrize(
    ("story", "wait"),
    [
        ([(0, REFUSED), (119, REFUSED)], 1.5),
        ([(0, REFUSED), (120, REFUSED)], 7.5),
        ([(0, REFUSED), (60, REFUSED), (9000, REFUSED)], 7.5),
        # Only refusals in a row count: otherwise something has happened there.
        ([(0, REFUSED), (60, UNREACHABLE), (120, REFUSED)], 1.5),
        ([(0, REFUSED), (60, None), (120, REFUSED)], 1.5),
        ([(0, REFUSED), (60, None), (120, REFUSED), (240, REFUSED)], 7.5),
        ([(0, UNREACHABLE), (120, REFUSED)], 1.5),
        # What does not refuse any more is about to be there.
        ([(0, REFUSED), (9000, REFUSED), (9005, UNREACHABLE)], 1.0),
    ],
)
def test_what_refuses_for_minutes_is_asked_less_often(
    story: list[tuple[float, FailureKind | None]], wait: float
) -> None:
    touch = contact(random=1.0)
    for after, kind in story:
        touch.look_sent()
        if kind is None:
            touch.seen(seen(), NOW + after)
        else:
            touch.failed(failure(kind), NOW + after)
    assert touch.next_look_at == NOW + after + wait


def test_a_good_look_forgets_the_failures() -> None:
    touch = contact(random=1.0)
    fail(touch, *[UNREACHABLE] * 9)
    ok(touch)
    assert touch.trouble is None
    assert touch.lost_since is None
    assert fail(touch, UNREACHABLE) == 1.0


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (REFUSED, PrinterState.UNREACHABLE),
        (UNREACHABLE, PrinterState.UNREACHABLE),
        (REJECTED, PrinterState.UNREACHABLE),
        (UNAUTHORIZED, PrinterState.UNAUTHORIZED),
    ],
)
def test_trouble_has_a_name_and_a_reason(kind: FailureKind, state: PrinterState) -> None:
    touch = contact()
    fail(touch, kind)
    assert touch.trouble is not None
    assert (touch.trouble.state, touch.trouble.detail) == (state, f"it is {kind.name}")


def test_a_hint_does_not_shorten_the_backoff_but_a_person_and_a_new_connection_do() -> None:
    touch = contact()
    fail(touch, UNAUTHORIZED)
    touch.want_look(NOW)
    assert not touch.look_is_due(NOW)
    touch.look_now()
    assert touch.look_is_due(NOW)
    fail(touch, UNAUTHORIZED)
    touch.push_opened()
    assert touch.look_is_due(NOW)


@pytest.mark.parametrize("failing", [True, False])
def test_what_asks_for_a_look_during_one_gets_another(failing: bool) -> None:
    """The look under way may have gone to the server that is no more."""
    touch = contact()
    touch.look_sent()
    touch.push_opened()
    if failing:
        touch.failed(failure(UNREACHABLE), NOW)
    else:
        touch.seen(seen(), NOW)
    assert touch.look_is_due(NOW)
    assert fail(touch, UNREACHABLE) > 0


def test_a_wish_for_a_look_never_postpones_one() -> None:
    touch = contact()
    ok(touch)
    touch.want_look(NOW + 3)
    touch.want_look(NOW + 30)
    assert touch.next_look_at == NOW + 3


# -- how long the printer is lost ---------------------------------------------------------


def test_lost_counts_from_the_first_sign() -> None:
    touch = contact()
    ok(touch)
    ok(touch, A.DISCONNECTED, NOW + 1)
    ok(touch, A.CONNECTING, NOW + 2)
    touch.failed(failure(UNREACHABLE), NOW + 3)
    assert touch.lost_since == NOW + 1
    ok(touch, A.OPERATIONAL, NOW + 4)
    assert touch.lost_since is None


# -- a server that may hang ---------------------------------------------------------------

HANGS = Trouble(PrinterState.UNREACHABLE, "http://printer gives no answer; OctoPrint may hang")
LATE_S = ANSWER_PATIENCE_S


def suspected(touch: Contact) -> Contact:
    """It was well, push is silent since NOW, and the look that follows is under way."""
    ok(touch)
    touch.suspect("http://printer", NOW)
    assert touch.look_is_due(NOW)
    touch.look_sent()
    return touch


@pytest.mark.parametrize(
    ("after", "trouble", "lost_since"),
    [
        (0.0, None, None),
        (LATE_S - 0.1, None, None),
        (LATE_S, HANGS, NOW + LATE_S),
        (LATE_S + 5, HANGS, NOW + LATE_S + 5),
    ],
)
def test_a_suspect_that_does_not_answer_soon_is_lost(
    after: float, trouble: Trouble | None, lost_since: float | None
) -> None:
    touch = suspected(contact())
    touch.miss_answer(NOW + after)
    assert (touch.trouble, touch.lost_since) == (trouble, lost_since)


@pytest.mark.parametrize("answered_after", [0.0, LATE_S - 0.1])
def test_a_suspect_that_answers_was_none(answered_after: float) -> None:
    touch = suspected(contact())
    touch.seen(seen(), NOW + answered_after)
    touch.miss_answer(NOW + 60)
    assert (touch.trouble, touch.lost_since) == (None, None)


@pytest.mark.parametrize(
    ("kind", "wait"), [(REFUSED, 1.0), (UNREACHABLE, 0.5), (UNAUTHORIZED, 60.0)]
)
@pytest.mark.parametrize("failed_after", [1.0, LATE_S + 5])
def test_the_look_under_way_counts_as_usual(
    failed_after: float, kind: FailureKind, wait: float
) -> None:
    touch = suspected(contact())
    touch.miss_answer(NOW + min(failed_after, LATE_S))
    assert not touch.look_is_due(1e9)
    touch.failed(failure(kind), NOW + failed_after)
    touch.miss_answer(NOW + failed_after)
    assert touch.trouble is not None
    assert touch.trouble.detail == f"it is {kind.name}"
    assert touch.lost_since == NOW + min(failed_after, LATE_S)
    assert touch.next_look_at == NOW + failed_after + wait


def test_a_late_answer_clears_a_suspect() -> None:
    touch = suspected(contact())
    touch.miss_answer(NOW + LATE_S)
    assert ok(touch, now=NOW + 9) == POLL_S
    assert (touch.trouble, touch.lost_since) == (None, None)


def test_one_that_is_lost_already_is_no_suspect() -> None:
    touch = contact()
    fail(touch, UNAUTHORIZED)
    touch.suspect("http://printer", NOW)
    assert not touch.look_is_due(NOW)
    touch.miss_answer(NOW + 60)
    assert touch.trouble is not None
    assert touch.trouble.state is PrinterState.UNAUTHORIZED


def test_the_look_behind_another_call_gets_its_time() -> None:
    touch = suspected(contact())
    touch.another_call_succeeded(NOW + 2)
    touch.miss_answer(NOW + LATE_S)
    assert touch.trouble is None
    touch.miss_answer(NOW + 2 + LATE_S)
    assert touch.trouble == HANGS
    touch.another_call_succeeded(NOW + 6)
    assert touch.answer_by == float("inf")


# -- the serial connection ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activity", "due"),
    [(activity, activity in (A.DISCONNECTED, A.ERROR)) for activity in Activity],
)
def test_only_a_printer_that_is_not_connected_is_connected(activity: Activity, due: bool) -> None:
    touch = contact()
    assert not touch.connect_is_due(NOW)
    ok(touch, activity)
    assert touch.connect_is_due(NOW) is due


def test_no_connection_is_asked_of_an_octoprint_that_does_not_answer() -> None:
    touch = contact()
    ok(touch, A.DISCONNECTED)
    fail(touch, UNREACHABLE)
    assert not touch.connect_is_due(NOW)


def test_connections_are_asked_for_less_and_less_often() -> None:
    touch = contact(random=1.0)
    ok(touch, A.DISCONNECTED)
    waits = []
    for _ in range(8):
        touch.connect_sent(NOW)
        assert not touch.connect_is_due(NOW)
        waits.append(touch.next_connect_at - NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_printer_that_comes_and_goes_is_not_connected_in_a_busy_loop() -> None:
    touch = contact(random=0.0)
    for _ in range(20):
        ok(touch, A.DISCONNECTED)
        touch.connect_sent(NOW)
        ok(touch)
        ok(touch, A.DISCONNECTED)
        assert not touch.connect_is_due(NOW + 0.9)
