"""A small farm of one printer as a model: the machine, its OctoPrint, and the coordinator's book.

The book is kept by the real `pms.domain.printing`; OctoPrint is what it was measured to be, cut
down to what decides over a print. Time passes only when a test says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import assert_never

from pms.bus import messages as bus
from pms.bus.messages import Command, Event
from pms.domain import printing
from pms.domain.observation import Activity, FileFacts, Observation
from pms.domain.printing import Copy, Effect
from pms.domain.reconciliation import remote_path
from pms.domain.states import (
    LIVE_STATES,
    RUNNING_STATES,
    AttemptState,
    Bed,
    JobStatus,
    PrinterState,
    PrintStatus,
)
from workers.steps import (
    Call,
    CallFailed,
    CallOutcome,
    CancelFile,
    ConnectPrinter,
    DeleteFile,
    FailureKind,
    Look,
    PauseFile,
    ProveServer,
    ResumeFile,
    ServerProof,
    StartFile,
    Stock,
    TakeStock,
)

SIZE, MARKER = 100, 90
SHA1 = "a" * 40
FOREIGN = "somebody.gcode"
AT = datetime(2026, 3, 1, tzinfo=UTC)

REFUSED = CallFailed(kind=FailureKind.REFUSED, text="refused", certainly_not_done=True)
LOST = CallFailed(kind=FailureKind.UNREACHABLE, text="lost", certainly_not_done=False)
CONFLICT = CallFailed(kind=FailureKind.REJECTED, text="409", certainly_not_done=True)
MISSING = CallFailed(kind=FailureKind.REJECTED, text="404", certainly_not_done=True)


class Machine:
    """The printer, the part on its bed, and OctoPrint in front of it."""

    def __init__(self, *, ejects: bool) -> None:
        #: The file itself pushes the part off behind its end marker.
        self.ejects = ejects
        self.up = True
        self.hung = False
        self.process = 1
        self.activity = Activity.OPERATIONAL
        self.selected: str | None = None
        self.filepos = 0
        self.histories: dict[str, list[bool]] = {}
        #: The file whose part lies on the bed, whole or not.
        self.part: str | None = None
        self.starts: Counter[str] = Counter()
        self.complete: set[str] = set()
        #: Log-in of the server that was asked to start, as the printer's process keeps it.
        self.kept: tuple[str, int] | None = None
        #: Requests that a hung server has taken and not yet looked at.
        self.backlog: list[Call] = []

    # -- what OctoPrint does when asked ----------------------------------------------

    def serve(self, call: Call) -> CallOutcome:
        """Carry a request out and say what the answer is."""
        if not self.up:
            return REFUSED
        if self.hung:
            self.backlog.append(call)
            return LOST
        match call:
            case Look(path):
                return self._look(path)
            case StartFile(path):
                return self._start(path)
            case ProveServer(path):
                return ServerProof(same=self.kept == (path, self.process))
            case ConnectPrinter():
                if self.activity in (Activity.DISCONNECTED, Activity.ERROR):
                    self.activity = Activity.OPERATIONAL
            case PauseFile():
                if self.activity is Activity.PRINTING:
                    self.activity = Activity.PAUSED
            case ResumeFile():
                self.resume()
            case CancelFile():
                return self.cancel()
            case DeleteFile(path):
                self.histories.pop(path, None)
            case TakeStock():
                return Stock(tuple(map(self._facts, self.histories)), free_bytes=SIZE)
            case _:
                assert_never(call)
        return None

    def store(self, path: str) -> None:
        """The end of a transfer, with the evidence that it leaves behind."""
        self.histories[path] = []
        self.keep_session(path)
        if self.activity is Activity.OPERATIONAL:
            self.selected, self.filepos = path, 0

    def keep_session(self, path: str) -> None:
        """What the printer's process does before it asks for a start."""
        if self.up and not self.hung:
            self.kept = (path, self.process)

    def _facts(self, path: str) -> FileFacts:
        """Every file is so old that it may be removed, as far as its age goes."""
        history = self.histories[path]
        return FileFacts(
            path=path,
            size=SIZE,
            sha1=SHA1,
            uploaded_at=0.0,
            successes=history.count(True),
            failures=history.count(False),
            last_success=history[-1] if history else None,
            last_print_time_s=1.0 if history and history[-1] else None,
        )

    def _look(self, path: str | None) -> Observation:
        facts = self._facts(path) if path in self.histories else None
        return Observation(
            activity=self.activity, path=self.selected, filepos=self.filepos, file=facts
        )

    def _start(self, path: str) -> CallFailed | None:
        if path not in self.histories:
            return MISSING
        if self.activity is not Activity.OPERATIONAL:
            return CONFLICT
        assert self.part is None, f"{path} is printed onto {self.part}"
        self.selected, self.filepos, self.part = path, 10, path
        self.activity = Activity.PRINTING
        self.starts[path] += 1
        assert self.starts[path] == 1, f"{path} was started twice"
        return None

    # -- what happens at the machine ---------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Any print is under way."""
        return self.activity in (Activity.PRINTING, Activity.PAUSED)

    @property
    def rests(self) -> bool:
        """A part is complete, and nothing moves."""
        return self.activity is Activity.PAUSED and self.filepos >= MARKER

    def advance(self) -> None:
        """The print comes to its end marker, or from there to its end."""
        assert self.selected is not None
        if self.selected == FOREIGN:
            self._end(success=True)
        elif self.filepos < MARKER:
            self.filepos = MARKER
            self.activity = Activity.PAUSED
            self.complete.add(self.selected)
        else:
            if self.ejects:
                self.part = None
            self._end(success=True)

    def resume(self) -> None:
        """By a button or a request."""
        if self.activity is Activity.PAUSED:
            self.activity = Activity.PRINTING

    def cancel(self) -> CallFailed | None:
        """By a button or a request."""
        if not self.is_active:
            return CONFLICT
        self._end(success=False)
        return None

    def _end(self, *, success: bool) -> None:
        if self.selected is not None and self.selected in self.histories:
            self.histories[self.selected].append(success)
        if self.selected == FOREIGN:
            self.part = None
        self.activity = Activity.OPERATIONAL

    def lose_connection(self, activity: Activity) -> None:
        """The serial connection breaks; of a paused print nothing is recorded then."""
        if self.activity is Activity.PRINTING:
            self._end(success=False)
        elif self.selected == FOREIGN:
            self.part = None
        self.activity, self.selected = activity, None

    def start_foreign(self) -> None:
        """Somebody prints something of his own, and takes it with him when it ends."""
        self.selected, self.filepos, self.part = FOREIGN, 10, FOREIGN
        self.activity = Activity.PRINTING

    def kill(self) -> None:
        """The server dies, and forgets what it was doing."""
        if self.selected == FOREIGN and self.is_active:
            self.part = None
        self.up = self.hung = False
        self.backlog.clear()
        self.selected = None
        self.activity = Activity.DISCONNECTED

    def boot(self) -> None:
        """Another server process."""
        self.up = True
        self.process += 1

    def thaw(self) -> None:
        """A hung server goes on, first with what it has taken already."""
        self.hung = False
        backlog, self.backlog = self.backlog, []
        for call in backlog:
            if not isinstance(call, Look | ProveServer):
                self.serve(call)


