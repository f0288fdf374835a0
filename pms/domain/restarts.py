"""When the process of one printer is started, stopped, killed and started again.

`decide` is the whole policy: what happened goes in, what is to be done comes out. States are
called as Supervisor calls them. Times are monotonic seconds.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from pms.domain.backoff import backoff_s

#: A process that has run so long has proven itself: its failures are forgotten.
HEALTHY_AFTER_S = 60.0
#: A process that has said nothing so long after its start hangs.
START_TIMEOUT_S = 30.0
#: From the message to TERM, and from TERM to KILL; together well below 10 s.
STOP_TIMEOUT_S = 3.0
TERMINATE_TIMEOUT_S = 2.0
#: From ABRT, on which a hung process dumps its stacks, to KILL.
ABORT_TIMEOUT_S = 2.0
#: A process ends with this when its settings are wrong, which no restart can mend.
UNUSABLE_EXIT_CODE = 2


class Phase(StrEnum):
    """The life of a process, in Supervisor's words."""

    #: There is no process, and there shall be none.
    STOPPED = "STOPPED"
    #: It has been started and has not been heard of.
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    #: It has died and will be started again.
    BACKOFF = "BACKOFF"
    #: It has been told to end, or is being killed.
    STOPPING = "STOPPING"
    #: It has died in a way that a restart cannot mend.
    FATAL = "FATAL"


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known of one printer's process."""

    phase: Phase = Phase.STOPPED
    #: Deaths in a row, without a healthy run between them.
    failures: int = 0
    #: RUNNING: since when.
    running_since: float | None = None
    #: When `Tick` has something to do.
    due_at: float | None = None
    #: STOPPING: what is sent when `due_at` comes.
    next_signal: signal.Signals | None = None
    #: STOPPING: whether there shall be a new process once this one has ended.
    wanted: bool = False
    #: STOPPING: it hung, so its end is a failure.
    hung: bool = False


# Events


@dataclass(frozen=True, kw_only=True)
class Start:
    """There shall be a process. Changes nothing where there is one or will be."""


@dataclass(frozen=True, kw_only=True)
class Restart:
    """There shall be a new process, since what it was started with has changed."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """There shall be no process."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The process has sent a message."""


@dataclass(frozen=True, kw_only=True)
class Hung:
    """The process runs but has been silent for too long."""


@dataclass(frozen=True, kw_only=True)
class Died:
    """The process has ended and been reaped, or could not be started."""

    #: Of a process killed by a signal: the signal's number, negative.
    exit_code: int
    #: From 0 to 1, to spread restarts over time.
    random: float


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Time has passed."""


Event = Start | Restart | Stop | Heard | Hung | Died | Tick


# Actions


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """Start a process with a new incarnation."""


@dataclass(frozen=True, kw_only=True)
class SendStop:
    """Ask the process, by a message, to end."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Send the process a signal."""

    number: signal.Signals


Action = Spawn | SendStop | Signal
Decision = tuple[State, tuple[Action, ...]]

_ALIVE = frozenset({Phase.STARTING, Phase.RUNNING})


def decide(state: State, event: Event, now: float) -> Decision:
    """What to do about an event, and the state that follows."""
    match event:
        case Start():
            return _start(state, now)
        case Restart():
            return _restart(state, now)
        case Stop():
            return _stop(state, now)
        case Heard():
            return _heard(state, now)
        case Hung():
            return _abort(state, now) if state.phase in _ALIVE else (state, ())
        case Died():
            return _died(state, event, now)
        case Tick():
            return _tick(state, now)
    assert_never(event)


def _start(state: State, now: float) -> Decision:
    if state.phase is Phase.STOPPED:
        return _spawn(0, now)
    if state.phase is Phase.STOPPING:
        return replace(state, wanted=True), ()
    return state, ()


def _restart(state: State, now: float) -> Decision:
    if state.phase in _ALIVE:
        return _ask_to_stop(wanted=True, now=now)
    if state.phase is Phase.STOPPING:
        return replace(state, wanted=True), ()
    return _spawn(0, now)


def _stop(state: State, now: float) -> Decision:
    if state.phase in _ALIVE:
        return _ask_to_stop(wanted=False, now=now)
    if state.phase is Phase.STOPPING:
        return replace(state, wanted=False), ()
    return State(), ()


def _heard(state: State, now: float) -> Decision:
    if state.phase is not Phase.STARTING:
        return state, ()
    running = replace(state, phase=Phase.RUNNING, running_since=now, due_at=None)
    return running, ()


def _died(state: State, event: Died, now: float) -> Decision:
    if state.phase is Phase.STOPPING and not state.wanted:
        return State(), ()
    if state.phase is Phase.STOPPING and not state.hung:
        return _spawn(0, now)
    if state.phase not in {*_ALIVE, Phase.STOPPING}:
        return state, ()
    failures = _failures(state, now) + 1
    if event.exit_code == UNUSABLE_EXIT_CODE:
        return State(phase=Phase.FATAL, failures=failures), ()
    if failures == 1:
        return _spawn(failures, now)
    due_at = now + backoff_s(failures - 1, event.random)
    return State(phase=Phase.BACKOFF, failures=failures, due_at=due_at), ()


def _tick(state: State, now: float) -> Decision:
    if state.due_at is None or now < state.due_at:
        return state, ()
    if state.phase is Phase.BACKOFF:
        return _spawn(state.failures, now)
    if state.phase is Phase.STARTING:
        return _abort(state, now)
    return _escalate(state, now)


def _spawn(failures: int, now: float) -> Decision:
    due_at = now + START_TIMEOUT_S
    return State(phase=Phase.STARTING, failures=failures, due_at=due_at), (Spawn(),)


def _ask_to_stop(wanted: bool, now: float) -> Decision:
    stopping = State(
        phase=Phase.STOPPING,
        wanted=wanted,
        due_at=now + STOP_TIMEOUT_S,
        next_signal=signal.SIGTERM,
    )
    return stopping, (SendStop(),)


def _abort(state: State, now: float) -> Decision:
    stopping = State(
        phase=Phase.STOPPING,
        failures=_failures(state, now),
        wanted=True,
        hung=True,
        due_at=now + ABORT_TIMEOUT_S,
        next_signal=signal.SIGKILL,
    )
    # One that was stopped would see the first signal only when it goes on.
    return stopping, (Signal(number=signal.SIGABRT), Signal(number=signal.SIGCONT))


def _escalate(state: State, now: float) -> Decision:
    if state.next_signal is None:
        return state, ()
    action = Signal(number=state.next_signal)
    if state.next_signal is signal.SIGKILL:
        # Nothing is stronger; what is left is to wait until it has been reaped.
        return replace(state, next_signal=None, due_at=None), (action,)
    due_at = now + TERMINATE_TIMEOUT_S
    return replace(state, next_signal=signal.SIGKILL, due_at=due_at), (action,)


def _failures(state: State, now: float) -> int:
    """Failures in a row so far; none after a healthy run."""
    since = state.running_since
    return 0 if since is not None and now - since >= HEALTHY_AFTER_S else state.failures
