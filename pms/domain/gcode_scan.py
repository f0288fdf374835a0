"""Reads what PMS must know of a G-code file while it streams by.

Lines and commands are what OctoPrint takes them for: a line ends with LF, CR LF or CR, the
blanks before a command do not count, and `M0` at the start of a line pauses the print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\v\f"
#: At the start of a line: M0, but not M00 or M01.
_PAUSE = re.compile(rb"[ \t\v\f]*+M0(?![0-9])")
#: At the start of a line: comments in parentheses that are closed, and the blanks around them.
_PARENTHESES = re.compile(rb"[ \t\v\f]*+(?:\([^)\n]*+\)[ \t\v\f]*+)*+")
#: Where anything but blanks and comments stands in a line. Possessive (`*+`), so that no
#: line, however odd, costs memory or time for going back over it.
_COMMAND = re.compile(rb"^" + _PARENTHESES.pattern + rb"[^\s;(]", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class GcodeFacts:
    """What a scan found out about one file."""

    #: In bytes.
    size: int
    #: Whether there is a line that is neither blank nor a comment.
    has_command: bool
    #: Byte offset just behind the last M0 line, its line end included; None when there is none.
    finish_marker: int | None


class GcodeScanner:
    """Takes a file in chunks of any size and keeps a few bytes, however long its lines are.

    For one file: `feed` it every chunk in order, then `finish` once.
    """

    def __init__(self) -> None:
        self._size = 0
        self._has_command = False
        self._finish_marker: int | None = None
        #: What to put before the next chunk: a short stand-in for the line that it continues.
        self._open_line = b""
        self._at_start = True
        self._after_return = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        if not chunk:
            return
        if self._after_return and chunk.startswith(b"\n") and self._finish_marker == self._size:
            self._finish_marker += 1
        self._after_return = chunk.endswith(b"\r")
        self._size += len(chunk)
        text = self._open_line + chunk
        if self._at_start and len(text) < len(_BYTE_ORDER_MARK):
            self._open_line = text
        else:
            self._scan(text)

    def finish(self) -> GcodeFacts:
        """Take the end of the file as the end of its last line and say what was found."""
        if self._at_start:
            self._scan(self._open_line)
        if _PAUSE.match(self._open_line):
            self._finish_marker = self._size
        return GcodeFacts(
            size=self._size,
            has_command=self._has_command,
            finish_marker=self._finish_marker,
        )

    def _scan(self, text: bytes) -> None:
        if self._at_start:
            self._at_start = False
            text = text.removeprefix(_BYTE_ORDER_MARK)
        # As long as the text itself, so that offsets hold.
        lines = text.replace(b"\r", b"\n")
        complete = lines.rfind(b"\n") + 1
        self._has_command = self._has_command or _COMMAND.search(lines) is not None
        pause = _start_of_last_pause(lines, complete)
        if pause is not None:
            self._finish_marker = self._size - len(text) + _end_of_line(text, lines, pause)
        self._open_line = self._stand_in(text[complete:])

    def _stand_in(self, line: bytes) -> bytes:
        """A short line that reads the same as `line`, whatever follows it."""
        rest = line.lstrip(_BLANKS)
        if rest in (b"", b"M", b"M0"):
            return rest
        if _PAUSE.match(rest):
            return b"M0;"
        if self._has_command or not rest.startswith(b"("):
            return b";"
        return _PARENTHESES.sub(b"", rest, count=1)[:1] or b"()"


def _start_of_last_pause(lines: bytes, end: int) -> int | None:
    """Where the last M0 line before `end`, which is the start of a line, begins."""
    # Looks only at lines with an M0 somewhere in them: few lines of few files have one.
    while (found := lines.rfind(b"M0", 0, end)) >= 0:
        start = lines.rfind(b"\n", 0, found) + 1
        if _PAUSE.match(lines, start):
            return start
        end = start
    return None


def _end_of_line(text: bytes, lines: bytes, start: int) -> int:
    """Offset behind the line that begins at `start`, its line end included."""
    end = lines.find(b"\n", start)
    return end + 2 if text.startswith(b"\r\n", end) else end + 1
