"""The decisions of one printer's process: stimuli in, actions out.

No socket, session, clock or logger lives here; `workers.loop` carries the actions out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

from pms.bus import messages as bus
from pms.bus.messages import Command, Event
from pms.domain.observation import ACTIVE, Activity, Observation
from pms.domain.reconciliation import is_ours
from pms.domain.states import UNSTARTED_STATES, AttemptState, PrinterState
from workers.contact import Contact
from workers.push import PushChanged, PushClosed, PushOpened, PushSnapshot, PushStimulus
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
    Exit,
    Look,
    MakeCall,
    Moment,
    StartFile,
    Tell,
    TransferOutcome,
)
from workers.task import Task

#: How long a copy that has not started waits for a printer that is out of reach.
LOST_PATIENCE_S = 15.0
#: How soon a verdict that is not certain is looked at again.
DOUBT_LOOK_S = 0.25
#: How soon the effect of a request to OctoPrint is looked for again.
UNSETTLED_LOOK_S = 0.5
#: Telemetry of one kind is sent at most this often.
TELEMETRY_INTERVAL_S = 1.0


class Printer:
    """One printer, its OctoPrint and the attempt on it, as this process sees them."""

    def __init__(
        self, *, enabled: bool, poll_interval_s: float, random: Callable[[], float]
    ) -> None:
        self._enabled = enabled
        self._contact = Contact(poll_interval_s, random)
        self._task: Task | None = None
        self._ended_attempts: set[int] = set()
        self._briefed = False
        self._call: Call | None = None
        #: A look at the current attempt from which no conclusion has been drawn yet.
        self._fresh: Observation | None = None
        self._removable: list[str] = []
        self._reported: tuple[PrinterState, str, int | None, bool] | None = None
        self._told_at: dict[type[object], float] = {}
        self._told: dict[type[object], object] = {}

    # -- stimuli ------------------------------------------------------------------

    def briefed(self, now: Moment) -> list[Action]:
        """The coordinator has said what it believes; from now on conclusions may be drawn."""
        self._briefed = True
        return self._settle([], now)

    def command(self, command: Command, now: Moment) -> list[Action]:
        """The coordinator wants something."""
        if isinstance(command, bus.Stop):
            return [Exit()]
        if isinstance(command, bus.Reconnect):
            self._contact.look_now()
            return self._settle([], now)
        if isinstance(command, bus.StartPrint):
            return self._settle(self._take(command, now), now)
        if self._task is None or self._task.attempt_id != command.attempt_id:
            # It has ended meanwhile, and that is on its way to the coordinator.
            return []
        self._contact.want_look(now.monotonic)
        return self._settle(self._steer(self._task, command, now), now)

    def _take(self, order: bus.StartPrint, now: Moment) -> list[Event]:
        if order.attempt_id in self._ended_attempts:
            return []
        if self._task is None:
            self._task = Task(order)
            self._fresh = None
            self._contact.want_look(now.monotonic)
            return []
        if self._task.attempt_id == order.attempt_id:
            return []
        reason = f"the printer works on attempt {self._task.attempt_id}"
        refusal = bus.CommandRefused(
            at=now.utc,
            command="StartPrint",
            attempt_id=order.attempt_id,
            reason=reason,
            returned=order.believed in UNSTARTED_STATES,
        )
        return [refusal]

    @staticmethod
    def _steer(
        task: Task,
        command: bus.CancelPrint | bus.PausePrint | bus.ResumePrint | bus.ClearBed,
        now: Moment,
    ) -> Iterable[Event]:
        match command:
            case bus.CancelPrint():
                return task.cancel(now)
            case bus.PausePrint():
                return task.pause(now)
            case bus.ResumePrint():
                return task.resume(now)
            case bus.ClearBed():
                return task.clear(now)
            case _:
                assert_never(command)

    def start_granted(self, attempt_id: int, granted: bool, now: Moment) -> list[Action]:
        """The coordinator has answered `PrintStarting`."""
        if self._task is None or self._task.attempt_id != attempt_id:
            return []
        return self._settle(self._task.granted(granted, now), now)

    def call_ended(self, outcome: CallOutcome, now: Moment) -> list[Action]:
        """The call to OctoPrint that was under way has succeeded or failed."""
        call, self._call = self._call, None
        if isinstance(call, Look) and isinstance(outcome, Observation):
            return self._looked(call, outcome, now)
        if isinstance(call, Look) and isinstance(outcome, CallFailed):
            self._contact.failed(outcome, now.monotonic)
            return self._settle([], now)
        events: Iterable[Event] = ()
        if isinstance(call, StartFile) and self._task is not None:
            failure = outcome if isinstance(outcome, CallFailed) else None
            events = self._task.start_answered(failure, now)
        self._contact.want_look(now.monotonic)
        return self._settle(events, now)

    def _looked(self, look: Look, seen: Observation, now: Moment) -> list[Action]:
        self._contact.seen(seen, now.monotonic)
        task = self._task
        if task is None or look.path != task.path:
            return self._settle([], now)
        self._fresh = seen
        actions = self._progress(seen.path, seen.progress, seen.time_left_s, now.monotonic)
        return actions + self._settle([], now)

    def transfer_ended(self, outcome: TransferOutcome, now: Moment) -> list[Action]:
        """The file is on OctoPrint, or it could not be brought there."""
        if self._task is None or self._task.attempt_id != outcome.attempt_id:
            return []
        event = self._task.transferred(outcome, now)
        self._contact.want_look(now.monotonic)
        return self._settle([event], now)

    def transfer_moved(self, sent: int, total: int) -> list[Action]:
        """More of the file has been sent; sizes in bytes."""
        if self._task is None:
            return []
        attempt_id = self._task.attempt_id
        return [
            Tell(bus.TransferProgress(attempt_id=attempt_id, bytes_sent=sent, bytes_total=total))
        ]

    def push(self, stimulus: PushStimulus, now: Moment) -> list[Action]:
        """Something came over the push socket: a hint to look, never a fact."""
        telemetry: list[Action] = []
        match stimulus:
            case PushOpened():
                self._contact.push_opened(now.monotonic)
            case PushClosed():
                self._contact.push_closed(now.monotonic)
            case PushChanged():
                self._contact.push_heard(now.monotonic)
                self._contact.want_look(now.monotonic)
            case PushSnapshot():
                self._contact.push_heard(now.monotonic)
                telemetry = self._snapshot(stimulus, now)
            case _:
                assert_never(stimulus)
        return telemetry + self._settle([], now)

    def tick(self, now: Moment) -> list[Action]:
        """A deadline has passed."""
        return self._settle([], now)

    # -- conclusions ----------------------------------------------------------------

    def _settle(self, events: Iterable[Event], now: Moment) -> list[Action]:
        """Draw every conclusion, then report what changed and make the next call."""
        actions: list[Action] = [Emit(event) for event in events]
        if self._briefed:
            actions += [Emit(event) for event in self._observe(now)]
            actions += self._end_task()
            actions += self._transfer()
            actions += self._report_state(now)
        return actions + self._next_call(now)

    def _observe(self, now: Moment) -> Iterable[Event]:
        """Only a new look counts: time alone must not turn a doubt into a certainty."""
        task, contact = self._task, self._contact
        seen, self._fresh = self._fresh, None
        if task is None or task.ended:
            return
        if seen is not None and not task.transferring:
            yield from task.observe(seen, same_server=self._same_server(task), now=now)
            if task.doubt is not None:
                contact.want_look(now.monotonic + DOUBT_LOOK_S)
            elif task.unsettled:
                contact.want_look(now.monotonic + UNSETTLED_LOOK_S)
        if contact.lost_since is not None and not task.ended:
            yield from task.give_back_if_lost(contact.lost_since, now, LOST_PATIENCE_S)

    def _same_server(self, task: Task) -> bool:
        return self._contact.same_server_since(task.start_epoch, task.start_answered_at)

    def _end_task(self) -> list[Action]:
        task = self._task
        if task is None or not task.ended:
            return []
        self._ended_attempts.add(task.attempt_id)
        self._removable.append(task.path)
        self._task = None
        return [AbortTransfer(task.attempt_id)] if task.transferring else []

    def _transfer(self) -> list[Action]:
        task = self._task
        if task is None or not task.wants_transfer:
            return []
        task.transferring = True
        task.state = AttemptState.TRANSFERRING
        return [BeginTransfer(task.attempt_id, task.print_id, task.job_id, task.path)]

    # -- the printer's state ------------------------------------------------------------

    def _report_state(self, now: Moment) -> list[Action]:
        state, detail, attention = self._state()
        attempt_id = self._task.attempt_id if self._task is not None else None
        report = (state, detail, attempt_id, attention)
        if report == self._reported:
            return []
        self._reported = report
        event = bus.PrinterStateChanged(
            at=now.utc,
            state=state,
            detail=detail,
            attempt_id=attempt_id,
            needs_attention=attention,
        )
        return [Emit(event)]

    def _state(self) -> tuple[PrinterState, str, bool]:
        contact, task = self._contact, self._task
        if contact.trouble is not None:
            return contact.trouble.state, contact.trouble.detail, False
        if task is not None:
            return self._state_of_task(task)
        if contact.observation is None:
            return PrinterState.STARTING, "", False
        return _state_of_idle(contact.observation)

    @staticmethod
    def _state_of_task(task: Task) -> tuple[PrinterState, str, bool]:
        if task.question is not None:
            return PrinterState.ERROR, task.question, True
        match task.state:
            case AttemptState.PRINTING:
                return PrinterState.PRINTING, "cancelling" if task.cancelling else "", False
            case AttemptState.PAUSED:
                return PrinterState.PAUSED, "cancelling" if task.cancelling else "", False
            case AttemptState.FINISHED:
                return PrinterState.FINISHED, "clearing" if task.clearing else "", False
            case _:
                return PrinterState.TRANSFERRING, "", False

    # -- calls ------------------------------------------------------------------------------

    def _next_call(self, now: Moment) -> list[Action]:
        if self._call is not None:
            return []
        self._call = self._choose_call(now.monotonic)
        return [] if self._call is None else [MakeCall(self._call)]

    def _choose_call(self, now: float) -> Call | None:
        contact, task = self._contact, self._task
        if task is not None and contact.trouble is None:
            call = task.next_call(contact.observation, now, same_server=self._same_server(task))
            if call is not None:
                self._note_sent(task, call, now)
                return call
        if self._may_connect(now):
            contact.connect_sent(now)
            return ConnectPrinter()
        if contact.look_is_due(now):
            contact.look_sent()
            # OctoPrint answers 500 about a file that it is just storing.
            return Look(task.path if task is not None and not task.transferring else None)
        return self._removal()

    def _note_sent(self, task: Task, call: Call, now: float) -> None:
        if isinstance(call, StartFile):
            task.start_sent(self._contact.server_epoch if self._contact.push_open else None)
        else:
            task.control_sent(now)

    def _may_connect(self, now: float) -> bool:
        """A broken connection is evidence while the attempt's outcome is open."""
        undecided = self._task is not None and self._task.doubt is not None
        allowed = self._enabled and self._briefed and not undecided
        return allowed and self._contact.connect_is_due(now)

    def _removal(self) -> Call | None:
        seen = self._contact.observation
        if seen is None or seen.activity is not Activity.OPERATIONAL:
            return None
        path = next((path for path in self._removable if path != seen.path), None)
        if path is None:
            return None
        self._removable.remove(path)
        return DeleteFile(path)

    def next_deadline(self) -> float:
        """When `tick` should be called at the latest, monotonic seconds."""
        if self._call is not None:
            return float("inf")
        connect_at = self._contact.next_connect_at
        if self._may_connect(connect_at):
            return min(self._contact.next_look_at, connect_at)
        return self._contact.next_look_at

    # -- telemetry -----------------------------------------------------------------------------

    def _snapshot(self, snapshot: PushSnapshot, now: Moment) -> list[Action]:
        actions = self._progress(
            snapshot.path, snapshot.progress, snapshot.time_left_s, now.monotonic
        )
        if snapshot.heaters:
            actions += self._tell(bus.Temperatures(heaters=snapshot.heaters), now.monotonic)
        self._notice_disagreement(snapshot, now.monotonic)
        return actions

    def _progress(
        self, path: str | None, progress: float | None, time_left_s: float | None, now: float
    ) -> list[Action]:
        task = self._task
        if task is None or path != task.path or progress is None:
            return []
        message = bus.Progress(
            attempt_id=task.attempt_id, progress=progress, time_left_s=time_left_s
        )
        return self._tell(message, now)

    def _tell(self, message: bus.Progress | bus.Temperatures, now: float) -> list[Action]:
        kind = type(message)
        recently = now - self._told_at.get(kind, float("-inf")) < TELEMETRY_INTERVAL_S
        if recently or self._told.get(kind) == message:
            return []
        self._told_at[kind], self._told[kind] = now, message
        return [Tell(message)]

    def _notice_disagreement(self, snapshot: PushSnapshot, now: float) -> None:
        """Push shows another state than the last look: an event was missed."""
        seen = self._contact.observation
        if seen is None:
            return
        active = snapshot.printing or snapshot.paused
        if active != (seen.activity in ACTIVE) or (active and snapshot.path != seen.path):
            self._contact.want_look(now)


def _state_of_idle(seen: Observation) -> tuple[PrinterState, str, bool]:
    match seen.activity:
        case Activity.OPERATIONAL:
            return PrinterState.IDLE, "", False
        case Activity.DISCONNECTED | Activity.CONNECTING:
            return PrinterState.DISCONNECTED, seen.error or seen.state_text, False
        case Activity.ERROR:
            return PrinterState.ERROR, seen.error or seen.state_text, False
        case _ if is_ours(seen.path):
            detail = f"{seen.path} is being printed although it had ended: look at the printer"
            return PrinterState.BUSY, detail, True
        case _:
            return PrinterState.BUSY, f"prints {seen.path or 'something'}, not for PMS", False
