"""A print under way: what looks show of it, what people want of it, and its cleared bed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pms.bus import messages as bus
from pms.domain.observation import Observation
from tests.support.worker_rig import (
    ANOTHER,
    AT_MARKER,
    BROKEN,
    CANCEL,
    CHANGED,
    CLEAR,
    CONFLICT,
    DONE,
    EJECT,
    FAILED,
    FOREIGN,
    FORGOTTEN,
    IGNORED,
    LOST,
    NOTHING_PRINTED,
    OFFLINE,
    OTHER,
    PAUSE,
    PAUSED,
    PRINTS,
    REFUSED,
    RESUME,
    SAME,
    STAGED,
    SUCCESS,
    TAIL,
    A,
    P,
    Rig,
    S,
    asked,
    finished,
    in_question,
    order,
    paused,
    printing,
    ready,
    seen,
    settled,
    staged,
    taken_up,
)
from workers.push_frames import PushClosed, PushOpened
from workers.steps import (
    CallFailed,
    CancelFile,
    ConnectPrinter,
    DeleteFile,
    Look,
    PauseFile,
    ProveServer,
    ResumeFile,
    StartFile,
)

# -- while it prints ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observation", "names"),
    [
        (DONE, ["PrintFinished"]),
        (FAILED, ["PrintFailed"]),
        (seen(A.OPERATIONAL, file=NOTHING_PRINTED), ["PrintFailed"]),
        (AT_MARKER, ["PrintFinished"]),
        # One look is not enough for these: history and position lag behind the state.
        (FORGOTTEN, []),
        (IGNORED, []),
        (OFFLINE, []),
        (BROKEN, []),
        (FOREIGN, []),
        (PAUSED, []),
    ],
)
def test_what_one_look_is_enough_for(observation: Observation, names: list[str]) -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(observation)
    assert rig.names() == names
    if not names and rig.call is None:
        assert rig.printer.next_deadline() <= rig.now + 0.5


@pytest.mark.parametrize(
    ("observation", "names"),
    [
        (FORGOTTEN, ["PrintFailed"]),
        (IGNORED, ["PrintFailed"]),
        (OFFLINE, ["PrintFailed"]),
        (BROKEN, ["PrintFailed"]),
        (FOREIGN, ["PrintFailed"]),
        (PAUSED, ["PrintPaused"]),
        (PRINTS, []),
        (seen(A.CANCELLING), []),
        (seen(A.FINISHING), []),
        (seen(A.CONNECTING, path=None), []),
    ],
)
def test_what_many_looks_show(observation: Observation, names: list[str]) -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.looks(observation, 5)
    assert rig.names() == names


def test_a_history_that_lags_is_not_taken_for_a_failure() -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(IGNORED)
    rig.look(IGNORED)
    rig.look(DONE)
    assert rig.names() == ["PrintFinished"]


@pytest.mark.parametrize("observation", [IGNORED, PAUSED])
def test_what_may_lag_is_looked_at_again_soon_and_then_less_often(observation: Observation) -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(observation)
    waits = []
    for _ in range(4):
        waits.append(rig.printer.next_deadline() - rig.now)
        rig.look(observation)
    assert waits[:3] == pytest.approx([0.05, 0.05, 0.1])
    assert max(waits) <= 0.25


def test_time_alone_and_looks_that_fail_turn_no_doubt_into_a_certainty() -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(IGNORED)
    rig.wait(100)
    assert rig.names() == []
    rig.looks(LOST, 60)
    rig.look(IGNORED)
    assert rig.names() == []
    rig.look(PRINTS)
    rig.look(IGNORED)
    rig.look(IGNORED)
    assert rig.names() == []


def test_a_position_that_lags_is_not_taken_for_a_pause() -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(PAUSED)
    rig.look(AT_MARKER)
    assert rig.names() == ["PrintFinished"]


def test_a_failure_tells_the_reason() -> None:
    rig = settled(printing())
    rig.looks(BROKEN, 14)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintFailed)
    assert "Thermal Runaway" in event.reason


@pytest.mark.parametrize("begin", [printing, paused])
@pytest.mark.parametrize("activity", [A.OPERATIONAL, A.DISCONNECTED, A.ERROR])
def test_another_octoprint_cannot_say_what_became_of_the_print(
    begin: Callable[[], Rig], activity: A
) -> None:
    rig = settled(begin())
    rig.push(CHANGED)
    rig.looks(seen(activity, path=None, file=None), 5)
    assert rig.names() == []
    condition = rig.conditions()[-1]
    assert (condition.state, condition.needs_attention) == (P.ERROR, True)
    assert "give the printer back its address" in condition.detail

    rig.command(CLEAR)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintFailed)
    assert event.bed_is_empty


def test_the_right_octoprint_answers_a_question_that_another_one_has_raised() -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.looks(seen(A.OPERATIONAL, path=None, file=None), 5)
    assert rig.states() == [P.ERROR]

    rig.look(PRINTS)
    assert rig.states() == [P.PRINTING]
    rig.command(CLEAR)
    assert rig.names() == ["CommandRefused"]
    rig.command(CANCEL)
    rig.look(PRINTS)
    assert rig.count(CancelFile) == 1
    assert rig.names() == []


@pytest.mark.parametrize("observation", [DONE, AT_MARKER])
def test_the_right_octoprint_tells_of_the_end_that_another_one_has_hidden(
    observation: Observation,
) -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.looks(seen(A.OPERATIONAL, path=None, file=None), 5)
    rig.look(observation)
    assert rig.names() == ["PrintFinished"]
    assert rig.states() == [P.ERROR, P.FINISHED]
    rig.command(EJECT)
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]


def test_octoprint_restarted_in_mid_print() -> None:
    rig = settled(printing())
    rig.push(PushClosed(reason="gone"))
    rig.looks(REFUSED, 5)
    assert rig.names() == []
    assert rig.states() == [P.UNREACHABLE]
    rig.push(PushOpened())
    rig.looks(FORGOTTEN, 5)
    assert rig.names() == ["PrintFailed"]


def test_a_printer_that_is_out_of_reach_keeps_its_print() -> None:
    rig = settled(printing())
    rig.looks(LOST, 3600)
    assert rig.names() == []
    rig.look(PRINTS)
    assert rig.names() == []


def test_the_evidence_is_not_destroyed_by_connecting() -> None:
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(OFFLINE)
    rig.wait(2)
    assert rig.count(ConnectPrinter) == 0
    rig.looks(OFFLINE, 3)
    assert rig.names() == ["PrintFailed"]
    rig.looks(OFFLINE, 3)
    assert rig.count(ConnectPrinter) > 0


# -- commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "may_have_started"),
    [
        (ready, None),
        (lambda: taken_up(order(S.CLAIMED)), False),
        (lambda: taken_up(order(S.STAGED)), False),
        (staged, False),
        (in_question, True),
    ],
)
def test_a_cancel_that_needs_nothing_of_octoprint(
    begin: Callable[[], Rig], may_have_started: bool | None
) -> None:
    rig = settled(begin())
    rig.command(CANCEL)
    rig.command(CANCEL)
    found = [e.may_have_started for e in rig.happened() if isinstance(e, bus.PrintCancelled)]
    assert found == ([] if may_have_started is None else [may_have_started])
    rig.grant()
    rig.looks(STAGED, 5)
    assert rig.count(StartFile) == 0
    assert rig.count(CancelFile) == 0


def test_a_cancel_after_the_grant_and_before_the_request() -> None:
    rig = settled(staged())
    rig.push(CHANGED)
    assert isinstance(rig.call, Look)
    rig.grant()
    rig.command(CANCEL)
    rig.answer(STAGED)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintCancelled)
    assert not event.may_have_started
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize(
    ("answer", "observation", "names", "cancels"),
    [
        (None, PRINTS, ["PrintStarted", "PrintCancelled"], 1),
        (LOST, PRINTS, ["PrintStarted", "PrintCancelled"], 1),
        (CONFLICT, STAGED, ["PrintCancelled"], 0),
        (None, FAILED, ["PrintCancelled"], 0),
        (None, DONE, ["PrintStarted", "CommandRefused", "PrintFinished"], 0),
    ],
)
def test_a_cancel_while_the_start_is_under_way(
    answer: CallFailed | None, observation: Observation, names: list[str], cancels: int
) -> None:
    rig = settled(asked())
    rig.command(CANCEL)
    assert rig.names() == []
    rig.answer(answer)
    rig.look(observation)
    assert rig.count(CancelFile) == cancels
    if cancels:
        rig.look(FAILED)
    assert rig.names() == names
    rig.looks(STAGED, 10)
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize("same", [True, False])
def test_a_cancel_of_a_start_without_effect(same: bool) -> None:
    rig = settled(asked())
    rig.proof = SAME if same else ANOTHER
    rig.answer(LOST)
    rig.command(CANCEL)
    rig.looks(IGNORED, 5)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintCancelled)
    assert event.may_have_started is not same
    assert rig.count(StartFile) == 0


def test_a_cancel_during_the_proof() -> None:
    rig = settled(asked())
    rig.answer(LOST)
    while not isinstance(rig.call, ProveServer):
        rig.look(IGNORED)
    rig.command(CANCEL)
    rig.answer(SAME)
    assert rig.names() == ["PrintCancelled"]
    assert rig.count(StartFile) == 0


def test_a_cancel_of_a_print_that_somebody_started_while_the_grant_was_under_way() -> None:
    rig = settled(staged())
    rig.push(CHANGED)
    rig.grant()
    rig.answer(PRINTS)
    rig.command(CANCEL)
    assert rig.names() == ["PrintStarted"]
    rig.look(PRINTS)
    assert rig.count(CancelFile) == 1
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize(("begin", "observation"), [(printing, PRINTS), (paused, PAUSED)])
def test_a_cancel_is_repeated_until_octoprint_shows_its_effect(
    begin: Callable[[], Rig], observation: Observation
) -> None:
    rig = settled(begin())
    rig.command(CANCEL)
    rig.look(observation)
    assert rig.call == CancelFile()
    rig.answer(LOST)
    rig.looks(observation, 1)
    assert rig.count(CancelFile) == 1
    rig.looks(observation, 2)
    assert rig.count(CancelFile) == 2
    rig.look(seen(A.CANCELLING))
    rig.look(FAILED)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintCancelled)
    assert event.may_have_started


def test_a_cancel_that_comes_too_late_does_not_touch_the_part() -> None:
    """The print ended while the cancel was on its way. Cancelling at the end marker would look
    as if an operator had ended the print there, and so cleared the bed."""
    rig = settled(printing())
    rig.command(CANCEL)
    rig.look(AT_MARKER)
    assert rig.names() == ["CommandRefused", "PrintFinished"]
    rig.looks(AT_MARKER, 20)
    assert rig.count(CancelFile) == 0
    assert rig.names() == []


def test_a_finished_part_cannot_be_cancelled() -> None:
    rig = settled(finished())
    rig.command(CANCEL)
    assert rig.names() == ["CommandRefused"]
    rig.looks(AT_MARKER, 5)
    assert rig.count(CancelFile) == 0


def test_pause_and_resume() -> None:
    rig = settled(printing())
    rig.command(PAUSE)
    rig.look(PRINTS)
    assert rig.call == PauseFile()
    rig.answer()
    rig.looks(PAUSED, 1.5)
    assert rig.names() == ["PrintPaused"]
    rig.command(RESUME)
    rig.looks(PAUSED, 1.5)
    assert rig.count(ResumeFile) == 1
    rig.look(PRINTS)
    assert rig.names() == ["PrintResumed"]
    assert rig.count(PauseFile) == 1


@pytest.mark.parametrize(
    ("begin", "command"),
    [
        (staged, PAUSE),
        (paused, PAUSE),
        (finished, PAUSE),
        (printing, RESUME),
        (finished, RESUME),
        (printing, CLEAR),
        (paused, CLEAR),
        (staged, CLEAR),
    ],
)
def test_a_command_that_does_not_fit_is_refused(
    begin: Callable[[], Rig], command: bus.Command
) -> None:
    rig = settled(begin())
    rig.command(command)
    [event] = rig.happened()
    assert isinstance(event, bus.CommandRefused)
    assert (event.command, event.returned) == (type(command).__name__, False)


@pytest.mark.parametrize(
    ("begin", "command", "observation"), [(printing, PAUSE, PRINTS), (paused, RESUME, PAUSED)]
)
def test_a_command_that_octoprint_does_not_take_is_refused(
    begin: Callable[[], Rig], command: bus.Command, observation: Observation
) -> None:
    rig = settled(begin())
    rig.wait(3)
    rig.look(observation)
    rig.command(command)
    rig.look(observation)
    rig.answer(CONFLICT)
    [event] = rig.happened()
    assert isinstance(event, bus.CommandRefused)
    assert event.reason == "409"


def test_a_pause_that_the_end_marker_forestalls_is_forgotten() -> None:
    """Else it would pause the file when the bed is cleared."""
    rig = settled(printing())
    rig.command(PAUSE)
    rig.look(AT_MARKER)
    rig.command(CLEAR)
    rig.looks(AT_MARKER, 3)
    rig.looks(TAIL, 10)
    rig.look(DONE)
    assert rig.names() == ["PrintFinished", "PrintCleared"]
    assert rig.count(PauseFile) == 0


def test_a_pause_that_somebody_forestalls_is_forgotten() -> None:
    rig = settled(printing())
    rig.command(PAUSE)
    rig.call = None
    rig.do(rig.printer.call_ended(PAUSED, rig.moment))
    rig.looks(PAUSED, 2)
    rig.looks(PRINTS, 10)
    assert rig.names() == ["PrintPaused", "PrintResumed"]
    assert rig.count(PauseFile) == 0


def test_a_resume_that_the_end_marker_forestalls_does_not_clear_the_bed() -> None:
    rig = settled(paused())
    rig.command(RESUME)
    rig.looks(AT_MARKER, 20)
    assert rig.names() == ["PrintFinished"]
    assert rig.count(ResumeFile) == 0


def test_a_command_for_an_attempt_that_has_ended_is_nothing() -> None:
    rig = settled(printing())
    rig.look(FAILED)
    settled(rig)
    for command in (CANCEL, PAUSE, RESUME, CLEAR):
        rig.command(command)
    rig.looks(FAILED, 5)
    assert rig.names() == []
    assert not {type(call) for call in rig.calls} - {Look, DeleteFile}


# -- clearing ----------------------------------------------------------------------------


def test_clearing_twice_is_clearing_once() -> None:
    rig = settled(finished())
    rig.command(CLEAR)
    rig.command(CLEAR)
    rig.looks(AT_MARKER, 1)
    rig.command(CLEAR)
    rig.look(TAIL)
    rig.command(CLEAR)
    rig.look(DONE)
    rig.command(CLEAR)
    assert rig.names() == ["PrintCleared"]
    assert rig.count(ResumeFile) == 1


def test_a_resume_that_is_lost_is_repeated() -> None:
    rig = settled(finished())
    rig.command(CLEAR)
    rig.looks(AT_MARKER, 7)
    assert rig.count(ResumeFile) >= 2
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]


@pytest.mark.parametrize(
    ("observations", "names"),
    [
        ([TAIL, DONE], ["PrintCleared"]),
        ([DONE], ["PrintCleared"]),
        ([TAIL, FAILED], ["PrintCleared"]),
        # This may have been a reset of the printer.
        ([FAILED] * 20, []),
        ([FORGOTTEN] * 20, []),
        ([OFFLINE] * 20, []),
        ([FOREIGN] * 20, []),
        ([TAIL, PAUSED, FORGOTTEN, FORGOTTEN], []),
    ],
)
def test_a_person_at_octoprint_clears_by_resuming(
    observations: list[Observation], names: list[str]
) -> None:
    rig = settled(finished())
    for observation in observations:
        rig.look(observation)
    assert rig.names() == names


@pytest.mark.parametrize("observation", [FORGOTTEN, OFFLINE, BROKEN, FOREIGN, FAILED])
def test_a_part_whose_pause_was_lost_is_cleared_by_the_word_of_a_person(
    observation: Observation,
) -> None:
    rig = settled(finished())
    rig.looks(observation, 20)
    assert rig.names() == []
    rig.command(CLEAR)
    rig.look(observation)
    assert rig.names() == ["PrintCleared"]
    assert rig.count(ResumeFile) == 0


@pytest.mark.parametrize("end", [FAILED, FORGOTTEN, BROKEN, OFFLINE, FOREIGN])
def test_a_file_that_breaks_off_while_it_clears_the_bed_leaves_a_question(
    end: Observation,
) -> None:
    """With autostart the file itself removes the part: it may still lie there."""
    rig = settled(finished())
    rig.command(EJECT)
    rig.looks(AT_MARKER, 1)
    rig.look(TAIL)
    rig.looks(end, 20)
    condition = rig.conditions()[-1]
    assert (condition.state, condition.needs_attention) == (P.ERROR, True)
    assert rig.names() == []
    rig.looks(FORGOTTEN, 20)
    assert rig.names() == []
    rig.command(CLEAR)
    assert rig.names() == ["PrintCleared"]


@pytest.mark.parametrize("end", [FAILED, FORGOTTEN, OFFLINE])
def test_the_word_of_a_person_counts_however_the_file_ends(end: Observation) -> None:
    rig = settled(finished())
    rig.command(CLEAR)
    rig.looks(AT_MARKER, 1)
    rig.look(TAIL)
    rig.look(end)
    assert rig.names() == ["PrintCleared"]


@pytest.mark.parametrize("observation", [FORGOTTEN, OFFLINE, BROKEN, FOREIGN, FAILED])
def test_a_part_that_could_not_be_ejected_leaves_a_question(observation: Observation) -> None:
    rig = settled(finished())
    rig.command(EJECT)
    rig.looks(observation, 20)
    assert rig.names() == []
    assert rig.conditions()[-1].needs_attention
    rig.command(EJECT)
    assert rig.names() == []
    rig.command(CLEAR)
    assert rig.names() == ["PrintCleared"]


def test_a_part_is_ejected() -> None:
    rig = settled(finished())
    rig.command(EJECT)
    rig.look(AT_MARKER)
    rig.look(TAIL)
    assert rig.names() == []
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]


def test_a_word_that_came_too_early_does_not_count_for_the_part() -> None:
    rig = settled(printing())
    rig.command(CLEAR)
    assert rig.names() == ["CommandRefused"]
    rig.look(AT_MARKER)
    rig.command(EJECT)
    rig.looks(FORGOTTEN, 20)
    assert rig.names() == ["PrintFinished"]
    assert rig.conditions()[-1].needs_attention


def test_a_foreign_pause_is_not_taken_for_the_end_marker() -> None:
    """Our print was done without a pause; then somebody paused his."""
    rig = settled(printing())
    rig.push(CHANGED)
    rig.look(seen(A.PAUSED, path=OTHER, filepos=99, file=SUCCESS))
    assert rig.names() == ["PrintFinished"]
    rig.looks(seen(A.PRINTING, path=OTHER, file=SUCCESS), 20)
    assert rig.names() == []
