"""The printer behind one OctoPrint: its states, in the order in which OctoPrint goes through them.

No I/O and no clock: every call is told the time, and `due` says when `tick` has to be called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pms.simulator.files import Outcome, StoredFile
from pms.simulator.gcode import BLOCKED, Stop, number
from pms.simulator.heaters import Heater
from pms.simulator.run import Run
from pms.simulator.states import State

PORT = "VIRTUAL"
BAUD_RATE = 115200

#: How long OctoPrint is in each of these states.
CONNECTING_S = 0.03
PAUSING_S = 0.1
CANCELLING_S = 0.02
FINISHING_S = 0.01

DEFAULT_SPEED = 60_000.0

#: `type` and `payload` of an event.
Emit = Callable[[str, dict[str, Any] | None], None]


@dataclass(slots=True)
class Record:
    """A print as a person who stands at the machine would note it, whatever OctoPrint remembers."""

    path: str
    sha1: str
    started_at: float
    ended_at: float | None = None
    #: `printing`, `done`, `cancelled`, `failed`, or `lost`: its OctoPrint was killed.
    outcome: str = "printing"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with the printer."""

    error: str = ""
    reason: str = ""
    consequence: str = ""
    faq: str = ""


@dataclass(slots=True)
class Setup:
    """What can be chosen of a printer."""

    #: Bytes of G-code a second; dwells and heating come on top.
    speed: float = DEFAULT_SPEED
    #: Degrees a second.
    heating: float = 100.0


@dataclass(slots=True)
class _Step:
    at: float
    go: Callable[[float], None]


