"""One print: where it is, how long it has taken, what comes next."""

from __future__ import annotations

from dataclasses import dataclass

from pms.simulator.files import StoredFile
from pms.simulator.gcode import Stop


@dataclass(slots=True)
class Run:
    """A print that has been started. Times are Unix times, `speed` is in bytes a second."""

    file: StoredFile
    user: str
    speed: float
    #: Where it breaks off, if it is to fail.
    breaks_at: int | None = None
    #: From here it has run since `moving_since`, which may lie ahead; None: it stands.
    offset: int = 0
    moving_since: float | None = None
    #: For the print time, which leaves pauses out.
    counted_since: float | None = None
    counted_s: float = 0.0

    def go(self, now: float, wait_s: float = 0.0) -> None:
        """Go on, after a wait that is part of the print."""
        self.moving_since = now + wait_s
        if self.counted_since is None:
            self.counted_since = now

    def stand(self, now: float, offset: int) -> None:
        """Stop at this position."""
        self.counted_s = self.time_s(now)
        self.offset = offset
        self.moving_since = self.counted_since = None

    def hurry(self, now: float, speed: float) -> None:
        """Go on at another speed."""
        if self.moving_since is not None:
            self.offset = self.position(now)
            self.moving_since = max(self.moving_since, now)
        self.speed = speed

    def time_s(self, now: float) -> float:
        """How long it has printed."""
        running = 0.0 if self.counted_since is None else now - self.counted_since
        return self.counted_s + running

    def position(self, now: float) -> int:
        """The byte that it has come to."""
        if self.moving_since is None or now <= self.moving_since:
            return self.offset
        offset = self.file.content.course.offset_after(self._done_s(now), self.speed)
        return max(self.offset, min(offset, self.goal))

    def command_left_s(self, now: float) -> float:
        """How much longer the printer is busy with its present command."""
        if self.moving_since is None or now <= self.moving_since:
            return 0.0
        return self.file.content.course.dwell_left_s(self._done_s(now), self.speed)

    def _done_s(self, now: float) -> float:
        """The seconds of the whole print that are done, if it moves."""
        assert self.moving_since is not None
        before_s = self.file.content.course.seconds_to(self.offset, self.speed)
        return before_s + now - self.moving_since

    @property
    def next_stop(self) -> Stop | None:
        """The command that stops it next, unless it breaks off before."""
        stop = self.file.content.course.stop_behind(self.offset)
        if stop is not None and self.breaks_at is not None and self.breaks_at < stop.offset:
            return None
        return stop

    @property
    def goal(self) -> int:
        """As far as it goes by itself."""
        stop = self.next_stop
        if stop is not None:
            return stop.offset
        return self.file.content.size if self.breaks_at is None else self.breaks_at

    @property
    def goal_at(self) -> float:
        """When it gets there, if it moves."""
        goal_s = self.file.content.course.seconds_to(self.goal, self.speed)
        assert self.moving_since is not None
        return self.moving_since + goal_s - self._done_s(self.moving_since)
