"""Temperatures that are computed when somebody asks, instead of step by step."""

from __future__ import annotations

from dataclasses import dataclass

from pms.simulator.gcode import number

AMBIENT_C = 21.3

#: Which heater a command is for, and whether it waits.
_COMMANDS = {
    "M104": ("tool0", False),
    "M109": ("tool0", True),
    "M140": ("bed", False),
    "M190": ("bed", True),
}


@dataclass(frozen=True, slots=True)
class Heater:
    """One heater on its way from a temperature to another, in degrees Celsius."""

    since: float = 0.0
    start_c: float = AMBIENT_C
    target_c: float = 0.0
    #: Degrees a second, up and down.
    rate: float = 1.0

    def at(self, now: float) -> float:
        """The temperature now."""
        change = (now - self.since) * self.rate
        if self.start_c < self._goal_c:
            return min(self.start_c + change, self._goal_c)
        return max(self.start_c - change, self._goal_c)

    def aimed(self, target_c: float, now: float, rate: float) -> Heater:
        """This heater with another target; 0 is off."""
        return Heater(now, self.at(now), target_c, rate)

    def seconds_left(self, now: float) -> float:
        """Until the target is reached; nothing to wait for when it is off."""
        return abs(self._goal_c - self.at(now)) / self.rate if self.target_c else 0.0

    @property
    def _goal_c(self) -> float:
        return max(self.target_c, AMBIENT_C)


class Heaters:
    """The heaters of one printer."""

    def __init__(self) -> None:
        self._heaters = {"tool0": Heater(), "bed": Heater()}

    def command(self, command: str, arguments: str, now: float, rate: float) -> float:
        """Carry out a command that sets a target; gives the seconds for which it waits."""
        if command not in _COMMANDS:
            return 0.0
        name, waits = _COMMANDS[command]
        target = number("S", arguments) or number("R", arguments) or 0.0
        heater = self._heaters[name].aimed(target, now, rate)
        self._heaters[name] = heater
        return heater.seconds_left(now) if waits else 0.0

    def readings(self, now: float) -> dict[str, dict[str, float | None]]:
        """Each heater's temperature and target; there is no chamber."""
        readings: dict[str, dict[str, float | None]] = {
            name: {"actual": round(heater.at(now), 2), "target": heater.target_c}
            for name, heater in self._heaters.items()
        }
        return readings | {"chamber": {"actual": None, "target": None}}
