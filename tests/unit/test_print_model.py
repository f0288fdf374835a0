"""Any order of events: at most one start of each attempt, never onto a part, and no copy lost.

The real decisions of a printer's process and of the coordinator's book run against a model of the
machine, in which a part lies on the bed or does not. What must never be is asserted there.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pms.bus import messages as bus
from pms.bus.dealer import Granted
from pms.bus.messages import Command, Event
from pms.domain.observation import Activity
from pms.domain.states import AttemptState, Bed, PrintStatus, TransferProblem
from tests.support.print_model import (
    AT,
    FOREIGN,
    LOST,
    MARKER,
    SHA1,
    SIZE,
    Book,
    Machine,
)
from workers.printer import Printer
from workers.push_frames import (
    PushChanged,
    PushClosed,
    PushOpened,
    PushSilent,
    PushSnapshot,
    PushStimulus,
)
from workers.steps import (
    AbortTransfer,
    Action,
    BeginTransfer,
    Call,
    CallFailed,
    CallOutcome,
    ConnectPrinter,
    DeleteFile,
    Emit,
    FailureKind,
    MakeCall,
    Moment,
    StartFile,
    TransferOutcome,
)

NOT_ASKED = CallFailed(kind=FailureKind.UNREACHABLE, text="no log-in", certainly_not_done=True)
#: What can become of a request, and of its answer.
FATES = ["fine", "fine", "fine", "lost before", "lost after", "hangs"]
DISTURBANCES = [
    "kill_worker",
    "open_push",
    "break_push",
    "silence_push",
    "push_change",
    "push_picture",
    "print_on",
    "press_pause",
    "press_resume",
    "press_cancel",
    "reset_printer",
    "lose_printer",
    "break_printer",
    "connect_printer",
    "kill_octoprint",
    "boot_octoprint",
    "thaw_octoprint",
    "print_by_hand",
    "clear",
    "cancel",
    "pause",
    "resume",
]


class Farm(RuleBasedStateMachine):
    """One printer, its process, the coordinator, an operator, and everything that can happen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.to_worker: deque[Command | Granted] = deque()
        self.to_book: deque[Event] = deque()
        self.call: Call | None = None
        #: The answer to the call, once OctoPrint has dealt with it.
        self.answer: tuple[CallOutcome] | None = None
        self.transfer: BeginTransfer | None = None
        self.push_open = False
        #: What becomes of the next request to start.
        self.fate_of_start = "fine"

    @initialize(autostart=st.booleans(), copies=st.integers(1, 3))
    def begin(self, autostart: bool, copies: int) -> None:
        self.machine = Machine(ejects=autostart)
        self.book = Book(autostart=autostart)
        for _ in range(copies):
            self.book.add_print()
        self.start_worker()

    # -- the printer's process ---------------------------------------------------------

    @property
    def moment(self) -> Moment:
        return Moment(self.now, AT + timedelta(seconds=self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Emit(event):
                    self.to_book.append(event)
                case MakeCall(call):
                    self.check_call(call)
                    self.call, self.answer = call, None
                case BeginTransfer():
                    self.transfer = action
                case AbortTransfer():
                    self.transfer = None
                case _:
                    pass
        if self.call is None:
            assert self.printer.next_deadline() > self.now, "a busy loop"

    def check_call(self, call: Call) -> None:
        assert self.call is None, "two calls at once"
        if isinstance(call, StartFile):
            attempt = self.book.live
            assert attempt is not None, "a start for nobody"
            assert attempt.state is AttemptState.STARTING, "a start without a grant"
            assert self.book.bed is Bed.OCCUPIED
        if isinstance(call, DeleteFile):
            assert self.book.live is None or call.path != self.book.path, "evidence is destroyed"

    def start_worker(self) -> None:
        self.printer = Printer(
            enabled=True, poll_interval_s=10.0, file_retention_s=86400.0, random=lambda: 0.5
        )
        self.do(self.printer.tick(self.moment))
        for command in self.book.brief():
            self.do(self.printer.command(command, self.moment))
        self.do(self.printer.briefed(self.moment))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.printer.tick(self.moment))

    # -- everything on its way, one at a time or all of it -------------------------------

    @precondition(lambda self: self.call is not None and self.answer is None)
    @rule(fate=st.sampled_from(FATES))
    def reach_octoprint(self, fate: str) -> None:
        call, machine = self.call, self.machine
        assert call is not None
        usable = machine.up and not machine.hung
        if isinstance(call, StartFile):
            self.fate_of_start = "fine"
            machine.keep_session(call.path)
            if machine.hung:
                self.answer = (NOT_ASKED,)
                return
        if usable and fate == "lost before":
            self.answer = (LOST,)
            return
        machine.hung = machine.hung or (usable and fate == "hangs")
        outcome = machine.serve(call)
        self.answer = (LOST if usable and fate == "lost after" else outcome,)

    @precondition(lambda self: self.answer is not None)
    @rule()
    def hear_answer(self) -> None:
        assert self.answer is not None
        (outcome,) = self.answer
        self.call = self.answer = None
        self.do(self.printer.call_ended(outcome, self.moment))

    @precondition(lambda self: self.transfer is not None)
    @rule(good=st.sampled_from([True, True, True, False]))
    def end_transfer(self, good: bool) -> None:
        request, self.transfer = self.transfer, None
        assert request is not None
        good = good and self.machine.up and not self.machine.hung
        outcome = TransferOutcome(
            attempt_id=request.attempt_id,
            remote_path=request.remote_path,
            size=SIZE,
            sha1=SHA1,
            finish_marker=MARKER,
            problem=None if good else TransferProblem.UPLOAD_FAILED,
        )
        if good:
            self.machine.store(request.remote_path)
        self.do(self.printer.transfer_ended(outcome, self.moment))

    @precondition(lambda self: self.to_book)
    @rule()
    def record_event(self) -> None:
        event = self.to_book.popleft()
        granted = self.book.record(event)
        self.to_worker.append(Granted(event=event, granted=granted))
        if isinstance(event, bus.PrintFinished) and self.book.autostart:
            self.send(self.book.eject())

    def send(self, command: Command | None) -> None:
        if command is not None:
            self.to_worker.append(command)

    @precondition(lambda self: self.to_worker)
    @rule()
    def hear_coordinator(self) -> None:
        item = self.to_worker.popleft()
        if not isinstance(item, Granted):
            self.do(self.printer.command(item, self.moment))
            return
        self.printer.recorded(item.event)
        if isinstance(item.event, bus.PrintStarting):
            attempt_id = item.event.attempt_id
            self.do(self.printer.start_granted(attempt_id, item.granted, self.moment))

    @rule(rounds=st.integers(1, 12), seconds=st.sampled_from([0.1, 0.6, 3.1]))
    def go_on(self, rounds: int, seconds: float) -> None:
        """Everything works for a while, apart from what is broken."""
        for _ in range(rounds):
            self.wait(seconds)
            self.deliver()
            self.send(self.book.claim())

    def deliver(self) -> None:
        if self.transfer is not None:
            self.end_transfer(good=True)
        if self.call is not None and self.answer is None:
            is_start = isinstance(self.call, StartFile)
            self.reach_octoprint(fate=self.fate_of_start if is_start else "fine")
        if self.answer is not None:
            self.hear_answer()
        while self.to_book:
            self.record_event()
        while self.to_worker:
            self.hear_coordinator()

    # -- what comes in between -----------------------------------------------------------

    @rule(what=st.sampled_from(DISTURBANCES), rounds=st.integers(0, 6))
    def disturb(self, what: str, rounds: int) -> None:
        """Nothing happens where it cannot."""
        getattr(self, what)()
        if rounds:
            self.go_on(rounds, 0.6)

    @rule(fate=st.sampled_from(FATES))
    def foreordain(self, fate: str) -> None:
        self.fate_of_start = fate

    def kill_worker(self) -> None:
        """What it has not told is lost with it, and what was on its way to it."""
        self.to_book.clear()
        self.to_worker.clear()
        self.call = self.answer = self.transfer = None
        self.push_open = False
        self.start_worker()

    def push(self, stimulus: PushStimulus) -> None:
        if self.push_open:
            self.do(self.printer.push(stimulus, self.moment))

    def open_push(self) -> None:
        if self.machine.up and not self.machine.hung:
            self.push_open = True
            self.push(PushOpened())

    def break_push(self) -> None:
        self.push(PushClosed(reason="gone"))
        self.push_open = False

    def silence_push(self) -> None:
        """Whether or not OctoPrint hangs."""
        self.push(PushSilent(address="http://printer"))

    def push_change(self) -> None:
        if self.machine.up and not self.machine.hung:
            self.push(PushChanged(kind="PrinterStateChanged"))

    def push_picture(self) -> None:
        activity = self.machine.activity
        picture = PushSnapshot(
            state_text=str(activity),
            printing=activity is Activity.PRINTING,
            paused=activity is Activity.PAUSED,
            operational=True,
            path=self.machine.selected,
        )
        if self.machine.up and not self.machine.hung:
            self.push(picture)

    def print_on(self) -> None:
        if self.machine.activity is Activity.PRINTING:
            self.machine.advance()

    def press_pause(self) -> None:
        """At OctoPrint; nobody pauses what only pushes the part off."""
        machine = self.machine
        if machine.activity is Activity.PRINTING and machine.filepos < MARKER:
            machine.activity = Activity.PAUSED

    def press_resume(self) -> None:
        """At OctoPrint; at the end marker he has taken the part off."""
        if self.machine.rests:
            self.machine.part = None
        self.machine.resume()

    def press_cancel(self) -> None:
        if self.machine.rests:
            self.machine.part = None
        if self.machine.rests or self.machine.filepos < MARKER:
            self.machine.cancel()

    def reset_printer(self) -> None:
        """Switched off and on: OctoPrint ends the print, and nobody has touched the part."""
        if self.machine.up and self.machine.selected != FOREIGN:
            self.machine.cancel()

    def lose_printer(self) -> None:
        if self.machine.up:
            self.machine.lose_connection(Activity.DISCONNECTED)

    def break_printer(self) -> None:
        if self.machine.up:
            self.machine.lose_connection(Activity.ERROR)

    def connect_printer(self) -> None:
        if self.machine.up and not self.machine.hung:
            self.machine.serve(ConnectPrinter())

    def kill_octoprint(self) -> None:
        self.machine.kill()
        self.break_push()

    def boot_octoprint(self) -> None:
        if not self.machine.up:
            self.machine.boot()

    def thaw_octoprint(self) -> None:
        self.machine.thaw()

    def print_by_hand(self) -> None:
        machine = self.machine
        if machine.up and machine.part is None and machine.activity is Activity.OPERATIONAL:
            machine.start_foreign()

    def clear(self) -> None:
        """Nobody takes a part away under a moving nozzle, or before it is done."""
        machine = self.machine
        if self.book.can_be_cleared and (machine.rests or not machine.is_active):
            machine.part = None
            self.send(self.book.clear())

    def cancel(self) -> None:
        self.send(self.book.cancel())

    def pause(self) -> None:
        if self.book.live is not None:
            self.send(bus.PausePrint(attempt_id=self.book.live.attempt_id))

    def resume(self) -> None:
        if self.book.live is not None:
            self.send(bus.ResumePrint(attempt_id=self.book.live.attempt_id))

    # -- what must never be ----------------------------------------------------------------

    @invariant()
    def the_bed_of_a_part_is_occupied(self) -> None:
        part = self.machine.part
        if part is not None and part.startswith("pms/"):
            assert self.book.bed is Bed.OCCUPIED, f"{part} lies on a bed that counts as clear"

    @invariant()
    def what_counts_as_printed_was_printed(self) -> None:
        for print_id, path in self.book.finished.items():
            assert self.book.statuses[print_id] is PrintStatus.COMPLETED
            assert path in self.machine.complete

    @invariant()
    def what_is_cancelled_was_to_be(self) -> None:
        for print_id, status in self.book.statuses.items():
            assert status is not PrintStatus.CANCELLED or print_id in self.book.unwanted

    # -- and in the end --------------------------------------------------------------------

    def teardown(self) -> None:
        """Left to itself and to an operator who clears beds, everything comes to its end."""
        if not hasattr(self, "book"):
            return
        for _ in range(600):
            if self.is_over():
                return
            self.heal()
            self.wait(0.5)
        raise AssertionError(f"waits for ever: {self.book.live}, {self.book.statuses}")

    def is_over(self) -> bool:
        waiting = PrintStatus.PENDING in self.book.statuses.values()
        return self.book.live is None and not waiting and not self.to_book

    def heal(self) -> None:
        machine = self.machine
        if not machine.up:
            machine.boot()
        if machine.hung:
            machine.thaw()
        self.deliver()
        self.print_on()
        if machine.activity is Activity.PAUSED and not machine.rests:
            machine.resume()
        if self.book.bed is Bed.OCCUPIED:
            self.clear()
        self.send(self.book.claim())
        self.the_bed_of_a_part_is_occupied()
        self.what_counts_as_printed_was_printed()


TestFarm = Farm.TestCase
# The same orders each time; a test that fails now and then helps nobody. More of them, and others:
# raise max_examples and take derandomize away.
TestFarm.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
