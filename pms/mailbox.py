"""The way into a loop from other threads.

A loop that polls sockets cannot wait on a queue, so a mailbox has a file descriptor that is
readable exactly while there is something to take out.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Hands values from any thread to the one loop that owns it, in the order of `put`."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False

    def put(self, item: T) -> None:
        """Add an item and wake the owner; never blocks. Items put after `close` are dropped."""
        with self._lock:
            if self._closed:
                return
            if not self._items:
                os.eventfd_write(self._event, 1)
            self._items.append(item)

    def drain(self, limit: int = 1000) -> list[T]:
        """Take out what is there, at most `limit` items; returns an empty list when empty."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            if taken and not self._items:
                os.eventfd_read(self._event)
            return taken

    def fileno(self) -> int:
        """Descriptor that is readable while the mailbox is not empty, for `zmq.Poller`."""
        return self._event

    def close(self) -> None:
        """Release the descriptor, with whatever is still inside. Closing twice is allowed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._items.clear()
            os.close(self._event)
