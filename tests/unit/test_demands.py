"""What the live attempts ask of what the printers share, as time passes."""

from __future__ import annotations

from typing import Any

import pytest

from pms.domain.capacity import Demand
from pms.domain.demands import (
    LONGEST_HEATING_S,
    NO_TARGET_S,
    SETTLED_S,
    Demands,
    Heater,
    Sight,
)
from pms.domain.states import LIVE_STATES, AttemptState

S = AttemptState
STILL_S = 60.0
NOW = 1000.0
COLD, OFF = Heater(21.0, 60.0), Heater(21.0, 0.0)
HOT_BED, HOT_NOZZLE, WARM_NOZZLE = Heater(60.1, 60.0), Heater(214.0, 215.0), Heater(180.0, 215.0)


def sight(state: AttemptState, attempt_id: int = 1, **facts: Any) -> Sight:
    return Sight(attempt_id=attempt_id, job_id=facts.pop("job_id", 7), state=state, **facts)


def transfers(demand: Demand) -> int:
    return sum(demand.transfers.values())


@pytest.mark.parametrize(
    ("state", "transfers_it", "heats_it"),
    [
        (S.CLAIMED, 1, 1),
        (S.TRANSFERRING, 1, 1),
        (S.STAGED, 0, 1),
        (S.STARTING, 0, 1),
        (S.PRINTING, 0, 1),
        (S.PAUSED, 0, 1),
        (S.FINISHED, 0, 0),
    ],
)
def test_what_an_attempt_takes_up(state: AttemptState, transfers_it: int, heats_it: int) -> None:
    demand = Demands(STILL_S).follow([sight(state)], NOW)
    assert (transfers(demand), demand.heating) == (transfers_it, heats_it)


def test_every_live_state_is_known() -> None:
    demand = Demands(STILL_S).follow([sight(s, n) for n, s in enumerate(LIVE_STATES)], NOW)
    assert (transfers(demand), demand.heating) == (2, 6)


