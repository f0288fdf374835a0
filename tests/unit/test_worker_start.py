"""From the claim to the start, which happens once or not at all, across restarts too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pms.bus import messages as bus
from pms.domain.observation import Observation
from pms.domain.states import AttemptState, TransferProblem
from tests.support.worker_rig import (
    ANOTHER,
    AT_MARKER,
    BEGINS,
    BROKEN,
    CANCEL,
    CHANGED,
    CLEAR,
    CONFLICT,
    DONE,
    FAILED,
    FOREIGN,
    FORGOTTEN,
    IDLE,
    IGNORED,
    LOST,
    NO_KEY,
    NOTHING_PRINTED,
    OFFLINE,
    OTHER,
    PATH,
    PAUSED,
    POLL_S,
    PRINTS,
    REFUSED,
    SAME,
    STAGED,
    TAIL,
    A,
    P,
    Rig,
    S,
    asked,
    in_question,
    order,
    ready,
    seen,
    settled,
    snapshot,
    staged,
    taken_up,
)
from workers.printer import LOST_PATIENCE_S
from workers.steps import (
    AbortTransfer,
    CallFailed,
    CallOutcome,
    CancelFile,
    Look,
    ProveServer,
    ResumeFile,
    ServerProof,
    StartFile,
)

# -- the start ---------------------------------------------------------------------------


def test_a_start_that_is_not_granted_is_not_asked_for() -> None:
    rig = settled(staged())
    rig.grant(False)
    [event] = rig.happened()
    assert isinstance(event, bus.PrintCancelled)
    assert not event.may_have_started
    rig.looks(STAGED, 30)
    assert rig.count(StartFile) == 0


def test_a_grant_counts_once_and_only_for_its_attempt() -> None:
    rig = settled(staged())
    rig.do(rig.printer.start_granted(7, True, rig.moment))
    assert rig.count(StartFile) == 0
    rig.grant()
    rig.answer()
    rig.look(PRINTS)
    rig.grant()
    rig.looks(PRINTS, 30)
    assert rig.count(StartFile) == 1


def test_a_grant_that_nobody_has_asked_for_starts_nothing() -> None:
    rig = ready()
    rig.command(order())
    rig.grant()
    rig.transferred()
    rig.grant()
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize("answer", [None, LOST])
def test_our_file_prints_whatever_was_answered(answer: CallFailed | None) -> None:
    rig = settled(asked())
    rig.answer(answer)
    rig.look(PRINTS)
    rig.looks(PRINTS, 30)
    assert rig.names() == ["PrintStarted"]
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("answer", [None, LOST])
def test_a_start_without_effect_is_repeated_on_proof_of_the_same_server(
    answer: CallFailed | None, push: bool
) -> None:
    rig = settled(asked(push))
    rig.answer(answer)
    rig.looks(IGNORED, 2.5)
    assert rig.count(ProveServer) == 0
    rig.looks(IGNORED, 1.5)
    assert rig.count(ProveServer) == 1
    assert rig.count(StartFile) == 1
    rig.look(PRINTS)
    assert rig.names() == ["PrintStarted"]


def test_the_proof_comes_after_the_looks_and_right_before_the_start() -> None:
    """Else the looks might have been at a server that had forgotten the print."""
    rig = settled(asked())
    rig.answer(LOST)
    rig.looks(IGNORED, 5)
    kinds = [type(call) for call in rig.calls]
    assert kinds[kinds.index(ProveServer) - 1 :][:3] == [Look, ProveServer, StartFile]


@pytest.mark.parametrize("proof", [SAME, ANOTHER])
def test_a_proof_is_asked_for_until_octoprint_says_something(proof: ServerProof) -> None:
    rig = settled(asked())
    rig.answer(LOST)
    rig.proof = LOST
    rig.looks(IGNORED, 20)
    assert rig.count(ProveServer) > 2
    assert rig.count(StartFile) == 0
    assert rig.conditions() == []
    rig.proof = proof
    rig.looks(IGNORED, 4)
    assert rig.count(StartFile) == int(proof.same)
    assert bool(rig.conditions()) is not proof.same


@pytest.mark.parametrize(
    "sign",
    [
        # Push has shown a print that begins, even if no look ever did.
        BEGINS,
        snapshot(printing=True, path=PATH),
        snapshot(paused=True, path=PATH),
    ],
)
@pytest.mark.parametrize("moment", ["before the answer", "after it", "during the proof"])
def test_a_sign_of_a_print_outweighs_any_proof(sign: Any, moment: str) -> None:
    rig = settled(asked())
    if moment == "before the answer":
        rig.push(sign)
    rig.answer(LOST)
    if moment == "after it":
        rig.push(sign)
    if moment == "during the proof":
        while not isinstance(rig.call, ProveServer):
            rig.look(IGNORED)
        rig.push(sign)
    rig.looks(IGNORED, 60)
    assert rig.count(StartFile) == 0
    assert rig.names() == []
    assert rig.conditions()[-1].needs_attention


@pytest.mark.parametrize("observation", [IGNORED, FORGOTTEN, FOREIGN, IDLE])
def test_without_proof_a_person_is_asked(observation: Observation) -> None:
    rig = settled(asked())
    rig.proof = ANOTHER
    rig.answer(LOST)
    rig.looks(observation, 60)
    assert rig.count(StartFile) == 0
    assert rig.names() == []
    assert rig.conditions()[-1].needs_attention


def test_the_question_is_shown_and_does_not_cost_many_looks() -> None:
    rig = in_question()
    condition = rig.conditions()[-1]
    assert (condition.state, condition.needs_attention) == (P.ERROR, True)
    assert "clear" in condition.detail
    settled(rig)
    rig.looks(IGNORED, 100)
    assert rig.count(Look) <= 12


@pytest.mark.parametrize(
    ("settling", "names"),
    [
        (lambda rig: rig.command(CLEAR), ["PrintFailed"]),
        (lambda rig: rig.command(CANCEL), ["PrintCancelled"]),
        (lambda rig: rig.look(PRINTS), ["PrintStarted"]),
        (lambda rig: rig.look(AT_MARKER), ["PrintStarted", "PrintFinished"]),
        (lambda rig: rig.look(DONE), ["PrintStarted", "PrintFinished"]),
        (lambda rig: rig.look(FAILED), ["PrintFailed"]),
        (lambda rig: rig.looks(OFFLINE, 14), ["PrintFailed"]),
        (lambda rig: rig.looks(FORGOTTEN, 60), []),
        (lambda rig: rig.looks(FOREIGN, 60), []),
    ],
)
def test_a_question_is_settled_by_a_person_or_by_octoprint(
    settling: Callable[[Rig], None], names: list[str]
) -> None:
    rig = settled(in_question())
    settling(rig)
    happened = rig.happened()
    assert [type(e).__name__ for e in happened] == names
    assert all(e.may_have_started for e in happened if isinstance(e, bus.PrintCancelled))
    assert rig.count(StartFile) == 0


def test_a_start_that_is_ignored_again_and_again_becomes_a_question() -> None:
    rig = settled(asked())
    rig.answer()
    rig.looks(IGNORED, 60)
    assert rig.count(StartFile) == 2
    assert rig.conditions()[-1].needs_attention
    assert rig.names() == []


@pytest.mark.parametrize(
    ("observation", "names"),
    [
        (STAGED, ["CommandRefused"]),
        (FOREIGN, ["CommandRefused"]),
        (OFFLINE, ["CommandRefused"]),
        # The refusal was about our own file: somebody was faster.
        (PRINTS, ["PrintStarted"]),
        (DONE, ["PrintStarted", "PrintFinished"]),
        (FAILED, ["PrintFailed"]),
    ],
)
def test_a_refused_start(observation: Observation, names: list[str]) -> None:
    rig = settled(asked())
    rig.answer(CONFLICT)
    rig.look(observation)
    happened = rig.happened()
    assert [type(e).__name__ for e in happened] == names
    assert all(e.returned for e in happened if isinstance(e, bus.CommandRefused))


def test_a_refusal_after_a_lost_answer_proves_nothing() -> None:
    rig = settled(asked())
    rig.answer(LOST)
    while not isinstance(rig.call, ProveServer):
        rig.look(IGNORED)
    rig.answer(SAME)
    assert rig.count(StartFile) == 1
    rig.answer(CONFLICT)
    rig.look(IGNORED)
    assert rig.names() == []
    rig.look(PRINTS)
    assert rig.names() == ["PrintStarted"]
    assert rig.count(StartFile) == 1


def test_a_server_that_is_lost_after_a_refusal_lets_the_copy_go() -> None:
    rig = settled(asked())
    rig.answer(CONFLICT)
    rig.looks(REFUSED, LOST_PATIENCE_S + 3)
    assert rig.names() == ["CommandRefused"]


def test_a_granted_start_waits_for_octoprint_and_then_looks_first() -> None:
    rig = staged()
    rig.wait(POLL_S)
    rig.answer(REFUSED)
    settled(rig)
    rig.grant()
    assert rig.count(StartFile) == 0
    rig.look(REFUSED)
    rig.look(FOREIGN)
    assert rig.names() == ["CommandRefused"]
    assert rig.count(StartFile) == 0


def test_a_granted_start_that_could_not_be_sent_lets_the_copy_go() -> None:
    rig = staged()
    rig.wait(POLL_S)
    rig.answer(REFUSED)
    settled(rig)
    rig.grant()
    rig.looks(REFUSED, LOST_PATIENCE_S + 3)
    assert rig.names() == ["CommandRefused"]
    assert rig.count(StartFile) == 0


def test_a_file_that_vanishes_while_the_grant_is_under_way() -> None:
    """It must neither be sent again, for which no grant would come, nor wait for ever."""
    rig = settled(staged())
    rig.looks(IDLE, 10)
    assert rig.names() == ["CommandRefused"]
    rig.grant()
    assert rig.count(StartFile) == 0


@pytest.mark.parametrize("observation", [OFFLINE, BROKEN, seen(A.CONNECTING, path=None)])
def test_no_start_is_announced_to_a_printer_that_could_not_follow(
    observation: Observation,
) -> None:
    rig = ready(push=False)
    rig.command(order())
    rig.transferred()
    settled(rig)
    rig.looks(observation, 5)
    assert rig.names() == []
    rig.look(STAGED)
    assert rig.names() == ["PrintStarting"]


# -- transfers ---------------------------------------------------------------------------


@pytest.mark.parametrize("problem", TransferProblem)
def test_a_transfer_that_failed(problem: TransferProblem) -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.transferred(problem=problem, detail="no file")
    [event] = rig.happened()
    assert isinstance(event, bus.TransferFinished)
    assert (event.problem, event.detail) == (problem, "no file")
    rig.look(IDLE)
    assert rig.states() == [P.IDLE]


def test_somebody_elses_print_ends_the_transfer() -> None:
    """Else it could begin and end unseen, and our print would start onto its part."""
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.push(CHANGED)
    rig.look(seen(A.PRINTING, path=OTHER, file=None))
    assert rig.names() == ["CommandRefused"]
    assert rig.others == [AbortTransfer(1)]
    rig = ready()
    rig.command(order())
    rig.look(FOREIGN)
    assert rig.states()[-1] is P.BUSY


def test_a_look_that_began_before_the_file_was_there_says_nothing() -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.push(CHANGED)
    assert isinstance(rig.call, Look)
    rig.transferred()
    rig.answer(IDLE)
    assert rig.others == []
    rig.look(STAGED)
    assert rig.names() == ["TransferFinished", "PrintStarting"]
    assert rig.others == []


def test_a_look_about_another_path_says_nothing() -> None:
    """OctoPrint gave the file another name than was asked for."""
    rig = ready()
    rig.command(order())
    rig.transferred(remote_path="pms/clean.gcode")
    rig.look(STAGED)
    assert rig.call is None or rig.call == Look("pms/clean.gcode")
    rig.look(seen(A.OPERATIONAL, path=None))
    rig.grant()
    assert StartFile("pms/clean.gcode") in rig.calls
    assert StartFile(PATH) not in rig.calls


def test_the_outcome_of_an_aborted_transfer_is_nobodys() -> None:
    rig = ready()
    rig.command(order())
    rig.command(CANCEL)
    settled(rig)
    rig.transferred()
    rig.do(rig.printer.gcode_fetched(2))
    rig.do(rig.printer.transfer_moved(1, 2))
    assert rig.names() == []
    assert rig.told == []


@pytest.mark.parametrize("trouble", [REFUSED, LOST, NO_KEY, OFFLINE, BROKEN])
def test_a_copy_does_not_wait_long_for_a_printer_that_is_gone(trouble: CallOutcome) -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.look(trouble)
    rig.wait(LOST_PATIENCE_S - 1)
    assert rig.names() == []
    if rig.call is not None:
        rig.answer(trouble if isinstance(rig.call, Look) else None)
    rig.wait(1.5)
    [event] = rig.happened()
    assert isinstance(event, bus.CommandRefused)
    assert event.returned
    assert AbortTransfer(1) in rig.others


def test_a_transfer_that_moves_shows_that_octoprint_is_there() -> None:
    """A slow one may leave no time to answer anything else."""
    rig = ready()
    rig.command(order())
    settled(rig)
    for sent in range(60):
        rig.do(rig.printer.transfer_moved(sent, 100))
        if isinstance(rig.call, Look):
            rig.answer(LOST)
        rig.wait(1.0)
    assert rig.names() == []


def test_what_is_fetched_says_nothing_about_octoprint() -> None:
    rig = ready()
    rig.command(order())
    settled(rig)
    rig.look(LOST)
    for second in range(math.ceil(LOST_PATIENCE_S)):
        rig.do(rig.printer.gcode_fetched(second))
        rig.wait(1.0)
    assert rig.names() == ["CommandRefused"]


# -- taken up by a new process -----------------------------------------------------------


@pytest.mark.parametrize(
    ("believed", "observation", "names", "others"),
    [
        (S.CLAIMED, IDLE, [], ["BeginTransfer"]),
        (S.TRANSFERRING, IDLE, [], ["BeginTransfer"]),
        (S.TRANSFERRING, STAGED, [], ["BeginTransfer"]),
        (S.TRANSFERRING, PRINTS, ["PrintStarted"], []),
        (S.TRANSFERRING, FOREIGN, ["CommandRefused"], []),
        (S.STAGED, STAGED, ["PrintStarting"], []),
        (S.STAGED, IDLE, [], ["BeginTransfer"]),
        (S.STAGED, FOREIGN, ["CommandRefused"], []),
        (S.STAGED, PRINTS, ["PrintStarted"], []),
        (S.STARTING, PRINTS, ["PrintStarted"], []),
        (S.STARTING, AT_MARKER, ["PrintStarted", "PrintFinished"], []),
        (S.STARTING, DONE, ["PrintStarted", "PrintFinished"], []),
        (S.STARTING, FAILED, ["PrintFailed"], []),
        (S.STARTING, IGNORED, [], []),
        (S.STARTING, FORGOTTEN, [], []),
        (S.STARTING, OFFLINE, ["PrintFailed"], []),
        (S.PRINTING, PRINTS, [], []),
        (S.PRINTING, PAUSED, ["PrintPaused"], []),
        (S.PRINTING, AT_MARKER, ["PrintFinished"], []),
        (S.PRINTING, DONE, ["PrintFinished"], []),
        (S.PRINTING, FAILED, ["PrintFailed"], []),
        (S.PRINTING, FORGOTTEN, ["PrintFailed"], []),
        (S.PRINTING, OFFLINE, ["PrintFailed"], []),
        (S.PRINTING, seen(A.OPERATIONAL, file=NOTHING_PRINTED), ["PrintFailed"], []),
        (S.PRINTING, REFUSED, [], []),
        (S.PAUSED, PAUSED, [], []),
        (S.PAUSED, PRINTS, ["PrintResumed"], []),
        (S.PAUSED, AT_MARKER, ["PrintFinished"], []),
        (S.PAUSED, OFFLINE, ["PrintFailed"], []),
        (S.FINISHED, AT_MARKER, [], []),
        (S.FINISHED, DONE, [], []),
        (S.FINISHED, FORGOTTEN, [], []),
        (S.FINISHED, OFFLINE, [], []),
    ],
)
def test_a_new_process_takes_up_what_it_finds(
    believed: AttemptState, observation: CallOutcome, names: list[str], others: list[str]
) -> None:
    rig = taken_up(order(believed))
    rig.proof = ANOTHER
    rig.look(observation)
    rig.looks(observation, 12)
    assert rig.names() == names
    assert [type(action).__name__ for action in rig.others] == others
    # Without a grant of its own, a process never starts anything.
    assert rig.count(StartFile) == 0


def test_a_new_process_starts_only_with_a_grant_of_its_own() -> None:
    rig = taken_up(order(S.STAGED))
    rig.look(STAGED)
    rig.looks(STAGED, 5)
    assert rig.names() == ["PrintStarting"]
    assert rig.count(StartFile) == 0
    rig.grant()
    assert rig.count(StartFile) == 1


@pytest.mark.parametrize("granted", [True, False])
def test_a_start_before_the_restart_is_repeated_on_proof_and_with_a_new_grant(
    granted: bool,
) -> None:
    """What the earlier process was granted may be out of date."""
    rig = taken_up(order(S.STARTING))
    rig.looks(IGNORED, 10)
    assert rig.names() == ["PrintStarting"]
    assert rig.count(StartFile) == 0
    rig.looks(IGNORED, 60)
    rig.grant(granted)
    assert rig.count(StartFile) == 0
    rig.looks(IGNORED, 5)
    assert rig.count(StartFile) == int(granted)
    if granted:
        rig.look(PRINTS)
    [event] = rig.happened()
    expected = bus.PrintStarted if granted else bus.PrintCancelled
    assert isinstance(event, expected)


def test_a_start_that_is_seen_after_all_is_cancelled_if_it_is_not_granted_again() -> None:
    rig = taken_up(order(S.STARTING))
    rig.looks(IGNORED, 10)
    settled(rig)
    rig.grant(False)
    rig.look(PRINTS)
    assert rig.count(CancelFile) == 1
    rig.look(FAILED)
    assert rig.names() == ["PrintStarted", "PrintCancelled"]


def test_a_start_before_the_restart_of_both_is_a_question() -> None:
    rig = taken_up(order(S.STARTING))
    rig.proof = ANOTHER
    rig.looks(IGNORED, 30)
    assert rig.names() == []
    assert rig.count(StartFile) == 0
    assert rig.conditions()[-1].needs_attention


def test_a_new_process_takes_up_an_open_clear() -> None:
    rig = taken_up(order(S.FINISHED), CLEAR)
    rig.look(AT_MARKER)
    assert rig.call == ResumeFile()
    rig.look(TAIL)
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]


def test_a_new_process_takes_up_an_open_cancel() -> None:
    rig = taken_up(order(S.PRINTING), CANCEL)
    rig.look(PRINTS)
    assert rig.call == CancelFile()
    rig.look(FAILED)
    assert rig.names() == ["PrintCancelled"]


def test_a_resumption_at_octoprint_clears_after_a_restart_too() -> None:
    rig = taken_up(order(S.FINISHED))
    rig.look(AT_MARKER)
    rig.look(TAIL)
    rig.look(DONE)
    assert rig.names() == ["PrintCleared"]
