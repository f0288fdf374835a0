from __future__ import annotations

from dataclasses import replace
from signal import SIGABRT, SIGCONT, SIGKILL, SIGTERM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pms.domain.restarts import (
    ABORT_TIMEOUT_S,
    HEALTHY_AFTER_S,
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    TERMINATE_TIMEOUT_S,
    UNUSABLE_EXIT_CODE,
    Action,
    Died,
    Event,
    Heard,
    Hung,
    Phase,
    Restart,
    SendStop,
    Signal,
    Spawn,
    Start,
    State,
    Stop,
    Tick,
    decide,
)

NOW = 1000.0
KILLED = Died(exit_code=-9, random=0.5)
ENDED = Died(exit_code=0, random=0.5)
UNUSABLE = Died(exit_code=UNUSABLE_EXIT_CODE, random=0.5)

STOPPED = State()
FATAL = State(phase=Phase.FATAL, failures=2)


def starting(failures: int = 0, at: float = NOW) -> State:
    return State(phase=Phase.STARTING, failures=failures, due_at=at + START_TIMEOUT_S)


def running(failures: int = 0, since: float = NOW - 1) -> State:
    return State(phase=Phase.RUNNING, failures=failures, running_since=since)


def backoff(failures: int, due_at: float) -> State:
    return State(phase=Phase.BACKOFF, failures=failures, due_at=due_at)


def stopping(wanted: bool = False, at: float = NOW) -> State:
    return State(
        phase=Phase.STOPPING, wanted=wanted, due_at=at + STOP_TIMEOUT_S, next_signal=SIGTERM
    )


def aborting(failures: int = 0, wanted: bool = True, at: float = NOW) -> State:
    return State(
        phase=Phase.STOPPING,
        failures=failures,
        wanted=wanted,
        hung=True,
        due_at=at + ABORT_TIMEOUT_S,
        next_signal=SIGKILL,
    )


SPAWN = (Spawn(),)
ASK = (SendStop(),)
ABORT = (Signal(number=SIGABRT), Signal(number=SIGCONT))
TERM = (Signal(number=SIGTERM),)
KILL = (Signal(number=SIGKILL),)

OLD = NOW - HEALTHY_AFTER_S
TERMINATED = replace(stopping(), next_signal=SIGKILL, due_at=NOW + TERMINATE_TIMEOUT_S)
GIVEN_UP = replace(stopping(), next_signal=None, due_at=None)

