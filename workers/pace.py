"""How fast bytes may be sent. Pure: the caller brings the time, monotonic seconds."""

from __future__ import annotations

#: A block is what may be sent in this time, so that a slow stream is slow, and not jerky.
BLOCK_S = 0.1


class Pace:
    """Keeps a stream to so many bytes a second; None: any number.

    Time in which less could be sent is not made up for: the network has to bear the rate, and
    no burst.
    """

    def __init__(self, bytes_per_s: float | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = float("-inf")

    def block(self, size: int) -> int:
        """How much of a block of this size to send at once; -1 is all there is."""
        if self._bytes_per_s is None:
            return size
        most = max(1, round(self._bytes_per_s * BLOCK_S))
        return most if size < 0 else min(size, most)

    def wait_s(self, sent: int, began_at: float, now: float) -> float:
        """How long to wait after so many bytes, the sending of which began at that time."""
        if self._bytes_per_s is None:
            return 0.0
        self._free_at = max(self._free_at, began_at) + sent / self._bytes_per_s
        return max(0.0, self._free_at - now)
