"""Named places at which the tests let a process die, to see that nothing is lost there.

In production this is one comparison with None. A test names a place and a marker file in
`PMS_TEST_CRASH_AT` (`place=file`); the first process that comes there makes the file and is gone.
"""

from __future__ import annotations

import os
import signal

_VARIABLE = "PMS_TEST_CRASH_AT"
_place, _, _marker = os.environ.get(_VARIABLE, "").partition("=")


def reach(place: str) -> None:
    """Die here by SIGKILL, once, if a test wants it."""
    if place != _place:
        return
    try:
        os.close(os.open(_marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
