"""The decisions of one printer's process: stimuli in, actions out.

No socket, session, clock or logger lives here; `workers.loop` carries the actions out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from pms.bus import messages as bus
from pms.bus.messages import Command, Event
from pms.domain.observation import ACTIVE, Activity, Observation
from pms.domain.states import RUNNING_STATES, UNSTARTED_STATES, AttemptState
from workers.condition import Condition, condition
from workers.contact import Contact
from workers.housekeeping import Housekeeping
from workers.push_frames import (
    SELECTIONS,
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
    Emit,
    Exit,
    Look,
    MakeCall,
    Moment,
    Stock,
    Tell,
    TransferOutcome,
    WakePush,
)
from workers.task import Task
from workers.telemetry import Thinning

#: How long a copy that has not started waits for a printer that is out of reach.
LOST_PATIENCE_S = 15.0
#: How soon the effect of a request to OctoPrint is looked for again.
UNSETTLED_LOOK_S = 0.5


class Printer:
    """One printer, its OctoPrint and the attempt on it, as this process sees them."""

    def __init__(
        self,
        *,
        enabled: bool,
        poll_interval_s: float,
        file_retention_s: float,
        random: Callable[[], float],
    ) -> None:
        self._enabled = enabled
        self._contact = Contact(poll_interval_s, random)
        self._housekeeping = Housekeeping(file_retention_s)
        self._task: Task | None = None
        self._ended_attempts: set[int] = set()
        self._briefed = False
        self._call: Call | None = None
        #: A look at the current attempt from which no conclusion has been drawn yet.
        self._fresh: Observation | None = None
        #: More of the file has arrived at OctoPrint since the last conclusions.
        self._transfer_moved = False
        self._reported: tuple[Condition, int | None] | None = None
        self._thinning = Thinning()

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
            if not self._may_begin_unseen(order):
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

    def _may_begin_unseen(self, order: bus.StartPrint) -> bool:
        """The look after the transfer will do: push would tell of a change before that."""
        is_new = order.believed is AttemptState.CLAIMED
        return is_new and self._contact.push_open and self._contact.trouble is None

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
            case bus.ClearBed(by_person=by_person):
                return task.clear(now, by_person=by_person)
            case _:
                assert_never(command)

    def start_granted(self, attempt_id: int, granted: bool, now: Moment) -> list[Action]:
        """The coordinator has answered `PrintStarting`."""
        if self._task is None or self._task.attempt_id != attempt_id:
            return []
        return self._settle(self._task.granted(granted, now), now)

    def recorded(self, event: Event) -> None:
        """The coordinator has recorded an event."""
        self._housekeeping.recorded(event)

    def call_ended(self, outcome: CallOutcome, now: Moment) -> list[Action]:
        """The call to OctoPrint that was under way has succeeded or failed."""
        call, self._call = self._call, None
        failure = outcome if isinstance(outcome, CallFailed) else None
        if isinstance(call, Look) and isinstance(outcome, Observation):
            return self._looked(call, outcome, now)
        if isinstance(call, Look) and failure is not None:
            self._contact.failed(failure, now.monotonic)
            if self._task is not None:
                self._task.doubt.settle()
            return self._settle([], now)
        self._contact.want_look(now.monotonic)
        if failure is None:
            self._contact.another_call_succeeded(now.monotonic)
        if isinstance(outcome, Stock):
            self._housekeeping.took_stock(outcome, now)
        events: Iterable[Event] = ()
        if call is not None and self._task is not None:
            events = self._task.call_ended(call, outcome, now)
        return self._settle(events, now)

    def _looked(self, look: Look, seen: Observation, now: Moment) -> list[Action]:
        woken: list[Action] = [WakePush()] if self._contact.trouble is not None else []
        self._contact.seen(seen, now.monotonic)
        task = self._task
        # What was seen before the attempt, or before its file was there, says nothing about it.
        if task is not None and look.path == self._path_to_ask_about(task):
            self._fresh = seen
        telemetry = self._progress(seen.path, seen.progress, seen.time_left_s, now.monotonic)
        return [*woken, *telemetry, *self._settle([], now)]

    @staticmethod
    def _path_to_ask_about(task: Task) -> str | None:
        # OctoPrint answers 500 about a file that it is just storing.
        return None if task.transferring else task.path

    def transfer_ended(self, outcome: TransferOutcome, now: Moment) -> list[Action]:
        """The file is on OctoPrint, or it could not be brought there."""
        if self._task is None or self._task.attempt_id != outcome.attempt_id:
            return []
        event = self._task.transferred(outcome, now)
        self._housekeeping.transferred(outcome, now.monotonic)
        self._contact.want_look(now.monotonic)
        return self._settle([event], now)

    def gcode_fetched(self, received: int) -> list[Action]:
        """So many bytes of the file are here; that says nothing about OctoPrint."""
        return self._tell_transfer(sent=0, total=0, fetched=received)

    def transfer_moved(self, sent: int, total: int) -> list[Action]:
        """More of the file has been sent; sizes in bytes."""
        told = self._tell_transfer(sent=sent, total=total)
        self._transfer_moved = self._transfer_moved or bool(told)
        return told

    def _tell_transfer(self, *, sent: int, total: int, fetched: int = 0) -> list[Action]:
        task = self._task
        if task is None or not task.transferring:
            return []
        progress = bus.TransferProgress(
            attempt_id=task.attempt_id, bytes_sent=sent, bytes_total=total, bytes_fetched=fetched
        )
        return [Tell(progress)]

    def push(self, stimulus: PushStimulus, now: Moment) -> list[Action]:
        """Something came over the push socket: a hint to look, never a fact."""
        telemetry: list[Tell] = []
        match stimulus:
            case PushOpened():
                self._contact.push_opened()
            case PushClosed():
                self._contact.push_closed(now.monotonic)
            case PushSilent(address=address):
                self._contact.suspect(address, now.monotonic)
            case PushChanged(kind=kind):
                if not self._is_own_selection(kind):
                    self._contact.want_look(now.monotonic)
                self._suspect_start(kind == "PrintStarted")
            case PushSnapshot():
                telemetry = self._snapshot(stimulus, now)
            case _:
                assert_never(stimulus)
        return [*telemetry, *self._settle([], now)]

    def _is_own_selection(self, kind: str) -> bool:
        """A transfer ends with the selection of its file; the look after it is the one to make."""
        return kind in SELECTIONS and self._task is not None and self._task.is_unstarted

    def tick(self, now: Moment) -> list[Action]:
        """A deadline has passed."""
        self._contact.miss_answer(now.monotonic)
        return self._settle([], now)

    # -- conclusions ----------------------------------------------------------------

    def _settle(self, events: Iterable[Event], now: Moment) -> list[Action]:
        """Draw every conclusion, then report what changed and make the next call."""
        actions: list[Action] = [Emit(event) for event in events]
        seen: Observation | None = None
        if self._briefed:
            # Only a new look counts: time alone must not turn a doubt into a certainty.
            seen, self._fresh = self._fresh, None
            actions += [Emit(event) for event in self._observe(seen, now)]
            actions += self._end_task()
            actions += self._transfer()
            actions += self._report_condition(now)
        return actions + self._next_call(seen, now)

    def _observe(self, seen: Observation | None, now: Moment) -> Iterator[Event]:
        task, contact = self._task, self._contact
        if task is None or task.ended:
            return
        if seen is not None:
            yield from task.observe(seen, now)
            if task.doubt.is_open:
                contact.want_look(task.doubt.look_again_at(now.monotonic))
            elif task.unsettled:
                contact.want_look(now.monotonic + UNSETTLED_LOOK_S)
        if self._transfer_moved and contact.lost_since is not None:
            contact.lost_since = now.monotonic
        self._transfer_moved = False
        if contact.lost_since is not None and not task.ended:
            yield from task.give_back_if_lost(contact.lost_since, now, LOST_PATIENCE_S)

    def _end_task(self) -> list[Action]:
        task = self._task
        if task is None or task.end is None:
            return []
        self._ended_attempts.add(task.attempt_id)
        self._housekeeping.ended(task.end, task.path)
        self._task = None
        return [AbortTransfer(task.attempt_id)] if task.transferring else []

    def _transfer(self) -> list[Action]:
        task = self._task
        if task is None or not task.wants_transfer:
            return []
        is_new = task.state is AttemptState.CLAIMED
        task.begin_transfer()
        return [
            BeginTransfer(
                task.attempt_id, task.print_id, task.job_id, task.path, task.job_sha1, is_new
            )
        ]

    def _report_condition(self, now: Moment) -> list[Action]:
        attempt_id = self._task.attempt_id if self._task is not None else None
        present = condition(self._contact, self._task, self._housekeeping.shortage)
        if (present, attempt_id) == self._reported:
            return []
        self._reported = (present, attempt_id)
        event = bus.PrinterStateChanged(
            at=now.utc,
            state=present.state,
            detail=present.detail,
            attempt_id=attempt_id,
            needs_attention=present.needs_attention,
        )
        return [Emit(event)]

    # -- calls ------------------------------------------------------------------------------

    def _next_call(self, seen: Observation | None, now: Moment) -> list[Action]:
        if self._call is not None:
            return []
        self._call = self._choose_call(seen, now.monotonic)
        return [] if self._call is None else [MakeCall(self._call)]

    def _choose_call(self, seen: Observation | None, now: float) -> Call | None:
        contact, task = self._contact, self._task
        if task is not None and contact.trouble is None:
            call = task.next_call(seen, now)
            if call is not None:
                task.call_sent(call, now)
                return call
        if self._may_connect(now):
            contact.connect_sent(now)
            return ConnectPrinter()
        if contact.look_is_due(now):
            contact.look_sent()
            return Look(None if task is None else self._path_to_ask_about(task))
        seen_last = self._seen_at_leisure()
        if seen_last is None:
            return None
        return self._housekeeping.next_call(seen_last, None if task is None else task.path, now)

    def _may_connect(self, now: float) -> bool:
        """A broken connection is evidence while the attempt's outcome is open."""
        task = self._task
        undecided = task is not None and (task.state in RUNNING_STATES or task.doubt.is_open)
        allowed = self._enabled and self._briefed and not undecided
        return allowed and self._contact.connect_is_due(now)

    def _seen_at_leisure(self) -> Observation | None:
        """What OctoPrint showed last, if there is nothing to be settled first."""
        settled = self._briefed and self._contact.trouble is None
        begins = self._task is not None and self._task.is_about_to_start
        return self._contact.observation if settled and not begins else None

    def next_deadline(self) -> float:
        """When `tick` should be called at the latest, monotonic seconds."""
        lost_since, task = self._contact.lost_since, self._task
        # An answer may be overdue while the call is still under way.
        deadlines = [self._contact.answer_by]
        if self._call is None:
            deadlines.append(self._next_call_at())
        if self._briefed and lost_since is not None and task and task.is_unstarted:
            deadlines.append(lost_since + LOST_PATIENCE_S)
        return min(deadlines)

    def _next_call_at(self) -> float:
        contact, task = self._contact, self._task
        deadlines = [contact.next_look_at]
        if self._may_connect(contact.next_connect_at):
            deadlines.append(contact.next_connect_at)
        seen = self._seen_at_leisure()
        if seen is not None:
            deadlines.append(self._housekeeping.next_stock_at(seen, task.path if task else None))
        return min(deadlines)

    # -- push and telemetry ------------------------------------------------------------------

    def _snapshot(self, snapshot: PushSnapshot, now: Moment) -> list[Tell]:
        told = self._progress(snapshot.path, snapshot.progress, snapshot.time_left_s, now.monotonic)
        if snapshot.heaters:
            told += self._thinning.tell(bus.Temperatures(heaters=snapshot.heaters), now.monotonic)
        if snapshot.server_time is not None:
            self._housekeeping.heard_clock(snapshot.server_time, now.monotonic)
        self._notice_disagreement(snapshot, now.monotonic)
        return told

    def _progress(
        self, path: str | None, progress: float | None, time_left_s: float | None, now: float
    ) -> list[Tell]:
        task = self._task
        if task is None or path != task.path or progress is None:
            return []
        message = bus.Progress(
            attempt_id=task.attempt_id, progress=progress, time_left_s=time_left_s
        )
        return self._thinning.tell(message, now)

    def _notice_disagreement(self, snapshot: PushSnapshot, now: float) -> None:
        """Push shows another state than the last look: an event was missed."""
        active = snapshot.printing or snapshot.paused
        self._suspect_start(active)
        seen = self._contact.observation
        if seen is None:
            return
        paused = seen.activity is Activity.PAUSED
        differs = (snapshot.paused, active) != (paused, seen.activity in ACTIVE)
        if differs or (active and snapshot.path != seen.path):
            self._contact.want_look(now)

    def _suspect_start(self, something_prints: bool) -> None:
        """A print that push has shown may be ours, even if no look ever shows it."""
        if something_prints and self._task is not None:
            self._task.suspect_start()
