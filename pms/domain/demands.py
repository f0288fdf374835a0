"""What the live attempts ask of what the printers share: followed from round to round.

Nothing is taken and given back, so nothing can leak: an attempt counts because it is live, and
for as long as it gets on. Pure: the caller brings the time, monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pms.domain.capacity import Demand
from pms.domain.states import RUNNING_STATES, UNSTARTED_STATES, AttemptState

#: This much below its target, in °C, a heater only holds the temperature.
TOLERANCE_C = 3.0
#: All heaters must have been at their targets for so long: often the bed is heated first, and
#: the nozzle is given its target once the bed is hot.
SETTLED_S = 10.0
#: A print that has set no target by then heats nothing.
NO_TARGET_S = 120.0
#: Nobody heats for longer. Where no temperature is known, a print counts until then.
LONGEST_HEATING_S = 900.0

#: Their files are fetched, or sent to OctoPrint.
ON_THE_WAY = frozenset({AttemptState.CLAIMED, AttemptState.TRANSFERRING})


@dataclass(frozen=True, slots=True)
class Heater:
    """Temperatures in °C; the target is 0 while it is off."""

    actual: float
    target: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """A live attempt as one round sees it."""

    attempt_id: int
    job_id: int
    state: AttemptState
    #: How much of its file was fetched, or sent to OctoPrint, as far as it is known.
    bytes_moved: int | None = None
    #: Since its start was granted.
    age_s: float = 0.0
    #: Of its printer, those that have a sensor.
    heaters: Collection[Heater] = ()


class Demands:
    """Follows every live attempt until it is over."""

    def __init__(self, still_after_s: float) -> None:
        """A transfer that has not moved for so long holds up no other: it waits for its retry."""
        self._still_after_s = still_after_s
        self._followed: dict[int, _Followed] = {}

    def follow(self, sights: Iterable[Sight], now: float) -> Demand:
        """Take in all live attempts; gives what they ask for at this moment.

        Those that do not transfer count only for the heating, and can be left out without a limit
        of that.
        """
        earlier, self._followed = self._followed, {}
        transfers: Counter[int] = Counter()
        heating = 0
        for sight in sights:
            followed = earlier.get(sight.attempt_id) or _Followed(sight, now)
            followed.update(sight, now)
            self._followed[sight.attempt_id] = followed
            heating += followed.heats(now)
            if sight.state in ON_THE_WAY and now - followed.moved_at < self._still_after_s:
                transfers[sight.job_id] += 1
        return Demand(transfers=transfers, heating=heating)


class _Followed:
    """What is remembered of one attempt."""

    def __init__(self, sight: Sight, now: float) -> None:
        self._position = (sight.state, sight.bytes_moved)
        self.moved_at = now
        self._heat_up: _HeatUp | None = None

    def update(self, sight: Sight, now: float) -> None:
        """See how far it is now."""
        position = (sight.state, sight.bytes_moved)
        if position != self._position:
            self._position, self.moved_at = position, now
        if sight.state in RUNNING_STATES:
            self._heat_up = self._heat_up or _HeatUp(sight, now)
            self._heat_up.update(sight.heaters, now)

    def heats(self, now: float) -> bool:
        """Whether its printer heats up now, or will do so next."""
        state, _ = self._position
        if state in UNSTARTED_STATES:
            return now - self.moved_at < LONGEST_HEATING_S
        return state in RUNNING_STATES and self._heat_up is not None and not self._heat_up.is_over


class _HeatUp:
    """From the grant of a start until the heaters have reached their targets."""

    def __init__(self, sight: Sight, now: float) -> None:
        self.is_over = False
        self._began_at = now - max(0.0, sight.age_s)
        # One that is hot when it is seen for the first time has been so since it began.
        self._hot_since: float | None = self._began_at

    def update(self, heaters: Collection[Heater], now: float) -> None:
        """Look at the temperatures. What is over stays so, whatever the print heats later."""
        targets = [heater for heater in heaters if heater.target > 0]
        if not targets or any(heater.actual < heater.target - TOLERANCE_C for heater in targets):
            self._hot_since = None
        elif self._hot_since is None:
            self._hot_since = now
        lasted = now - self._began_at
        hot = self._hot_since is not None and now - self._hot_since >= SETTLED_S
        cold = bool(heaters) and not targets and lasted >= NO_TARGET_S
        self.is_over = self.is_over or hot or cold or lasted >= LONGEST_HEATING_S
