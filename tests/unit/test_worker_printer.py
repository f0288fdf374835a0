"""A printer's process as a pure machine: the whole way of a copy, and the time without one."""

from __future__ import annotations

import pytest

from pms.bus import messages as bus
from pms.bus.messages import Temperature
from pms.domain.states import AttemptState, PrinterState
from tests.support.worker_rig import (
    AT_MARKER,
    BEGINS,
    BROKEN,
    CHANGED,
    CLEAR,
    DONE,
    FAILED,
    FOREIGN,
    IDLE,
    LOST,
    NO_KEY,
    OFFLINE,
    OTHER,
    PATH,
    PAUSE,
    PRINTS,
    REFUSED,
    STAGED,
    TAIL,
    A,
    P,
    Rig,
    S,
    asked,
    finished,
    order,
    printing,
    ready,
    seen,
    settled,
    snapshot,
    taken_up,
)
from workers.contact import ANSWER_PATIENCE_S
from workers.push_frames import PushChanged, PushSilent, PushSnapshot
from workers.steps import (
    BeginTransfer,
    CallOutcome,
    ConnectPrinter,
    DeleteFile,
    Exit,
    Look,
    PauseFile,
    ResumeFile,
    StartFile,
    WakePush,
)

# -- the whole way -----------------------------------------------------------------------


def test_a_copy_from_its_claim_to_the_clear_bed() -> None:
    rig = ready()
    assert rig.states() == [P.STARTING, P.IDLE]
    rig.command(order())
    assert rig.others == [BeginTransfer(1, 2, 3, PATH, is_new=True)]
    assert rig.states() == [P.TRANSFERRING]
    rig.look(IDLE)
    assert rig.names() == []
    rig.transferred()
    rig.look(STAGED)
    assert rig.names() == ["TransferFinished", "PrintStarting"]
    assert rig.count(StartFile) == 0
    rig.grant()
    assert rig.count(StartFile) == 1
    rig.push(BEGINS)
    rig.answer()
    rig.look(PRINTS)
    assert rig.names() == ["PrintStarted"]
    rig.push(CHANGED)
    rig.look(AT_MARKER)
    assert rig.names() == ["PrintFinished"]
    rig.looks(AT_MARKER, 30)
    assert rig.names() == []
    rig.command(CLEAR)
    rig.look(AT_MARKER)
    assert rig.count(ResumeFile) == 1
    rig.answer()
    rig.look(TAIL)
    assert rig.names() == []
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]
    assert rig.count(StartFile) == 1
    assert rig.count(ResumeFile) == 1


def test_the_states_on_the_way() -> None:
    rig = finished()
    assert rig.states() == [
        P.STARTING, P.IDLE, P.TRANSFERRING, P.PRINTING, P.FINISHED,
    ]  # fmt: skip
    rig.command(CLEAR)
    rig.look(DONE)
    assert [(c.state, c.detail) for c in rig.conditions()] == [
        (P.FINISHED, "clearing"),
        (P.IDLE, ""),
    ]


def test_without_a_marker_the_end_of_the_file_is_the_end() -> None:
    rig = ready()
    rig.command(order())
    rig.transferred(finish_marker=None)
    rig.look(STAGED)
    rig.grant()
    rig.answer()
    rig.look(PRINTS)
    settled(rig)
    rig.look(seen(A.FINISHING))
    assert rig.names() == []
    rig.look(DONE)
    assert rig.names() == ["PrintFinished"]
    rig.looks(DONE, 30)
    assert rig.names() == []
    rig.command(CLEAR)
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]
    assert rig.count(ResumeFile) == 0


def test_the_next_copy_follows_and_the_old_file_goes() -> None:
    rig = finished()
    rig.command(CLEAR)
    rig.look(DONE)
    rig.record()
    settled(rig)
    rig.command(order(attempt_id=2, remote_path="pms/job-3_print-4_try-1.gcode"))
    assert isinstance(rig.others[-1], BeginTransfer)
    # It stays selected, and so undeletable in part, until another file is.
    rig.look(seen(A.OPERATIONAL, path="pms/job-3_print-4_try-1.gcode", file=None))
    assert DeleteFile(PATH) in rig.calls


