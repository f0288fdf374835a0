"""Temperatures that are computed when somebody asks, instead of step by step."""

from __future__ import annotations

from dataclasses import dataclass

AMBIENT_C = 21.3


@dataclass(frozen=True, slots=True)
class Heater:
    """One heater on its way from a temperature to another, in degrees Celsius."""

    since: float = 0.0
    start_c: float = AMBIENT_C
    target_c: float = 0.0
    #: Degrees a second, up and down.
    rate: float = 100.0

    def at(self, now: float) -> float:
        """The temperature now."""
        change = (now - self.since) * self.rate
        goal = self._goal_c
        if self.start_c < goal:
            return min(self.start_c + change, goal)
        return max(self.start_c - change, goal)

    def aimed(self, target_c: float, now: float, rate: float) -> Heater:
        """This heater with another target; 0 is off."""
        return Heater(now, self.at(now), target_c, rate)

    def seconds_left(self, now: float) -> float:
        """Until the target is reached; nothing to wait for when it is off."""
        return abs(self._goal_c - self.at(now)) / self.rate if self.target_c else 0.0

    @property
    def _goal_c(self) -> float:
        return max(self.target_c, AMBIENT_C)
