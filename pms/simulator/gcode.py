"""What the simulated printer must know of a G-code file: where it dwells, waits and pauses.

Everything else is taken to run at so many bytes a second, so that a print costs nothing
between such places, however long its file is.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass

#: Commands at which OctoPrint pauses a print. Of those, `M25` reaches the printer, and `@pause` is
#: no command of G-code.
PAUSES = frozenset({"M0", "M1", "M25", "@pause"})
BLOCKED = frozenset({"M0", "M1"})

#: At the start of a line: the commands of interest, with the rest of their line. `M00` is another.
_COMMAND = re.compile(rb"\n[ \t]*+(@pause|G4|M0|M1|M25|M104|M109|M140|M190)(?![0-9.])([^\n]*+)\n")
#: So much of a line is looked at; the commands of interest are shorter.
_LINE_LIMIT_BYTES = 512


@dataclass(frozen=True, slots=True)
class Stop:
    """A command at which a print cannot simply go on."""

    #: Just behind the command's line, line end included.
    offset: int
    #: Such as `M0` or `M109`.
    command: str
    #: Such as `S215`.
    arguments: str

    @property
    def pauses(self) -> bool:
        """Whether OctoPrint pauses here."""
        return self.command in PAUSES


class Course:
    """A file as it is printed: position by time and time by position."""

    def __init__(
        self, size: int, stops: tuple[Stop, ...], dwells: array[int], waited_s: array[float]
    ) -> None:
        """`dwells` are the offsets behind `G4` lines, `waited_s` the sum of the dwells so far."""
        self.size = size
        self.stops = stops
        self._dwells = dwells
        self._waited_s = waited_s

    def stop_behind(self, offset: int) -> Stop | None:
        """The first stop whose end lies behind this position."""
        index = bisect_right(self.stops, offset, key=lambda stop: stop.offset)
        return self.stops[index] if index < len(self.stops) else None

    def seconds_to(self, offset: float, speed: float) -> float:
        """From the start until all up to `offset` has been done, at `speed` bytes a second."""
        return offset / speed + self._dwelt(bisect_right(self._dwells, offset))

    def offset_after(self, seconds: float, speed: float) -> int:
        """The position after so many seconds; the file's size at the end."""
        passed = self._passed(seconds, speed)
        moved = int((seconds - self._dwelt(passed)) * speed)
        # While a dwell lasts, the position is just behind its line.
        dwelling = self._dwells[passed - 1] if passed else 0
        return min(max(moved, dwelling), self.size)

    def dwell_left_s(self, seconds: float, speed: float) -> float:
        """How much longer the dwell takes in which the print is after so many seconds."""
        passed = self._passed(seconds, speed)
        if not passed:
            return 0.0
        return max(0.0, self._dwells[passed - 1] / speed + self._dwelt(passed) - seconds)

    def _passed(self, seconds: float, speed: float) -> int:
        """How many dwells have begun."""
        return bisect_right(
            range(len(self._dwells)), seconds, key=lambda index: self._reached_s(index, speed)
        )

    def _dwelt(self, count: int) -> float:
        return self._waited_s[count - 1] if count else 0.0

    def _reached_s(self, index: int, speed: float) -> float:
        return self._dwells[index] / speed + self._dwelt(index)


class Scanner:
    """Finds the course of one file: `feed` it every block in order, then `finish` once."""

    def __init__(self) -> None:
        self._size = 0
        self._stops: list[Stop] = []
        self._dwells = array("q")
        self._waited_s = array("d")
        #: A line end, then the beginning of the line that the next block continues.
        self._open_line = b"\n"

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the file."""
        text = self._open_line + block
        begins_at = self._size - len(self._open_line)
        self._size += len(block)
        # A line end belongs to the line before it and to the one behind it.
        position = 0
        while (found := _COMMAND.search(text, position)) is not None:
            self._take(found, begins_at)
            position = found.end() - 1
        self._open_line = text[text.rfind(b"\n") :][:_LINE_LIMIT_BYTES]

    def finish(self) -> Course:
        """Take the end of the file as the end of its last line."""
        if (found := _COMMAND.match(self._open_line + b"\n")) is not None:
            self._take(found, self._size - found.end())
        return Course(self._size, tuple(self._stops), self._dwells, self._waited_s)

    def _take(self, found: re.Match[bytes], begins_at: int) -> None:
        offset = begins_at + found.end()
        command = found[1].decode()
        arguments = found[2].split(b";")[0].decode(errors="replace").strip()
        if command == "G4":
            before = self._waited_s[-1] if self._waited_s else 0.0
            self._dwells.append(offset)
            self._waited_s.append(before + dwell_s(arguments))
        else:
            self._stops.append(Stop(offset, command, arguments))


def dwell_s(arguments: str) -> float:
    """How long a `G4` with these arguments waits: P is in milliseconds, S in seconds."""
    return (number("P", arguments) or 0.0) / 1000 + (number("S", arguments) or 0.0)


def number(letter: str, arguments: str) -> float | None:
    """The value of one argument."""
    found = re.search(rf"{letter}\s*(-?[0-9]*\.?[0-9]+)", arguments)
    return float(found[1]) if found else None
