"""Named places at which the tests let a process die, to see that nothing is lost there.

In production this is one comparison with None. A test names a place and a marker file in
`PMS_TEST_CRASH_AT` (`place=file`); the first process that comes there makes the file and is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_VARIABLE = "PMS_TEST_CRASH_AT"
_place, _, _marker = os.environ.get(_VARIABLE, "").partition("=")
#: The place that a request is, once it has been sent; of each thread its own.
_under_way: ContextVar[str | None] = ContextVar("under_way", default=None)


def reach(place: str) -> None:
    """Die here by SIGKILL, once, if a test wants it."""
    if place != _place:
        return
    try:
        os.close(os.open(_marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def request_under_way(place: str) -> Iterator[None]:
    """Call the moment between a request of this block and its answer by a name."""
    token = _under_way.set(place)
    try:
        yield
    finally:
        _under_way.reset(token)


def request_sent() -> None:
    """A request has left, and nothing of its answer was read."""
    place = _under_way.get()
    if place is not None:
        reach(place)