TABLE: list[tuple[State, Event, State, tuple[Action, ...]]] = [
    # There shall be a process.
    (STOPPED, Start(), starting(), SPAWN),
    (starting(1), Start(), starting(1), ()),
    (running(1), Start(), running(1), ()),
    (backoff(3, NOW + 5), Start(), backoff(3, NOW + 5), ()),
    (FATAL, Start(), FATAL, ()),
    (stopping(), Start(), stopping(wanted=True), ()),
    # It lives.
    (starting(2), Heard(), running(2, since=NOW), ()),
    (running(2), Heard(), running(2), ()),
    (stopping(), Heard(), stopping(), ()),
    (backoff(2, NOW + 1), Heard(), backoff(2, NOW + 1), ()),
    # It dies: at once, then 1 s doubling to 60 s, half of it with this random number.
    (running(0), KILLED, starting(1), SPAWN),
    (running(0), ENDED, starting(1), SPAWN),
    (starting(0), KILLED, starting(1), SPAWN),
    (running(1), KILLED, backoff(2, NOW + 0.5), ()),
    (starting(2), KILLED, backoff(3, NOW + 1.0), ()),
    (running(3), KILLED, backoff(4, NOW + 2.0), ()),
    (running(7), KILLED, backoff(8, NOW + 30.0), ()),
    (running(5000), KILLED, backoff(5001, NOW + 30.0), ()),
    (running(7, since=OLD), KILLED, starting(1), SPAWN),
    (running(7, since=OLD + 0.1), KILLED, backoff(8, NOW + 30.0), ()),
    (running(1), UNUSABLE, FATAL, ()),
    (starting(1), UNUSABLE, FATAL, ()),
    (backoff(2, NOW), Tick(), starting(2), SPAWN),
    (backoff(2, NOW + 0.1), Tick(), backoff(2, NOW + 0.1), ()),
    # It never says anything.
    (starting(1, at=NOW - START_TIMEOUT_S), Tick(), aborting(1), ABORT),
    (starting(1), Tick(), starting(1), ()),
    # It hangs.
    (running(1), Hung(), aborting(1), ABORT),
    (running(7, since=OLD), Hung(), aborting(0), ABORT),
    (starting(1), Hung(), aborting(1), ABORT),
    (aborting(1), Hung(), aborting(1), ()),
    (aborting(1), Tick(), aborting(1), ()),
    (
        aborting(1, at=NOW - ABORT_TIMEOUT_S),
        Tick(),
        replace(aborting(1), next_signal=None, due_at=None),
        KILL,
    ),
    (aborting(0), KILLED, starting(1), SPAWN),
    (aborting(1), KILLED, backoff(2, NOW + 0.5), ()),
    # There shall be no process: message, TERM, KILL.
    (running(1), Stop(), stopping(), ASK),
    (starting(1), Stop(), stopping(), ASK),
    (stopping(), Tick(), stopping(), ()),
    (stopping(at=NOW - STOP_TIMEOUT_S), Tick(), TERMINATED, TERM),
    (replace(TERMINATED, due_at=NOW), Tick(), GIVEN_UP, KILL),
    (GIVEN_UP, Tick(), GIVEN_UP, ()),
    (stopping(), ENDED, STOPPED, ()),
    (TERMINATED, KILLED, STOPPED, ()),
    (GIVEN_UP, KILLED, STOPPED, ()),
    (stopping(), UNUSABLE, STOPPED, ()),
    (stopping(), Stop(), stopping(), ()),
    (stopping(), Hung(), stopping(), ()),
    (stopping(wanted=True), Stop(), stopping(), ()),
    (aborting(1), Stop(), aborting(1, wanted=False), ()),
    (aborting(1, wanted=False), KILLED, STOPPED, ()),
    (backoff(4, NOW + 9), Stop(), STOPPED, ()),
    (FATAL, Stop(), STOPPED, ()),
    (STOPPED, Stop(), STOPPED, ()),
    # There shall be another process.
    (running(1), Restart(), stopping(wanted=True), ASK),
    (starting(1), Restart(), stopping(wanted=True), ASK),
    (stopping(), Restart(), stopping(wanted=True), ()),
    (stopping(wanted=True), ENDED, starting(), SPAWN),
    (stopping(wanted=True), KILLED, starting(), SPAWN),
    (backoff(9, NOW + 50), Restart(), starting(), SPAWN),
    (FATAL, Restart(), starting(), SPAWN),
    (STOPPED, Restart(), starting(), SPAWN),
    # Late news.
    (STOPPED, KILLED, STOPPED, ()),
    (backoff(2, NOW + 1), KILLED, backoff(2, NOW + 1), ()),
    (FATAL, KILLED, FATAL, ()),
    (STOPPED, Hung(), STOPPED, ()),
    (STOPPED, Tick(), STOPPED, ()),
    (running(1), Tick(), running(1), ()),
]


@pytest.mark.parametrize(
    ("state", "event", "following", "actions"),
    TABLE,
    ids=[f"{number} {row[0].phase} {type(row[1]).__name__}" for number, row in enumerate(TABLE)],
)
def test_policy(state: State, event: Event, following: State, actions: tuple[Action, ...]) -> None:
    assert decide(state, event, NOW) == (following, actions)


def test_every_event_is_decided_in_every_phase() -> None:
    decided = {(row[0].phase, type(row[1])) for row in TABLE}
    for phase in Phase:
        for kind in (Start, Restart, Stop, Died, Tick, Hung, Heard):
            if kind in (Hung, Heard) and phase in (Phase.FATAL, Phase.BACKOFF, Phase.STOPPED):
                continue
            if kind is Tick and phase is Phase.FATAL:
                continue
            assert (phase, kind) in decided


def test_stopping_takes_less_than_ten_seconds() -> None:
    assert STOP_TIMEOUT_S + TERMINATE_TIMEOUT_S < 10


EVENTS = st.one_of(
    st.sampled_from([Start(), Restart(), Stop(), Heard(), Hung(), Tick()]),
    st.builds(
        Died,
        exit_code=st.sampled_from([0, 1, UNUSABLE_EXIT_CODE, -6, -9]),
        random=st.floats(0, 1),
    ),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=60))
def test_there_is_never_more_than_one_process(steps: list[tuple[Event, float]]) -> None:
    state, alive, now = State(), False, 0.0
    for event, passed in steps:
        now += passed
        if isinstance(event, Died):
            if not alive:
                continue
            alive = False
        state, actions = decide(state, event, now)
        for action in actions:
            if isinstance(action, Spawn):
                assert not alive
                alive = True
            else:
                assert alive
        assert alive is (state.phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING})


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=30))
def test_whatever_happened_a_stop_ends_it(steps: list[tuple[Event, float]]) -> None:
    state, now = State(), 0.0
    for event, passed in steps:
        now += passed
        state, _ = decide(state, event, now)
    state, actions = decide(state, Stop(), now)
    taken = list(actions)
    while state.due_at is not None:
        now = state.due_at
        state, actions = decide(state, Tick(), now)
        taken += actions
    assert Spawn() not in taken
    assert decide(state, KILLED, now)[0].phase is Phase.STOPPED