class Machine:
    """One printer. Calls that do not fit its state do nothing, as in OctoPrint."""

    def __init__(self, emit: Emit, setup: Setup) -> None:
        self.state = State.OFFLINE
        self.failure = Failure()
        self.error = ""
        self.selected: StoredFile | None = None
        self.job_user: str | None = None
        self.run: Run | None = None
        #: The print time of a print that is done, until something else is selected or started.
        self.done_s: float | None = None
        self.records: list[Record] = []
        #: Whether there has been a selection since the server was started.
        self.has_selected = False
        self._emit = emit
        self._setup = setup
        self._step: _Step | None = None
        self._connected_at = 0.0
        self._heaters = {"tool0": Heater(), "bed": Heater()}
        #: Asked at each start for the fraction of the file at which the print breaks off.
        self.breaks: Callable[[], float | None] = lambda: None

    # -- time ---------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When `tick` has to be called, as Unix time."""
        return None if self._step is None else self._step.at

    def tick(self, now: float) -> None:
        """Do what is due."""
        while self._step is not None and self._step.at <= now:
            step, self._step = self._step, None
            step.go(now)

    def _then(self, at: float, go: Callable[[float], None]) -> None:
        self._step = _Step(at, go)

    # -- the connection -----------------------------------------------------------

    @property
    def connected_at(self) -> float:
        """When the connection was made."""
        return self._connected_at

    def connect(self, now: float) -> None:
        """Open the connection; it is there a moment later."""
        if not self.state.is_closed:
            return
        self.failure, self.error = Failure(), ""
        self._emit("Connecting", None)
        self._enter(State.OPEN_SERIAL)
        self._then(now + CONNECTING_S, self._connected)

    def _connected(self, now: float) -> None:
        self._connected_at = now
        self._enter(State.CONNECTING)
        self._enter(State.OPERATIONAL)
        self._emit("Connected", {"port": PORT, "baudrate": BAUD_RATE})

    def disconnect(self, now: float) -> None:
        """Close the connection; a print in progress fails."""
        if not self.state.is_closed:
            self._lose_connection(now, State.OFFLINE, "")

    def drop(self, now: float) -> None:
        """Lose the connection, as when somebody pulls the plug."""
        if not self.state.is_closed:
            self._lose_connection(now, State.CLOSED_WITH_ERROR, "SerialTimeoutException: ")

    def fail(self, now: float, failure: Failure) -> None:
        """Halt with an error of the firmware."""
        if self.state.is_closed:
            return
        printing = self.state.is_printing
        self._enter(State.ERROR)
        self.failure = failure
        self._emit(
            "Error",
            {
                "error": failure.error,
                "reason": failure.reason,
                "consequence": failure.consequence,
                "faq": failure.faq,
                "logs": [],
            },
        )
        self._emit("EStop", None)
        self._lose_connection(now, State.CLOSED_WITH_ERROR, failure.error, printing=printing)

    def kill(self, now: float) -> None:
        """Forget everything but the files: the server was killed."""
        self._end_record(now, "lost")
        self._forget_job()
        self.has_selected = False
        self.state, self.failure, self.error = State.OFFLINE, Failure(), ""
        self._step = None

    def _lose_connection(
        self, now: float, state: State, error: str, *, printing: bool | None = None
    ) -> None:
        printing = self.state.is_printing if printing is None else printing
        run, position = self.run, self.position(now)
        self._end_record(now, "failed")
        self._step = None
        self._emit("UpdatedFiles", {"type": "printables"})
        if self.selected is not None:
            self._emit("FileDeselected", None)
        self._forget_job()
        self._emit("Disconnected", None)
        self.state, self.error = state, error
        self._emit(
            "PrinterStateChanged",
            {"state_id": State.OFFLINE.name, "state_string": State.OFFLINE.value},
        )
        # A print that is lost while it is paused leaves no trace.
        if run is not None and printing:
            self._record_failure(run.file, now)
            size = run.file.content.size
            self._emit(
                "PrintFailed",
                self._job(run.file, run.user)
                | {
                    "time": run.time_s(now),
                    "reason": "error",
                    "error": error,
                    "progress": position / size if position and size else 0.0,
                },
            )

    # -- the job ------------------------------------------------------------------

    def select(self, stored: StoredFile, user: str, now: float, *, start: bool = False) -> None:
        """Select a file, and print it."""
        if self.state is not State.OPERATIONAL:
            return
        self._forget_job()
        self.selected, self.job_user, self.has_selected = stored, user, True
        payload = self._job(stored, user, user) | {"size": None}
        self._emit("FileSelected", payload)
        if start:
            self.start(user, now)

    def unselect(self) -> None:
        """Select nothing."""
        if self.state.is_busy or self.selected is None:
            return
        self._forget_job()
        self._emit("FileDeselected", None)

    def start(self, user: str, now: float) -> None:
        """Print the selected file from its beginning."""
        if self.selected is None or self.state not in (State.OPERATIONAL, State.PAUSED):
            return
        self._end_record(now, "cancelled")
        self.failure, self.done_s, self.job_user = Failure(), None, user
        stored = self.selected
        fraction = self.breaks()
        breaks_at = None if fraction is None else int(stored.content.size * fraction)
        self.run = Run(stored, user, self._setup.speed, breaks_at)
        self.records.append(Record(stored.path, stored.content.sha1, now))
        self._enter(State.STARTING)
        self._emit("PrintStarted", self._job(stored, user, user))
        self._mark("print", "Start")
        self._then(now, self._started)

    def _started(self, now: float) -> None:
        self._enter(State.PRINTING)
        self._go(now)

    def _go(self, now: float, wait_s: float = 0.0) -> None:
        run = self._running()
        run.go(now, wait_s)
        self._then(run.goal_at, self._arrive)

    def _arrive(self, now: float) -> None:
        run = self._running()
        stop = run.next_stop
        if stop is None:
            self._finish(now) if run.goal == run.file.content.size else self._break(now)
            return
        run.offset = stop.offset
        if stop.pauses:
            self._pause(now, run.offset, None, stop)
        else:
            self._go(now, self._heat(stop, now))

    def _break(self, now: float) -> None:
        self.fail(now, THERMAL_RUNAWAY)

    def hurry(self, now: float) -> None:
        """Take over another speed."""
        if self.run is None:
            return
        self.run.hurry(now, self._setup.speed)
        if self.state is State.PRINTING:
            self._go(now, max(0.0, (self.run.moving_since or now) - now))

    def pause(self, user: str, now: float) -> None:
        """Pause the print."""
        if self.state in (State.PRINTING, State.STARTING):
            run = self._running()
            line_start = run.file.content.line_start(run.position(now))
            self._pause(now, max(run.offset, line_start), user)

    def _pause(self, now: float, offset: int, user: str | None, stop: Stop | None = None) -> None:
        self._running().stand(now, offset)
        self._enter(State.PAUSING)
        if stop is not None and stop.command in BLOCKED:
            text = f"Not sending {stop.command} to printer as it's configured as a blocked command"
            payload = {"command": stop.command, "message": text, "severity": "warn"}
            self._emit("CommandSuppressed", payload)
        self._then(now + PAUSING_S, lambda _: self._paused(user))

    def _paused(self, user: str | None) -> None:
        run = self._running()
        size = run.file.content.size
        position = {"x": None, "y": None, "z": None, "e": None, "t": None, "f": None}
        payload = self._job(run.file, run.user, user) | {
            "position": position,
            "fileposition": run.offset,
            "progress": int(run.offset / size * 100) if size else 0,
        }
        self._emit("PrintPaused", payload)
        self._mark("pause", "Pause")
        self._emit("PositionUpdate", {"reason": "pause"} | position)
        self._enter(State.PAUSED)

    def resume(self, user: str, now: float) -> None:
        """Go on with a paused print; OctoPrint ignores it while it is still pausing."""
        if self.state is not State.PAUSED:
            return
        run = self._running()
        self._enter(State.RESUMING)
        self._emit("PrintResumed", self._job(run.file, run.user, user))
        self._mark("resume", "Resume")
        self._enter(State.PRINTING)
        self._go(now)

    def cancel(self, user: str, now: float) -> None:
        """End the print."""
        if not self.state.is_busy or self.state in (State.CANCELLING, State.FINISHING):
            return
        run = self._running()
        run.stand(now, run.position(now))
        self._emit("PrintCancelling", self._job(run.file, run.user, user))
        self._enter(State.CANCELLING)
        self._then(now + CANCELLING_S, lambda at: self._cancelled(at, user))

    def _cancelled(self, now: float, user: str) -> None:
        run, size = self._running(), self._running().file.content.size
        position = {"x": None, "y": None, "z": None, "t": None, "e": None, "f": None}
        payload = self._job(run.file, run.user, user) | {
            "position": position,
            "fileposition": run.offset,
            "progress": int(run.offset / size * 100) if size else 0,
            "time": run.time_s(now),
        }
        self._emit("PrintCancelled", payload)
        self._mark("cancel", "Cancel")
        self._end_record(now, "cancelled")
        self.run = None
        self._record_failure(run.file, now)
        self._emit("PrintFailed", payload | {"reason": "cancelled"})
        self._enter(State.OPERATIONAL)

    def _finish(self, now: float) -> None:
        run = self._running()
        run.stand(now, run.goal)
        self.done_s = run.counted_s
        self._enter(State.FINISHING)
        self._mark("done", "Done")
        self._emit("PrintDone", self._job(run.file, run.user) | {"time": self.done_s})
        self._then(now + FINISHING_S, self._finished)

    def _finished(self, now: float) -> None:
        run = self._running()
        self._end_record(now, "done")
        self.run = None
        run.file.prints.add(Outcome(now, success=True, print_time_s=self.done_s))
        self._enter(State.OPERATIONAL)
        self._emit("MetadataStatisticsUpdated", {"storage": "local", "path": run.file.path})

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

    def heaters(self) -> dict[str, Heater]:
        """By name."""
        return self._heaters

    # -- inside -------------------------------------------------------------------

    def _running(self) -> Run:
        assert self.run is not None
        return self.run

    def _enter(self, state: State) -> None:
        self.state = state
        payload = {"state_id": state.name, "state_string": state.value}
        self._emit("PrinterStateChanged", payload)

    def _mark(self, kind: str, label: str) -> None:
        self._emit("ChartMarked", {"type": kind, "label": label})

    def _job(self, stored: StoredFile, owner: str, user: str | None = None) -> dict[str, Any]:
        job = {
            "name": stored.name,
            "path": stored.path,
            "origin": "local",
            "size": stored.content.size,
            "owner": owner,
        }
        return job if user is None else job | {"user": user}

    def _forget_job(self) -> None:
        self.selected = self.job_user = self.run = self.done_s = None

    def _record_failure(self, stored: StoredFile, now: float) -> None:
        stored.prints.add(Outcome(now, success=False, print_time_s=None))
        self._emit("MetadataStatisticsUpdated", {"storage": "local", "path": stored.path})

    def _end_record(self, now: float, outcome: str) -> None:
        if self.records and self.records[-1].ended_at is None:
            self.records[-1].ended_at, self.records[-1].outcome = now, outcome

    def _heat(self, stop: Stop, now: float) -> float:
        """Set a target; gives the seconds that the print waits for it."""
        name = "bed" if stop.command in ("M140", "M190") else "tool0"
        target = number("S", stop.arguments) or number("R", stop.arguments) or 0.0
        heater = self._heaters[name].aimed(target, now, self._setup.heating)
        self._heaters[name] = heater
        return heater.seconds_left(now) if stop.command in ("M109", "M190") else 0.0


THERMAL_RUNAWAY = Failure(
    error="Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!",
    reason="firmware",
    consequence="emergency",
    faq="firmware-thermal-runaway",
)
