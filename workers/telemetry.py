"""Telemetry in the amount that somebody can look at."""

from __future__ import annotations

from pms.bus.messages import Progress, Temperatures
from workers.steps import Tell

#: Telemetry of one kind is sent at most this often.
TELEMETRY_INTERVAL_S = 1.0


class Thinning:
    """Lets through what is new, once an interval for each kind of message."""

    def __init__(self) -> None:
        self._told: dict[type[object], tuple[Progress | Temperatures, float]] = {}

    def tell(self, message: Progress | Temperatures, now: float) -> list[Tell]:
        """The message if it is worth sending at this time, monotonic seconds."""
        last, told_at = self._told.get(type(message), (None, float("-inf")))
        if message == last or now - told_at < TELEMETRY_INTERVAL_S:
            return []
        self._told[type(message)] = (message, now)
        return [Tell(message)]
