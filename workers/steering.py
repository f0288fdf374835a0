"""What people want of a print that has started, and the calls that carry it out."""

from __future__ import annotations

from pms.domain.observation import Activity, Observation
from pms.domain.states import RUNNING_STATES, AttemptState
from workers.steps import Call, CancelFile, PauseFile, ResumeFile

#: How long after a request its repetition makes sense, if OctoPrint shows no effect.
REPEAT_S = 2.0


class Steering:
    """The wishes that are still open. A cancel and a clear hold until they are done."""

    def __init__(self) -> None:
        self.cancelling = False
        self.clearing = False
        #: A pause or a resumption, asked for once.
        self.wish: PauseFile | ResumeFile | None = None
        self._asked_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether anything is still wanted."""
        return self.cancelling or self.clearing or self.wish is not None

    def fulfilled(self) -> None:
        """The print was paused or resumed, by whomever: nothing is left to be asked for."""
        self.wish = None

    def finished(self) -> None:
        """The part is complete: what was wanted of its print is void."""
        self.cancelling = False
        self.wish = None

    def call(self, state: AttemptState, seen: Observation, now: float) -> Call | None:
        """The call that OctoPrint should get, which has just shown our file."""
        if now - self._asked_at < REPEAT_S:
            return None
        if state is AttemptState.FINISHED:
            resting = self.clearing and seen.activity is Activity.PAUSED
            return ResumeFile() if resting else None
        if state in RUNNING_STATES and self.cancelling:
            stoppable = seen.activity in (Activity.PRINTING, Activity.PAUSED)
            return CancelFile() if stoppable else None
        return self._fulfillable(state, seen)

    def _fulfillable(self, state: AttemptState, seen: Observation) -> Call | None:
        match self.wish:
            case PauseFile():
                possible = state is AttemptState.PRINTING and seen.activity is Activity.PRINTING
            case ResumeFile():
                possible = state is AttemptState.PAUSED and seen.activity is Activity.PAUSED
            case None:
                possible = False
        return self.wish if possible else None

    def sent(self, now: float) -> None:
        """The call is on its way."""
        self._asked_at = now
        self.wish = None
