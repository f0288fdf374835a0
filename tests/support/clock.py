"""A time of day that tests put forward and back for the programs that they start."""

from __future__ import annotations

import os
import struct
import subprocess
from datetime import timedelta
from pathlib import Path

from tests.support.programs import find_program

SOURCE = Path(__file__).with_name("stepping_clock.c")


class SteppingClock:
    """The time of day of every program that is started with `environment`, and of its children.

    The clocks that only count on are the machine's own. (Debian's faketime breaks them: with it,
    `time.sleep` of Python 3.11 ends with an error.)
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "stepping_clock.so"
        compiler = find_program("cc")
        command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", self._library, SOURCE]
        subprocess.run(command, check=True)
        self.step_to(timedelta())

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program live by this clock."""
        return {"LD_PRELOAD": os.fspath(self._library), "STEPPING_CLOCK": os.fspath(self._file)}

    def step_to(self, offset: timedelta) -> None:
        """From now on the clock is ahead of the true time by so much, or behind it."""
        # In place: the programs have the file in their memory.
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, struct.pack("q", round(offset.total_seconds())))
        finally:
            os.close(descriptor)
