"""Keeping in touch with one OctoPrint: when to look again, and when to connect its printer.

Pure: the caller brings the time and the random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pms.domain.backoff import backoff_s
from pms.domain.observation import Activity, Observation
from pms.domain.states import PrinterState
from workers.steps import CallFailed, FailureKind

#: A refused connection is cheap, and OctoPrint is ready 1.5 s after its start.
REFUSED_RETRY_S = 1.0
#: No restart takes so long: somebody has to see to it, and dozens of dead printers that are
#: asked every second cost the others' time.
RESTART_PATIENCE_S = 120.0
DEAD_RETRY_S = 5.0
#: OctoPrint limits the rate of log-ins.
UNAUTHORIZED_RETRY_S = 60.0
LONGEST_BACKOFF_S = 60.0
#: How soon to look again at a printer that is not connected, if push would not tell.
LOST_LOOK_S = 2.0
#: How long an OctoPrint whose push is silent may take for an answer. Together with the silence
#: that is noticed, a server that hangs is known as such within 10 s.
ANSWER_PATIENCE_S = 2.5


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why OctoPrint cannot be asked at present."""

    state: PrinterState
    detail: str


class Contact:
    """What is known about reaching OctoPrint, and the deadlines that follow."""

    def __init__(self, poll_interval_s: float, random: Callable[[], float]) -> None:
        self._poll_interval_s = poll_interval_s
        self._random = random
        self._failures = 0
        #: Since when every connection has been refused.
        self._refused_since: float | None = None
        self._connects = 0
        self._next_connect_at = 0.0
        self.next_look_at = 0.0
        #: A look was asked for whatever goes wrong, and has not been sent yet.
        self._urgent = False
        self._suspect = ""
        #: By when an OctoPrint that may hang has to answer; infinite for any other.
        self.answer_by = float("inf")
        self.observation: Observation | None = None
        self.trouble: Trouble | None = None
        #: Since when OctoPrint or its printer has been out of reach; None: both are there.
        self.lost_since: float | None = None
        self.push_open = False

    # -- looking ----------------------------------------------------------------

    def want_look(self, at: float) -> None:
        """Look at this time or earlier."""
        if self.trouble is None:
            self.next_look_at = min(self.next_look_at, at)

    def look_now(self) -> None:
        """Look at once, whatever went wrong before, or goes wrong with a look under way."""
        self.next_look_at = 0.0
        self._urgent = True
        self._next_connect_at = 0.0

    def look_is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return now >= self.next_look_at

    def look_sent(self) -> None:
        """No further look before the answer, unless one is asked for meanwhile."""
        self.next_look_at = float("inf")
        self._urgent = False

    def seen(self, observation: Observation, now: float) -> None:
        """OctoPrint has answered."""
        self.observation = observation
        self.answer_by = float("inf")
        self.trouble = None
        self._failures = 0
        self._refused_since = None
        self.next_look_at = min(self.next_look_at, now + self._poll_interval_s)
        if observation.activity in (Activity.DISCONNECTED, Activity.ERROR, Activity.CONNECTING):
            self.lost_since = self.lost_since if self.lost_since is not None else now
            if not self.push_open:
                self.want_look(now + min(LOST_LOOK_S, self._poll_interval_s))
        else:
            self.lost_since = None
            self._connects = 0

    def failed(self, failure: CallFailed, now: float) -> None:
        """OctoPrint could not be asked."""
        self.answer_by = float("inf")
        self.lost_since = self.lost_since if self.lost_since is not None else now
        if failure.kind is FailureKind.UNAUTHORIZED:
            self.trouble = Trouble(PrinterState.UNAUTHORIZED, failure.text)
        else:
            self.trouble = Trouble(PrinterState.UNREACHABLE, failure.text)
        wait = self._wait_after(failure.kind, now)
        self.next_look_at = now if self._urgent else now + wait

    def _wait_after(self, kind: FailureKind, now: float) -> float:
        if kind is FailureKind.REFUSED:
            return self._wait_after_refusal(now)
        self._refused_since = None
        if kind is FailureKind.UNAUTHORIZED:
            return UNAUTHORIZED_RETRY_S
        self._failures += 1
        return max(0.5, backoff_s(self._failures, self._random(), cap=LONGEST_BACKOFF_S))

    def _wait_after_refusal(self, now: float) -> float:
        # A server that starts refuses, gives odd answers for a moment, and is there: those
        # must not be taken for the latest of a long row of failures.
        self._failures = 0
        if self._refused_since is None:
            self._refused_since = now
        is_dead = now - self._refused_since >= RESTART_PATIENCE_S
        return (DEAD_RETRY_S if is_dead else REFUSED_RETRY_S) * (0.5 + self._random())

    # -- a server that may hang ---------------------------------------------------

    def suspect(self, address: str, now: float) -> None:
        """Push has fallen silent: look, and do not wait for the answer as long as usual."""
        if self.trouble is None:
            self.want_look(now)
            self._suspect = address
            self.answer_by = now + ANSWER_PATIENCE_S

    def another_call_succeeded(self, now: float) -> None:
        """OctoPrint answered just now, so the look that had to wait for that gets its time."""
        if self.answer_by < float("inf"):
            self.answer_by = now + ANSWER_PATIENCE_S

    def miss_answer(self, now: float) -> None:
        """Take an OctoPrint that has not answered in time for lost, until a look has ended."""
        if now < self.answer_by:
            return
        self.answer_by = float("inf")
        self.lost_since = self.lost_since if self.lost_since is not None else now
        detail = f"{self._suspect} gives no answer; OctoPrint may hang"
        self.trouble = Trouble(PrinterState.UNREACHABLE, detail)

    # -- the serial connection ----------------------------------------------------

    def connect_is_due(self, now: float) -> bool:
        """Whether OctoPrint should be asked to connect its printer now."""
        return (
            self.trouble is None
            and self.observation is not None
            and self.observation.activity in (Activity.DISCONNECTED, Activity.ERROR)
            and now >= self._next_connect_at
        )

    def connect_sent(self, now: float) -> None:
        """One more try; the next one comes later each time."""
        self._connects += 1
        wait = backoff_s(self._connects, self._random(), cap=LONGEST_BACKOFF_S)
        self._next_connect_at = now + max(1.0, wait)

    @property
    def next_connect_at(self) -> float:
        """When a connection may be asked for again."""
        return self._next_connect_at

    # -- the push socket ------------------------------------------------------------

    def push_opened(self) -> None:
        """A push connection is there: whatever happened before, look at what is now."""
        self.push_open = True
        self.look_now()

    def push_closed(self, now: float) -> None:
        """The server may be gone."""
        if self.push_open:
            self.push_open = False
            self.want_look(now)
