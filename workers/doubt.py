"""Verdicts that one look is not enough for."""

from __future__ import annotations

from pms.domain.reconciliation import Conclusion, Verdict

#: How long OctoPrint must keep showing what a verdict that is not certain rests on.
DOUBT_S = 3.0
#: `filepos` lags by some 10 ms behind the state, so a pause is taken for one a little later.
PAUSE_DOUBT_S = 0.5
#: How soon to look again: soon at first, because what lags does so by milliseconds.
FIRST_LOOK_S, LATER_LOOK_S = 0.05, 0.25


class Doubt:
    """A verdict holds once looks have shown nothing else for long enough."""

    def __init__(self) -> None:
        self._verdict: Verdict | None = None
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a verdict has still to prove itself."""
        return self._verdict is not None

    def look_again_at(self, now: float) -> float:
        """When to look next, monotonic seconds."""
        return now + min(LATER_LOOK_S, max(FIRST_LOOK_S, now - self._since))

    def settle(self) -> None:
        """Something else was seen, or nothing at all."""
        self._verdict = None

    def holds(self, conclusion: Conclusion, now: float) -> bool:
        """Whether the conclusion of a look at this time, monotonic seconds, may be acted on."""
        if not conclusion.certain:
            if self._verdict is not conclusion.verdict:
                self._verdict, self._since = conclusion.verdict, now
            needed = PAUSE_DOUBT_S if conclusion.verdict is Verdict.PAUSED else DOUBT_S
            if now - self._since < needed:
                return False
        self.settle()
        return True
