"""The deadlines of many, of which a loop asks for the next one in each round.

What has none, or a late one, costs nothing in a round.
"""

from __future__ import annotations

import heapq


class Deadlines:
    """When something is to be done about each key; times in seconds of any one clock."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        #: May also hold what was changed or removed meanwhile.
        self._heap: list[tuple[float, int]] = []

    def set(self, key: int, at: float | None) -> None:
        """This is the key's only deadline from now on; None: it has none."""
        if at == self._at.get(key):
            return
        if at is None:
            del self._at[key]
        else:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def next(self) -> float:
        """The earliest deadline; infinite where there is none."""
        while self._heap and not self._is_valid(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def due(self, now: float) -> list[int]:
        """The keys whose deadline has come, the earliest first; they have none afterwards."""
        keys = []
        while self.next() <= now:
            _, key = heapq.heappop(self._heap)
            del self._at[key]
            keys.append(key)
        return keys

    def _is_valid(self, at: float, key: int) -> bool:
        return self._at.get(key) == at
