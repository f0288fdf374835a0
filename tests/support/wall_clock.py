"""A wall clock that can be stepped for chosen processes, with the monotonic one left alone.

That is what a step of a machine's clock looks like to the processes on it. libfaketime would do
more than that: it shifts sleeps as well, and makes them fail.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """The clock of the processes that were started with its environment."""

    def __init__(self, folder: Path) -> None:
        """Build what is preloaded, in a folder of its own."""
        folder.mkdir()
        self._file = folder / "offset"
        self._library = folder / "wall_clock.so"
        self.set(0)
        options = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(self._library))
        subprocess.run(["cc", *options, str(_SOURCE), "-ldl"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": os.fspath(self._library),
            "WALL_CLOCK_FILE": os.fspath(self._file),
        }

    def set(self, offset_s: int) -> None:
        """Be so many whole seconds ahead of the true time from now on."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, offset_s.to_bytes(8, "little", signed=True), 0)
        finally:
            os.close(descriptor)
