"""A wall clock that can be stepped for chosen processes, with the monotonic one left alone.

That is what a step of a machine's clock looks like to the processes on it. libfaketime does it,
of Debian's package `faketime`.
"""

from __future__ import annotations

import os
from pathlib import Path

#: How long a process goes on with the time that it had.
NOTICED_AFTER_S = 1.0
_LIBRARY = "libfaketimeMT.so.1"


class WallClock:
    """The clock of the processes that were started with its environment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": os.fspath(_library()),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": f"{NOTICED_AFTER_S:g}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, offset_s: float) -> None:
        """Be so many seconds ahead of the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+.3f}\n", encoding="ascii")
        fresh.replace(self._file)


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{_LIBRARY}"))
    assert found, f"{_LIBRARY} is missing: run scripts/install-debian-packages servers"
    return found[0]