@dataclass
class Book:
    """The coordinator's database, as far as one printer goes."""

    autostart: bool
    bed: Bed = Bed.CLEAR
    reported: PrinterState = PrinterState.STARTING
    attempt: Copy | None = None
    path: str = ""
    #: The live attempt's part is to be ejected.
    ejecting: bool = False
    file: bus.TransferFinished | None = None
    statuses: dict[int, PrintStatus] = field(default_factory=dict)
    attempts: int = 0
    #: Prints that somebody has asked to be cancelled.
    unwanted: set[int] = field(default_factory=set)
    #: Paths by print, of the attempts that ended as finished.
    finished: dict[int, str] = field(default_factory=dict)

    def add_print(self) -> None:
        """A paid copy."""
        self.statuses[len(self.statuses) + 1] = PrintStatus.PENDING

    @property
    def live(self) -> Copy | None:
        """The attempt that is not over."""
        return self.attempt if self.attempt and self.attempt.state in LIVE_STATES else None

    def claim(self) -> bus.StartPrint | None:
        """Give the next copy to the printer, if it can take one."""
        waiting = [p for p, status in self.statuses.items() if status is PrintStatus.PENDING]
        free = self.reported is PrinterState.IDLE and self.bed is Bed.CLEAR
        if self.live is not None or not free or not waiting:
            return None
        self.attempts += 1
        self.path, self.file = remote_path(1, waiting[0], self.attempts), None
        self.ejecting = False
        self.attempt = Copy(
            attempt_id=self.attempts,
            state=AttemptState.CLAIMED,
            print_id=waiting[0],
            job_id=1,
            printer_id=1,
            print_status=PrintStatus.PENDING,
            job_status=JobStatus.PRINTING,
            paid=True,
            reprints_left=1,
            consecutive_failures=0,
        )
        return self.order()

    def order(self) -> bus.StartPrint:
        """The command that hands the live attempt to the printer's process."""
        assert self.attempt is not None
        return bus.StartPrint(
            attempt_id=self.attempt.attempt_id,
            print_id=self.attempt.print_id,
            job_id=1,
            believed=self.attempt.state,
            remote_path=self.path,
            size=self.file.size if self.file else None,
            sha1=self.file.sha1 if self.file else None,
            finish_marker=self.file.finish_marker if self.file else None,
        )

    def brief(self) -> list[Command]:
        """What a new process is told."""
        if self.live is None:
            return []
        commands: list[Command] = [self.order()]
        if self.live.cancel_requested:
            commands.append(bus.CancelPrint(attempt_id=self.live.attempt_id))
        if self.ejecting or self.live.clear_requested:
            commands.append(self._clear_bed())
        return commands

    # -- reports --------------------------------------------------------------------

    def record(self, event: Event) -> bool:
        """Write a report; False: what it asks for is not granted."""
        if isinstance(event, bus.PrinterStateChanged):
            self._record_state(event)
            return True
        attempt_id = getattr(event, "attempt_id", None)
        copy = self.attempt
        if copy is None or copy.attempt_id != attempt_id:
            return False
        copy = replace(copy, bed=self.bed)
        self._write(copy, _effects(copy, event))
        if isinstance(event, bus.TransferFinished) and event.problem is None:
            self.path, self.file = event.remote_path, event
        return not isinstance(event, bus.PrintStarting) or printing.may_start(copy)

    def _record_state(self, event: bus.PrinterStateChanged) -> None:
        self.reported = event.state
        if event.state is PrinterState.BUSY:
            self.bed = Bed.OCCUPIED
        if event.state is PrinterState.TRANSFERRING and self.live is not None:
            self._write(self.live, printing.transferring(self.live))

    def _write(self, copy: Copy, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case printing.MoveAttempt(state):
                    copy = replace(copy, state=state)
                    if state is AttemptState.FINISHED:
                        self.finished[copy.print_id] = self.path
                case printing.OccupyBed():
                    self.bed = Bed.OCCUPIED
                case printing.FreeBed():
                    self.bed = Bed.CLEAR
                case printing.SetPrint(status):
                    self.statuses[copy.print_id] = status
                    copy = replace(copy, print_status=status)
                case printing.InsertReplacement():
                    self.add_print()
                case _:
                    pass
        self.attempt = copy

    # -- people -----------------------------------------------------------------------

    @property
    def can_be_cleared(self) -> bool:
        """What `pms-coordinator clear` would accept."""
        if self.live is None:
            return self.reported is not PrinterState.BUSY
        in_doubt = self.reported is PrinterState.ERROR
        return self.live.state is AttemptState.FINISHED or (
            in_doubt and self.live.state in RUNNING_STATES
        )

    def clear(self) -> Command | None:
        """A person says that the bed is empty."""
        if self.live is None:
            self.bed = Bed.CLEAR
            return None
        if self.live.state in (AttemptState.STARTING, AttemptState.FINISHED):
            self.attempt = replace(self.live, clear_requested=True)
        return bus.ClearBed(attempt_id=self.live.attempt_id, by_person=True)

    def eject(self) -> Command | None:
        """The printer is to take the part off by itself."""
        self.ejecting = self.live is not None
        return self._clear_bed() if self.ejecting else None

    def _clear_bed(self) -> bus.ClearBed:
        assert self.attempt is not None
        return bus.ClearBed(
            attempt_id=self.attempt.attempt_id, by_person=self.attempt.clear_requested
        )

    def cancel(self) -> Command | None:
        """A person cancels the copy that the printer has."""
        if self.live is None or self.live.state is AttemptState.FINISHED:
            return None
        self.unwanted.add(self.live.print_id)
        self.attempt = replace(self.live, cancel_requested=True)
        return bus.CancelPrint(attempt_id=self.attempt.attempt_id)


def _effects(copy: Copy, event: Event) -> list[Effect]:
    match event:
        case bus.TransferFinished(problem=None):
            return printing.staged(copy)
        case bus.TransferFinished(problem=problem, detail=detail):
            assert problem is not None
            return printing.transfer_failed(copy, problem, detail, AT)
        case bus.PrintStarting():
            return printing.starting(copy)
        case bus.PrintStarted():
            return printing.started(copy)
        case bus.PrintPaused():
            return printing.paused(copy)
        case bus.PrintResumed():
            return printing.resumed(copy)
        case bus.PrintFinished():
            return printing.finished(copy, AT)
        case bus.PrintCleared():
            return printing.cleared(copy)
        case bus.PrintFailed(reason=reason, bed_is_empty=empty):
            return printing.failed(copy, reason, AT, printer_failures=99, bed_is_empty=empty)
        case bus.PrintCancelled(may_have_started=may_have_started):
            return printing.cancelled(copy, AT, may_have_started=may_have_started)
        case bus.CommandRefused(returned=True, reason=reason):
            return printing.given_back(copy, reason, AT)
        case _:
            return []
