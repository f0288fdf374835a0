"""A printer's process as a pure machine: stimuli in, events and calls out, no clock but ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pms.bus import messages as bus
from pms.bus.messages import Event, Temperature
from pms.domain.observation import Activity, FileFacts, Observation
from pms.domain.states import AttemptState, PrinterState, TransferProblem
from workers.printer import LOST_PATIENCE_S, Printer
from workers.push_frames import PushChanged, PushClosed, PushOpened, PushSnapshot
from workers.steps import (
    AbortTransfer,
    Action,
    BeginTransfer,
    Call,
    CallFailed,
    CallOutcome,
    CancelFile,
    ConnectPrinter,
    DeleteFile,
    Emit,
    Exit,
    FailureKind,
    Look,
    MakeCall,
    Moment,
    PauseFile,
    ProveServer,
    ResumeFile,
    ServerProof,
    StartFile,
    Tell,
    TransferOutcome,
    WakePush,
)

S = AttemptState
A = Activity
P = PrinterState
PATH = "pms/job-3_print-2_try-1.gcode"
OTHER = "somebody.gcode"
SHA1 = "a" * 40
MARKER = 90
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
POLL_S = 10.0


def facts(**changes: Any) -> FileFacts:
    return FileFacts(path=PATH, **{"size": 100, "sha1": SHA1, **changes})


SUCCESS = facts(successes=1, last_success=True, last_print_time_s=9.0)
FAILURE = facts(failures=1, last_success=False)
NOTHING_PRINTED = facts(successes=1, last_success=True)


def seen(activity: Activity, path: str | None = PATH, **changes: Any) -> Observation:
    return Observation(activity=activity, path=path, **{"file": facts(), **changes})


IDLE = seen(A.OPERATIONAL, path=None, file=None)
STAGED = seen(A.OPERATIONAL, path=None)
IGNORED = seen(A.OPERATIONAL)
PRINTS = seen(A.PRINTING, filepos=40, progress=0.4)
PAUSED = seen(A.PAUSED, filepos=40)
AT_MARKER = seen(A.PAUSED, filepos=MARKER)
TAIL = seen(A.PRINTING, filepos=95)
DONE = seen(A.OPERATIONAL, file=SUCCESS)
FAILED = seen(A.OPERATIONAL, file=FAILURE)
FOREIGN = seen(A.PRINTING, path=OTHER)
FORGOTTEN = seen(A.OPERATIONAL, path=None)
OFFLINE = seen(A.DISCONNECTED, path=None)
BROKEN = seen(A.ERROR, path=None, error="Thermal Runaway")

LOST = CallFailed(kind=FailureKind.UNREACHABLE, text="no answer", certainly_not_done=False)
REFUSED = CallFailed(kind=FailureKind.REFUSED, text="nothing listens", certainly_not_done=True)
CONFLICT = CallFailed(kind=FailureKind.REJECTED, text="409", certainly_not_done=True)
NO_KEY = CallFailed(kind=FailureKind.UNAUTHORIZED, text="bad key", certainly_not_done=True)

SAME, ANOTHER = ServerProof(same=True), ServerProof(same=False)


@dataclass
class Rig:
    """Drives a printer and keeps what comes out; fails where two calls are made at once."""

    enabled: bool = True
    now: float = 1000.0
    call: Call | None = None
    calls: list[Call] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    reports: list[bus.PrinterStateChanged] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    others: list[Action] = field(default_factory=list)
    #: What OctoPrint answers when it has to prove that it is the same process.
    proof: CallOutcome = SAME

    def __post_init__(self) -> None:
        self.printer = Printer(enabled=self.enabled, poll_interval_s=POLL_S, random=lambda: 0.5)

    @property
    def moment(self) -> Moment:
        return Moment(self.now, BEGAN + timedelta(seconds=self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Emit(bus.PrinterStateChanged() as report):
                    self.reports.append(report)
                case Emit(event):
                    self.events.append(event)
                case Tell(message):
                    self.told.append(message)
                case MakeCall(call):
                    assert self.call is None, f"{call} while {self.call} is under way"
                    self.call = call
                    self.calls.append(call)
                case _:
                    self.others.append(action)
        if self.call is None:
            assert self.printer.next_deadline() > self.now, "a busy loop"

    # -- stimuli ------------------------------------------------------------------

    def brief(self) -> None:
        self.do(self.printer.briefed(self.moment))

    def command(self, command: bus.Command) -> None:
        self.do(self.printer.command(command, self.moment))

    def push(self, *stimuli: Any) -> None:
        for stimulus in stimuli:
            self.do(self.printer.push(stimulus, self.moment))

    def answer(self, outcome: CallOutcome = None) -> None:
        assert self.call is not None
        self.call = None
        self.do(self.printer.call_ended(outcome, self.moment))

    def grant(self, granted: bool = True) -> None:
        self.do(self.printer.start_granted(1, granted, self.moment))

    def transferred(self, **changes: Any) -> None:
        good = {"remote_path": PATH, "size": 100, "sha1": SHA1, "finish_marker": MARKER}
        outcome = TransferOutcome(attempt_id=1, **{**good, **changes})
        self.do(self.printer.transfer_ended(outcome, self.moment))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.printer.tick(self.moment))

    def look(self, observation: CallOutcome) -> None:
        """Wait for the next look and let it see this; other calls succeed meanwhile."""
        for _ in range(20):
            if self.call is None:
                deadline = self.printer.next_deadline()
                assert deadline < float("inf"), "nothing would ever happen again"
                self.now = max(self.now, deadline)
                self.do(self.printer.tick(self.moment))
            if isinstance(self.call, Look):
                self.answer(observation)
                return
            if self.call is not None:
                self.answer(self.proof if isinstance(self.call, ProveServer) else None)
        raise AssertionError("no look is ever made")

    def looks(self, observation: CallOutcome, seconds: float = 4.0) -> None:
        """Let all looks of this time see the same."""
        end = self.now + seconds
        while self.now < end:
            self.look(observation)

    # -- what came out --------------------------------------------------------------

    def happened(self) -> list[Event]:
        """The events of the attempt since last asked."""
        events, self.events = self.events, []
        return events

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.happened()]

    def states(self) -> list[PrinterState]:
        """The states that were reported since last asked."""
        return [c.state for c in self.conditions()]

    def conditions(self) -> list[bus.PrinterStateChanged]:
        reports, self.reports = self.reports, []
        return reports

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(call, kind) for call in self.calls)


def order(believed: AttemptState = S.CLAIMED, **changes: Any) -> bus.StartPrint:
    known: dict[str, Any] = {}
    if believed not in (S.CLAIMED, S.TRANSFERRING):
        known = {"size": 100, "sha1": SHA1, "finish_marker": MARKER}
    return bus.StartPrint(
        **{
            "attempt_id": 1,
            "print_id": 2,
            "job_id": 3,
            "believed": believed,
            "remote_path": PATH,
            **known,
            **changes,
        }
    )


CANCEL = bus.CancelPrint(attempt_id=1)
PAUSE = bus.PausePrint(attempt_id=1)
RESUME = bus.ResumePrint(attempt_id=1)
CLEAR = bus.ClearBed(attempt_id=1, by_person=True)
EJECT = bus.ClearBed(attempt_id=1)
CHANGED = PushChanged(kind="PrinterStateChanged")
BEGINS = PushChanged(kind="PrintStarted")


def snapshot(**changes: Any) -> PushSnapshot:
    quiet = {"state_text": "", "printing": False, "paused": False, "operational": True}
    return PushSnapshot(**{**quiet, **changes})


# -- ways to where a test begins ---------------------------------------------------------


def ready(push: bool = True, enabled: bool = True) -> Rig:
    """A briefed process whose printer is idle."""
    rig = Rig(enabled=enabled)
    rig.do(rig.printer.tick(rig.moment))
    if push:
        rig.push(PushOpened())
    rig.brief()
    rig.look(IDLE)
    if rig.call is not None:
        rig.look(IDLE)
    return rig


def taken_up(*commands: bus.Command, push: bool = True) -> Rig:
    """A new process that is told what an earlier one has left."""
    rig = Rig()
    rig.do(rig.printer.tick(rig.moment))
    if push:
        rig.push(PushOpened())
    for command in commands:
        rig.command(command)
    rig.brief()
    # This look began before anything was known.
    rig.answer(IDLE)
    return rig


def staged(push: bool = True) -> Rig:
    """The file is there, and the permission to start is asked for."""
    rig = ready(push)
    rig.command(order())
    rig.look(IDLE)
    rig.transferred()
    rig.look(STAGED)
    return rig


def asked(push: bool = True) -> Rig:
    """The start is on its way to OctoPrint."""
    rig = staged(push)
    rig.grant()
    assert rig.call == StartFile(PATH)
    return rig


def printing(push: bool = True) -> Rig:
    rig = asked(push)
    rig.answer()
    rig.look(PRINTS)
    return rig


def paused() -> Rig:
    rig = printing()
    rig.push(CHANGED)
    rig.looks(PAUSED, 1.0)
    return rig


def finished() -> Rig:
    """The part lies there, the file is paused at its end marker."""
    rig = printing()
    rig.push(CHANGED)
    rig.look(AT_MARKER)
    return rig


def settled(rig: Rig) -> Rig:
    """Forget what has come out so far."""
    rig.happened()
    rig.conditions()
    rig.calls.clear()
    rig.others.clear()
    rig.told.clear()
    return rig


# -- the whole way -----------------------------------------------------------------------


def test_a_copy_from_its_claim_to_the_clear_bed() -> None:
    rig = ready()
    assert rig.states() == [P.STARTING, P.IDLE]
    rig.command(order())
    assert rig.others == [BeginTransfer(1, 2, 3, PATH)]
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


def in_question() -> Rig:
    rig = asked()
    rig.proof = ANOTHER
    rig.answer(LOST)
    rig.looks(IGNORED, 5)
    return rig


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
        ([FAILED], ["PrintCleared"]),
        ([FORGOTTEN] * 20, []),
        ([OFFLINE] * 20, []),
        ([FOREIGN] * 20, []),
        ([TAIL, PAUSED, FORGOTTEN, FORGOTTEN], []),
    ],
)
def test_a_person_at_octoprint_clears_by_resuming_or_ending(
    observations: list[Observation], names: list[str]
) -> None:
    rig = settled(finished())
    for observation in observations:
        rig.look(observation)
    assert rig.names() == names


@pytest.mark.parametrize("observation", [FORGOTTEN, OFFLINE, BROKEN, FOREIGN])
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
    rig.command(CLEAR)
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


@pytest.mark.parametrize("observation", [FORGOTTEN, OFFLINE, BROKEN, FOREIGN])
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
    rig.do(rig.printer.transfer_moved(10, 100))
    assert rig.told == [bus.TransferProgress(attempt_id=1, bytes_sent=10, bytes_total=100)]


@pytest.mark.parametrize(("before", "wakes"), [(REFUSED, True), (LOST, True), (IDLE, False)])
def test_push_is_woken_when_octoprint_answers_again(before: CallOutcome, wakes: bool) -> None:
    rig = ready()
    rig.look(before)
    settled(rig)
    rig.look(IDLE)
    assert (WakePush() in rig.others) is wakes
    rig.look(IDLE)
    assert rig.others.count(WakePush()) == int(wakes)
