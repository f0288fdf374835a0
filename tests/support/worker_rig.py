"""Drives the decisions of a printer's process by hand: stimuli in, what comes out kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pms.bus import messages as bus
from pms.bus.messages import Event
from pms.domain.observation import Activity, FileFacts, Observation
from pms.domain.states import AttemptState, PrinterState
from workers.printer import Printer
from workers.push_frames import PushChanged, PushOpened, PushSnapshot
from workers.steps import (
    Action,
    Call,
    CallFailed,
    CallOutcome,
    Emit,
    FailureKind,
    Look,
    MakeCall,
    Moment,
    ProveServer,
    ServerProof,
    StartFile,
    Tell,
    TransferOutcome,
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
RETENTION_S = 86400.0


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

    #: Of files on OctoPrint; a test may change it.
    retention_s: ClassVar[float] = RETENTION_S

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
        self.printer = Printer(
            enabled=self.enabled,
            poll_interval_s=POLL_S,
            file_retention_s=self.retention_s,
            random=lambda: 0.5,
        )

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
        outcome = TransferOutcome(**{"attempt_id": 1, **good, **changes})
        self.do(self.printer.transfer_ended(outcome, self.moment))

    def record(self) -> None:
        """The coordinator records what has happened so far."""
        for event in self.events:
            self.printer.recorded(event)
        self.do(self.printer.tick(self.moment))

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


def in_question() -> Rig:
    rig = asked()
    rig.proof = ANOTHER
    rig.answer(LOST)
    rig.looks(IGNORED, 5)
    return rig
