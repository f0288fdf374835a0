"""Delivery at least once, in order, as data: no socket and no clock. Both sides use it.

The sender numbers what it sends and keeps it until it is acknowledged; the receiver takes
each number once and in order, so that what is sent again has no second effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

#: How long to wait when the other side cannot take anything just now.
BLOCKED_RETRY_S = 0.1

Verdict = Literal["new", "duplicate", "gap"]


class Outbox(Generic[T]):
    """What has been sent, or is to be, and is not acknowledged. Times are monotonic seconds."""

    def __init__(self, resend_after_s: float = 2.0) -> None:
        self._resend_after_s = resend_after_s
        self._last = 0
        #: By sequence, oldest first: the item and when it is to be sent (again).
        self._waiting: dict[int, tuple[T, float]] = {}
        self._blocked_until = float("-inf")

    def add(self, item: T, now: float) -> int:
        """Take an item, due at once; returns its sequence. The first one is 1."""
        self._last += 1
        self._waiting[self._last] = (item, now)
        return self._last

    def acknowledge(self, sequence: int) -> T | None:
        """Let go of an item and return it; None when it is not (or no longer) waiting."""
        item, _ = self._waiting.pop(sequence, (None, 0.0))
        return item

    def due(self, now: float) -> list[tuple[int, T]]:
        """What has never been sent or long ago, oldest first; it counts as sent now."""
        due = [(sequence, item) for sequence, (item, at) in self._waiting.items() if at <= now]
        for sequence, item in due:
            self._waiting[sequence] = (item, now + self._resend_after_s)
        return due

    def flush(self, now: float, send: Callable[[int, T], bool]) -> None:
        """Send what is due, until `send` answers False: the other side takes nothing now.

        The rest keeps its order and is tried again after BLOCKED_RETRY_S, or after `unblock`.
        """
        if now < self._blocked_until:
            return
        due = self.due(now)
        for position, (sequence, item) in enumerate(due):
            if not send(sequence, item):
                self._postpone(due[position:], now)
                return

    def unblock(self) -> None:
        """The other side is there (again): the next `flush` may send at once."""
        self._blocked_until = float("-inf")

    def next_due(self, now: float) -> float | None:
        """The time of the next `flush` that will have something to do, never before `now`.

        None when nothing waits.
        """
        if not self._waiting:
            return None
        earliest = min(at for _, at in self._waiting.values())
        return max(now, earliest, self._blocked_until)

    def __len__(self) -> int:
        return len(self._waiting)

    def _postpone(self, unsent: list[tuple[int, T]], now: float) -> None:
        self._blocked_until = now + BLOCKED_RETRY_S
        for sequence, item in unsent:
            self._waiting[sequence] = (item, now)


class Inbox:
    """Which numbered messages of one sender have been taken."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def peek(self, sequence: int) -> Verdict:
        """Whether this one comes next, has been taken, or is too early; changes nothing."""
        if sequence == self.last + 1:
            return "new"
        return "duplicate" if sequence <= self.last else "gap"

    def advance(self, sequence: int) -> bool:
        """Count this one as taken, if it comes next; False if it does not."""
        if self.peek(sequence) != "new":
            return False
        self.last = sequence
        return True

    def accept(self, sequence: int) -> Verdict:
        """`peek`, and `advance` if it is new."""
        verdict = self.peek(sequence)
        self.advance(sequence)
        return verdict
