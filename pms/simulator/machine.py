"""The printer behind one OctoPrint: its states, in the order in which OctoPrint goes through them.

No I/O and no clock: every call is told the time, and `due` says when `tick` has to be called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pms.simulator import payloads
from pms.simulator.failures import (
    DROPPED,
    EMERGENCY_STOP,
    NOTHING,
    THERMAL_RUNAWAY,
    Failure,
    firmware_error,
)
from pms.simulator.files import Outcome, StoredFile
from pms.simulator.gcode import BLOCKED, Stop
from pms.simulator.heaters import Heaters
from pms.simulator.payloads import Payload
from pms.simulator.records import Records
from pms.simulator.run import Run
from pms.simulator.states import State

PORT = "VIRTUAL"
BAUD_RATE = 115200

#: How long OctoPrint is in each of these states. A command that the printer is busy with ends
#: before it is paused, and before the print is cancelled.
CONNECTING_S = 0.03
PAUSING_S = 0.1
CANCELLING_S = 0.02
FINISHING_S = 0.01

#: `type` and `payload` of an event.
Emit = Callable[[str, Payload | None], None]


@dataclass(slots=True)
class Setup:
    """What can be chosen of a printer."""

    #: Bytes of G-code a second; dwells and heating come on top.
    speed: float = 60_000.0
    #: Degrees a second.
    heating: float = 100.0


class Machine:
    """One printer. Calls that do not fit its state do nothing, as in OctoPrint."""

    def __init__(self, emit: Emit, setup: Setup) -> None:
        self.state = State.OFFLINE
        #: OctoPrint's text for the state; the details are in `failure`.
        self.error = ""
        self.failure = NOTHING
        self.selected: StoredFile | None = None
        self.job_user: str | None = None
        #: Whether anything has been said about a job since the server was started.
        self.knows_jobs = False
        self.run: Run | None = None
        #: The print time of a print that is done, until something else is selected or started.
        self.done_s: float | None = None
        self.connected_at = 0.0
        self.heaters = Heaters()
        self.records = Records()
        #: Asked at each start for the fraction of the file at which the print breaks off.
        self.breaks: Callable[[], float | None] = lambda: None
        self._emit = emit
        self._setup = setup
        self._step: tuple[float, Callable[[float], None]] | None = None

    # -- time ---------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When `tick` has to be called, as Unix time."""
        return None if self._step is None else self._step[0]

    def tick(self, now: float) -> None:
        """Do what is due."""
        while self._step is not None and self._step[0] <= now:
            (_, go), self._step = self._step, None
            go(now)

    def _then(self, at: float, go: Callable[[float], None]) -> None:
        self._step = (at, go)

    # -- the connection -----------------------------------------------------------

    def connect(self, now: float) -> None:
        """Open the connection; it is there a moment later."""
        if not self.state.is_closed:
            return
        self.failure, self.error = NOTHING, ""
        self._emit("Connecting", None)
        self._enter(State.OPEN_SERIAL)
        self._then(now + CONNECTING_S, self._connected)

    def _connected(self, now: float) -> None:
        self.connected_at = now
        self._enter(State.CONNECTING)
        self._enter(State.OPERATIONAL)
        self._emit("Connected", {"port": PORT, "baudrate": BAUD_RATE})
        self._emit("UpdatedFiles", {"type": "printables"})

    def disconnect(self, now: float) -> None:
        """Close the connection; a print in progress fails."""
        if not self.state.is_closed:
            self._emit("Disconnecting", None)
            self._lose_connection(now, "")

    def drop(self, now: float) -> None:
        """Lose the connection, as when somebody pulls the plug."""
        if not self.state.is_closed:
            self._lose_connection(now, DROPPED)

    def fail(self, now: float, failure: Failure) -> None:
        """Halt with an error of the firmware."""
        if self.state.is_closed:
            return
        printing = self.state.is_printing
        self.failure = failure
        self._enter(State.ERROR)
        self._emit("Error", payloads.error(failure))
        self._emit("EStop", None)
        self._lose_connection(now, failure.error, printing=printing)

    def kill(self, now: float) -> None:
        """Forget everything: the server was killed."""
        self.records.end("lost", now)
        self._forget_job()
        self.knows_jobs = False
        self.state, self.failure, self.error = State.OFFLINE, NOTHING, ""
        self._step = None

    def _lose_connection(self, now: float, error: str, *, printing: bool | None = None) -> None:
        run = self.run if printing or (printing is None and self.state.is_printing) else None
        self.records.end("failed", now)
        self._step = None
        self._emit("UpdatedFiles", {"type": "printables"})
        if self.selected is not None:
            self._emit("FileDeselected", None)
        self._forget_job()
        self._emit("Disconnected", None)
        self.state = State.CLOSED_WITH_ERROR if error else State.OFFLINE
        self.error = error
        self._emit("PrinterStateChanged", payloads.state(State.OFFLINE))
        # A print that is lost while it is paused leaves no trace.
        if run is not None:
            self._note_failure(run, now)
            position, time_s = run.position(now), run.time_s(now)
            self._emit("PrintFailed", payloads.failed(run, error, position, time_s))

    # -- the job ------------------------------------------------------------------

    def select(self, stored: StoredFile, user: str, now: float, *, start: bool = False) -> None:
        """Select a file, and print it."""
        if self.state is not State.OPERATIONAL:
            return
        self._forget_job()
        self.selected, self.job_user = stored, user
        # OctoPrint has not looked at the file yet.
        self._emit("FileSelected", payloads.job(stored, user, user) | {"size": None})
        if start:
            self.start(user, now)

    def unselect(self) -> None:
        """Select nothing."""
        if self.selected is not None and not self.state.is_busy:
            self._forget_job()
            self._emit("FileDeselected", None)

    def start(self, user: str, now: float) -> None:
        """Print the selected file from its beginning, also when it is paused."""
        stored = self.selected
        if stored is None or self.state not in (State.OPERATIONAL, State.PAUSED):
            return
        self.records.end("cancelled", now)
        self.failure, self.done_s, self.job_user = NOTHING, None, user
        fraction = self.breaks()
        breaks_at = None if fraction is None else int(stored.content.size * fraction)
        self.run = Run(stored, user, self._setup.speed, breaks_at)
        self.records.begin(stored.path, stored.content.sha1, now)
        self._enter(State.STARTING)
        self._emit("PrintStarted", payloads.job(stored, user, user))
        self._mark("Start", "print")
        self._then(now, self._started)

    def _started(self, now: float) -> None:
        self._enter(State.PRINTING)
        self._go(now)

    def _go(self, now: float, wait_s: float = 0.0) -> None:
        run = self._running
        run.go(now, wait_s)
        self._then(run.goal_at, self._arrive)

    def _arrive(self, now: float) -> None:
        run = self._running
        if (stop := run.next_stop) is not None:
            self._obey(stop, now)
        elif run.breaks_at is not None:
            self.fail(now, THERMAL_RUNAWAY)
        else:
            self._finish(now)

    def _obey(self, stop: Stop, now: float) -> None:
        self._running.offset = stop.offset
        if stop.pauses:
            self._pause(now, stop.offset, None)
            if stop.command in BLOCKED:
                self._emit("CommandSuppressed", payloads.suppressed(stop.command))
        else:
            self._go(now, self._heat(stop.command, stop.arguments, now))

    def hurry(self, now: float) -> None:
        """Take over another speed."""
        if self.run is None:
            return
        self.run.hurry(now, self._setup.speed)
        if self.run.moving_since is not None:
            self._then(self.run.goal_at, self._arrive)

    def pause(self, user: str, now: float) -> None:
        """Pause the print."""
        if self.state is State.PRINTING:
            run = self._running
            line_start = run.file.content.line_start(run.position(now))
            still = now + run.command_left_s(now)
            self._pause(still, max(run.offset, line_start), user)

    def _pause(self, still: float, offset: int, user: str | None) -> None:
        """Pause once the printer stands still."""
        self._running.stand(still, offset)
        self._enter(State.PAUSING)
        self._then(still + PAUSING_S, lambda _: self._paused(user))

    def _paused(self, user: str | None) -> None:
        self._emit("PrintPaused", payloads.paused(self._running, user))
        self._mark("Pause", "pause")
        self._emit("PositionUpdate", payloads.HOME | {"reason": "pause"})
        self._enter(State.PAUSED)

    def resume(self, user: str, now: float) -> None:
        """Go on with a paused print; OctoPrint ignores it while it is still pausing."""
        if self.state is not State.PAUSED:
            return
        run = self._running
        self._enter(State.RESUMING)
        self._emit("PrintResumed", payloads.job(run.file, run.user, user))
        self._mark("Resume", "resume")
        self._enter(State.PRINTING)
        self._go(now)

    def cancel(self, user: str, now: float) -> None:
        """End the print."""
        if not self.state.is_busy or self.state in (State.CANCELLING, State.FINISHING):
            return
        run = self._running
        still = now + run.command_left_s(now)
        run.stand(still, run.position(now))
        self._emit("PrintCancelling", payloads.job(run.file, run.user, user))
        self._enter(State.CANCELLING)
        self._then(still + CANCELLING_S, lambda at: self._cancelled(at, user))

    def _cancelled(self, now: float, user: str) -> None:
        run, self.run = self._running, None
        payload = payloads.cancelled(run, user, run.time_s(now))
        self._emit("PrintCancelled", payload)
        self._mark("Cancel", "cancel")
        self.records.end("cancelled", now)
        self._note_failure(run, now)
        self._emit("PrintFailed", payload | {"reason": "cancelled"})
        self._enter(State.OPERATIONAL)

    def _finish(self, now: float) -> None:
        run = self._running
        run.stand(now, run.file.content.size)
        self.done_s = run.counted_s
        self._enter(State.FINISHING)
        self._mark("Done", "done")
        self._emit("PrintDone", payloads.job(run.file, run.user) | {"time": self.done_s})
        self._then(now + FINISHING_S, self._finished)

    def _finished(self, now: float) -> None:
        run, self.run = self._running, None
        self.records.end("done", now)
        run.file.prints.add(Outcome(now, success=True, print_time_s=self.done_s))
        self._enter(State.OPERATIONAL)
        self._tell_history(run)

    # -- commands to the printer --------------------------------------------------

    def command(self, text: str, now: float) -> None:
        """Take a command as from OctoPrint's terminal; most have no effect.

        `!!DEBUG:` commands are those of OctoPrint's own virtual printer.
        """
        if text == "M112":
            self._emit("EStop", None)
            self._lose_connection(now, EMERGENCY_STOP)
        elif text == "!!DEBUG:trigger_fatal_error_marlin":
            self.fail(now, THERMAL_RUNAWAY)
        elif text == "!!DEBUG:drop_connection":
            self.drop(now)
        elif text.startswith("!!DEBUG:send Error:"):
            self.fail(now, firmware_error(text.removeprefix("!!DEBUG:send Error:")))
        else:
            command, _, arguments = text.partition(" ")
            self._heat(command, arguments, now)

    def _heat(self, command: str, arguments: str, now: float) -> float:
        return self.heaters.command(command, arguments, now, self._setup.heating)

    # -- what can be seen ---------------------------------------------------------

    def position(self, now: float) -> int | None:
        """The byte that the print has come to; None: there is none, or it is being cancelled."""
        if self.done_s is not None and self.selected is not None:
            return self.selected.content.size
        if self.run is None or self.state is State.CANCELLING:
            return None
        return self.run.position(now)

    def print_time_s(self, now: float) -> float | None:
        """How long the print has taken."""
        if self.done_s is not None:
            return self.done_s
        return None if self.run is None else self.run.time_s(now)

    # -- inside -------------------------------------------------------------------

    @property
    def _running(self) -> Run:
        assert self.run is not None
        return self.run

    def _enter(self, state: State) -> None:
        self.state = state
        self._emit("PrinterStateChanged", payloads.state(state))

    def _mark(self, label: str, kind: str) -> None:
        self._emit("ChartMarked", {"type": kind, "label": label})

    def _forget_job(self) -> None:
        self.selected = self.job_user = self.run = self.done_s = None
        self.knows_jobs = True

    def _note_failure(self, run: Run, now: float) -> None:
        run.file.prints.add(Outcome(now, success=False, print_time_s=None))
        self._tell_history(run)

    def _tell_history(self, run: Run) -> None:
        payload = {"storage": "local", "path": run.file.path}
        self._emit("MetadataStatisticsUpdated", payload)