def test_transfers_are_counted_by_job() -> None:
    sights = [sight(S.CLAIMED, n, job_id=n // 2) for n in range(3)]
    assert Demands(STILL_S).follow(sights, NOW).transfers == {0: 2, 1: 1}


def test_what_is_over_takes_up_nothing() -> None:
    demands = Demands(STILL_S)
    demands.follow([sight(S.TRANSFERRING, n) for n in range(3)], NOW)
    demand = demands.follow([sight(S.TRANSFERRING, 1)], NOW)
    assert (transfers(demand), demand.heating) == (1, 1)


@pytest.mark.parametrize(
    ("story", "counts"),
    [
        # Seconds, state and bytes of each round.
        ([(0, S.CLAIMED, None), (59, S.CLAIMED, None)], True),
        ([(0, S.CLAIMED, None), (60, S.CLAIMED, None)], False),
        ([(0, S.CLAIMED, None), (59, S.TRANSFERRING, None), (118, S.TRANSFERRING, None)], True),
        ([(0, S.TRANSFERRING, 0), (50, S.TRANSFERRING, 9), (109, S.TRANSFERRING, 9)], True),
        ([(0, S.TRANSFERRING, 0), (50, S.TRANSFERRING, 9), (110, S.TRANSFERRING, 9)], False),
        # It starts over, and counts again.
        ([(0, S.TRANSFERRING, 9), (500, S.TRANSFERRING, 9), (501, S.TRANSFERRING, 1)], True),
    ],
)
def test_a_transfer_that_stands_still_holds_up_no_other(
    story: list[tuple[float, AttemptState, int | None]], counts: bool
) -> None:
    """Its file server or its OctoPrint is away: it waits for a retry, which may take long."""
    demands = Demands(STILL_S)
    for after, state, moved in story:
        demand = demands.follow([sight(state, bytes_moved=moved)], NOW + after)
    assert transfers(demand) == counts
    # It may still come to heat up.
    assert demand.heating == 1


Story = list[tuple[float, list[Heater]]]


@pytest.mark.parametrize(
    ("story", "heats"),
    [
        ([(0, [OFF, OFF])], True),
        ([(0, [OFF, OFF]), (5, [COLD, OFF])], True),
        ([(0, [COLD, OFF]), (5, [HOT_BED, OFF])], True),
        ([(0, [COLD, OFF]), (5, [HOT_BED, OFF]), (5 + SETTLED_S, [HOT_BED, OFF])], False),
        # The nozzle gets its target when the bed is hot.
        (
            [
                (0, [COLD, OFF]),
                (5, [HOT_BED, OFF]),
                (14, [HOT_BED, WARM_NOZZLE]),
                (16, [HOT_BED, HOT_NOZZLE]),
                (25, [HOT_BED, HOT_NOZZLE]),
            ],
            True,
        ),
        (
            [
                (0, [COLD, WARM_NOZZLE]),
                (16, [HOT_BED, HOT_NOZZLE]),
                (16 + SETTLED_S, [HOT_BED, HOT_NOZZLE]),
            ],
            False,
        ),
        # Once it was hot, what it heats later does not count.
        ([(0, [HOT_BED]), (11, [HOT_BED]), (12, [COLD, WARM_NOZZLE])], False),
        # Above its target it need not be heated.
        ([(0, [Heater(250.0, 215.0)]), (SETTLED_S, [Heater(240.0, 215.0)])], False),
        # Nothing is heated.
        ([(0, [OFF]), (NO_TARGET_S - 1, [OFF])], True),
        ([(0, [OFF]), (NO_TARGET_S, [OFF])], False),
        # Nothing is known, or it never gets hot.
        ([(0, []), (NO_TARGET_S, []), (LONGEST_HEATING_S - 1, [])], True),
        ([(0, []), (LONGEST_HEATING_S, [])], False),
        ([(0, [COLD]), (LONGEST_HEATING_S - 1, [COLD])], True),
        ([(0, [COLD]), (LONGEST_HEATING_S, [COLD])], False),
        ([(0, [COLD]), (LONGEST_HEATING_S, [COLD]), (LONGEST_HEATING_S + 1, [COLD])], False),
    ],
)
@pytest.mark.parametrize("state", [S.STARTING, S.PRINTING, S.PAUSED])
def test_a_print_heats_until_all_targets_are_reached(
    state: AttemptState, story: Story, heats: bool
) -> None:
    demands = Demands(STILL_S)
    for after, heaters in story:
        demand = demands.follow([sight(state, heaters=heaters)], NOW + after)
    assert demand.heating == heats


@pytest.mark.parametrize(
    ("age_s", "heaters", "heats"),
    [
        (600.0, [HOT_BED, HOT_NOZZLE], False),
        (SETTLED_S - 1, [HOT_BED, HOT_NOZZLE], True),
        (600.0, [HOT_BED, WARM_NOZZLE], True),
        (600.0, [OFF], False),
        (600.0, [], True),
        (LONGEST_HEATING_S, [], False),
        (LONGEST_HEATING_S, [COLD], False),
        # The wall clock was put back.
        (-3600.0, [OFF], True),
    ],
)
def test_a_print_that_is_met_underway_is_as_old_as_it_is(
    age_s: float, heaters: list[Heater], heats: bool
) -> None:
    """After a start of the coordinator, or when nothing has waited for long."""
    seen = sight(S.PRINTING, age_s=age_s, heaters=heaters)
    assert Demands(STILL_S).follow([seen], NOW).heating == heats


def test_a_print_heats_anew_from_its_start_however_long_its_transfer_was() -> None:
    demands = Demands(STILL_S)
    demands.follow([sight(S.CLAIMED, heaters=[HOT_BED])], NOW)
    assert demands.follow([sight(S.STAGED, heaters=[HOT_BED])], NOW + 500).heating
    assert demands.follow([sight(S.STARTING, heaters=[COLD])], NOW + 501).heating
    assert demands.follow([sight(S.PRINTING, heaters=[HOT_BED])], NOW + 600).heating
    assert not demands.follow([sight(S.PRINTING, heaters=[HOT_BED])], NOW + 610).heating


def test_a_copy_that_never_starts_is_not_waited_for_for_ever() -> None:
    demands = Demands(STILL_S)
    assert demands.follow([sight(S.STAGED)], NOW).heating == 1
    assert demands.follow([sight(S.STAGED)], NOW + LONGEST_HEATING_S - 1).heating == 1
    assert demands.follow([sight(S.STAGED)], NOW + LONGEST_HEATING_S).heating == 0