def test_nothing_is_concluded_or_sent_before_the_briefing() -> None:
    rig = Rig()
    rig.do(rig.printer.tick(rig.moment))
    rig.command(order(S.PRINTING))
    rig.looks(OFFLINE, 30)
    assert rig.names() == []
    assert rig.states() == []
    assert {type(call) for call in rig.calls} == {Look}
    rig.brief()
    rig.looks(OFFLINE)
    assert rig.names() == ["PrintFailed"]


def test_the_same_order_twice_is_one() -> None:
    rig = asked()
    rig.command(order())
    rig.answer()
    rig.look(PRINTS)
    rig.command(order())
    assert rig.count(StartFile) == 1
    rig.look(FAILED)
    settled(rig)
    rig.command(order())
    rig.looks(FAILED, 20)
    assert rig.names() == []
    assert rig.others == []


@pytest.mark.parametrize(("believed", "returned"), [(S.CLAIMED, True), (S.PRINTING, False)])
def test_a_second_attempt_is_refused(believed: AttemptState, returned: bool) -> None:
    rig = settled(printing())
    rig.command(order(believed, attempt_id=2, remote_path="pms/job-9_print-9_try-1.gcode"))
    [event] = rig.happened()
    assert isinstance(event, bus.CommandRefused)
    assert (event.attempt_id, event.returned) == (2, returned)


def test_stop_ends_the_process_and_nothing_else() -> None:
    rig = settled(printing())
    rig.command(bus.Stop())
    assert rig.others == [Exit()]
    assert rig.calls == []


# -- without an attempt ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observation", "state", "attention"),
    [
        (IDLE, P.IDLE, False),
        (DONE, P.IDLE, False),
        (OFFLINE, P.DISCONNECTED, False),
        (seen(A.CONNECTING, path=None), P.DISCONNECTED, False),
        (BROKEN, P.ERROR, False),
        (FOREIGN, P.BUSY, False),
        (seen(A.PAUSED, path=OTHER), P.BUSY, False),
        (seen(A.FINISHING, path=OTHER), P.BUSY, False),
        (seen(A.OTHER, path=None), P.BUSY, False),
        (PRINTS, P.BUSY, True),
        (REFUSED, P.UNREACHABLE, False),
        (LOST, P.UNREACHABLE, False),
        (NO_KEY, P.UNAUTHORIZED, False),
    ],
)
def test_the_state_of_a_printer_without_an_attempt(
    observation: CallOutcome, state: PrinterState, attention: bool
) -> None:
    rig = ready()
    rig.conditions()
    rig.push(CHANGED)
    rig.look(observation)
    rig.looks(observation, 60)
    reported = rig.conditions()
    expected = [] if state is P.IDLE else [(state, attention)]
    assert [(c.state, c.needs_attention) for c in reported] == expected
    assert rig.names() == []


@pytest.mark.parametrize(
    ("enabled", "briefed", "connects"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_only_an_enabled_printer_is_connected_and_only_after_the_briefing(
    enabled: bool, briefed: bool, connects: bool
) -> None:
    rig = Rig(enabled=enabled)
    rig.do(rig.printer.tick(rig.moment))
    if briefed:
        rig.brief()
    rig.looks(OFFLINE, 100)
    assert bool(rig.count(ConnectPrinter)) is connects
    assert rig.count(ConnectPrinter) <= 20


def test_reconnect_asks_at_once() -> None:
    rig = ready()
    rig.look(NO_KEY)
    rig.wait(1)
    assert rig.call is None
    rig.command(bus.Reconnect())
    assert isinstance(rig.call, Look)


SILENT = PushSilent(address="http://printer")


def _hung(rig: Rig) -> Rig:
    """Push is silent, and the look that follows is under way for too long."""
    rig.push(SILENT)
    assert isinstance(rig.call, Look)
    assert rig.printer.next_deadline() == rig.now + ANSWER_PATIENCE_S
    rig.wait(ANSWER_PATIENCE_S)
    return rig


@pytest.mark.parametrize(
    ("outcome", "details"),
    [
        (IDLE, [(P.IDLE, "")]),
        (LOST, [(P.UNREACHABLE, "no answer")]),
        (NO_KEY, [(P.UNAUTHORIZED, "bad key")]),
    ],
)
def test_an_octoprint_that_hangs_is_unreachable_before_its_look_ends(
    outcome: CallOutcome, details: list[tuple[PrinterState, str]]
) -> None:
    rig = _hung(settled(ready()))
    assert [(c.state, c.detail) for c in rig.conditions()] == [
        (P.UNREACHABLE, "http://printer gives no answer; OctoPrint may hang")
    ]
    assert rig.count(Look) == 1
    rig.wait(7.5)
    rig.answer(outcome)
    assert [(c.state, c.detail) for c in rig.conditions()] == details


def test_silent_push_alone_changes_nothing() -> None:
    rig = settled(printing())
    for _ in range(20):
        rig.push(SILENT)
        rig.wait(ANSWER_PATIENCE_S - 0.1)
        rig.answer(PRINTS)
        rig.wait(ANSWER_PATIENCE_S)
    assert rig.states() == []
    assert rig.names() == []
    assert rig.call is None


def test_an_attempt_on_an_octoprint_that_hangs_stays_as_it_is() -> None:
    rig = _hung(settled(printing()))
    rig.wait(60)
    rig.answer(LOST)
    assert rig.states() == [P.UNREACHABLE, P.UNREACHABLE]
    rig.look(PRINTS)
    assert rig.states() == [P.PRINTING]
    assert rig.names() == []


def test_a_copy_that_has_not_started_leaves_an_octoprint_that_hangs() -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    _hung(rig)
    rig.wait(14.9)
    assert rig.names() == []
    rig.wait(0.1)
    [event] = rig.happened()
    assert isinstance(event, bus.CommandRefused)
    assert event.returned


def test_a_new_copy_begins_unseen_where_push_would_tell_of_a_change() -> None:
    rig = ready()
    rig.command(order())
    assert rig.others == [BeginTransfer(1, 2, 3, PATH, is_new=True)]
    assert rig.call is None

    rig.push(PushChanged(kind="FileSelected"))
    assert rig.call is None
    rig.push(PushChanged(kind="PrinterStateChanged"))
    assert isinstance(rig.call, Look)


def test_a_file_of_which_a_part_may_be_there_is_not_called_new() -> None:
    rig = taken_up(order(S.TRANSFERRING))
    rig.look(IDLE)

    assert rig.others == [BeginTransfer(1, 2, 3, PATH)]


def test_without_push_a_new_copy_begins_with_a_look() -> None:
    rig = ready(push=False)
    rig.command(order())

    assert isinstance(rig.call, Look)


def test_what_a_person_selects_on_an_idle_printer_is_looked_at() -> None:
    rig = ready()
    rig.push(PushChanged(kind="FileSelected"))

    assert isinstance(rig.call, Look)


@pytest.mark.parametrize("outcome", [None, LOST])
def test_a_look_follows_the_call_that_hung(outcome: CallOutcome) -> None:
    rig = settled(printing())
    rig.command(PAUSE)
    rig.answer(PRINTS)
    assert isinstance(rig.call, PauseFile)
    rig.push(SILENT)
    rig.wait(ANSWER_PATIENCE_S)
    assert rig.states() == [P.UNREACHABLE]
    rig.answer(outcome)
    assert isinstance(rig.call, Look)
    assert rig.states() == []
    rig.answer(PRINTS)
    assert rig.states() == [P.PRINTING]


@pytest.mark.parametrize(
    ("picture", "looks"),
    [
        (snapshot(), False),
        (snapshot(printing=True, path=PATH), True),
        (snapshot(paused=True, path=PATH), True),
    ],
)
def test_push_that_shows_something_else_leads_to_a_look(picture: PushSnapshot, looks: bool) -> None:
    rig = ready()
    assert rig.call is None
    rig.push(picture)
    assert isinstance(rig.call, Look) is looks


@pytest.mark.parametrize(
    ("picture", "looks"),
    [
        (snapshot(printing=True, path=PATH), False),
        (snapshot(printing=True, path=OTHER), True),
        (snapshot(paused=True, path=PATH), True),
        (snapshot(path=PATH), True),
    ],
)
def test_push_that_shows_the_print_as_it_was_leads_to_none(
    picture: PushSnapshot, looks: bool
) -> None:
    rig = printing()
    assert rig.call is None
    rig.push(picture)
    assert isinstance(rig.call, Look) is looks


def test_many_hints_during_one_look_lead_to_one_more() -> None:
    rig = settled(printing())
    for _ in range(50):
        rig.push(CHANGED, snapshot(printing=True, path=OTHER))
    assert rig.count(Look) == 1
    rig.answer(PRINTS)
    assert rig.count(Look) == 2
    rig.answer(PRINTS)
    assert rig.call is None


# -- telemetry ---------------------------------------------------------------------------


def test_telemetry_is_thinned_and_tells_only_what_is_new() -> None:
    rig = settled(printing())
    rig.wait(5)
    hot = {"tool0": Temperature(actual=210.0, target=215.0)}
    for step in range(40):
        rig.now += 0.25
        progress = 0.5 + step // 20 / 10
        rig.push(snapshot(printing=True, path=PATH, progress=progress, heaters=hot))
        if rig.call is not None:
            rig.answer(seen(A.PRINTING, progress=progress))
    assert [m.progress for m in rig.told if isinstance(m, bus.Progress)] == [0.5, 0.6]
    assert [m.heaters for m in rig.told if isinstance(m, bus.Temperatures)] == [hot]


def test_each_kind_of_telemetry_is_sent_once_a_second_at_most() -> None:
    rig = settled(printing())
    rig.wait(5)
    for step in range(40):
        rig.now += 0.25
        heat = {"bed": Temperature(actual=float(step))}
        rig.push(snapshot(printing=True, path=PATH, progress=step / 40, heaters=heat))
        if rig.call is not None:
            rig.answer(seen(A.PRINTING, progress=step / 40))
    assert sum(isinstance(m, bus.Progress) for m in rig.told) == 10
    assert sum(isinstance(m, bus.Temperatures) for m in rig.told) == 10


def test_the_progress_of_somebody_elses_file_is_not_ours() -> None:
    rig = settled(printing())
    rig.push(snapshot(printing=True, path=OTHER, progress=0.9))
    assert rig.told == []
    idle = ready()
    idle.push(snapshot(printing=True, path=PATH, progress=0.9))
    assert idle.told == []


def test_the_progress_of_a_transfer_is_told() -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.do(rig.printer.gcode_fetched(50))
    rig.do(rig.printer.transfer_moved(10, 100))
    assert rig.told == [
        bus.TransferProgress(attempt_id=1, bytes_sent=0, bytes_total=0, bytes_fetched=50),
        bus.TransferProgress(attempt_id=1, bytes_sent=10, bytes_total=100),
    ]


@pytest.mark.parametrize(("before", "wakes"), [(REFUSED, True), (LOST, True), (IDLE, False)])
def test_push_is_woken_when_octoprint_answers_again(before: CallOutcome, wakes: bool) -> None:
    rig = ready()
    rig.look(before)
    settled(rig)
    rig.look(IDLE)
    assert (WakePush() in rig.others) is wakes
    rig.look(IDLE)
    assert rig.others.count(WakePush()) == int(wakes)
