"""G-code whose print takes a known time, leaves known traces, or is very large."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

_BLOCK_LINES = 1024
_LINE_BYTES = 64
_FILLER_LINE = b"G4 P200 ;".ljust(_LINE_BYTES - 1, b".") + b"\n"
_MOVE = b"G1 X10.000 Y20.000 E0.12345 F1800\n"
_FILLER = _FILLER_LINE * (_BLOCK_LINES - 1)


class Content(Protocol):
    """Something that the file server can send, a piece at a time."""

    @property
    def size(self) -> int: ...

    @property
    def sha1(self) -> str: ...

    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, kw_only=True)
class Gcode:
    """A file in memory, and what to look for in a printer's log when it was printed."""

    content: bytes
    #: Offset just behind the last M0 line; None: there is none.
    finished_byte_pos: int | None = None
    #: Commands that occur once in this file and in no other, up to the M0 and behind it.
    marks: tuple[str, ...] = ()
    marks_behind: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.content).hexdigest()

    def chunks(self) -> Iterator[bytes]:
        step = 64 * 1024
        return (self.content[at : at + step] for at in range(0, self.size, step))

    def marks_in(self, printer_log: list[str]) -> list[str]:
        """The marks of this file that a printer received, in order."""
        ours = {*self.marks, *self.marks_behind}
        return [command for command in printer_log if command in ours]


def dwelling_gcode(seconds: float, lines: int = 20, m0: bool = True) -> Gcode:
    """A file that prints for `seconds` in `lines` equal dwells, whatever the printer's speed.

    With `m0`, the printer then pauses for the part to be removed, and some lines follow.
    """
    name = f"part-{secrets.token_hex(4)}"
    milliseconds = round(seconds * 1000)
    ends = [milliseconds * line // lines for line in range(lines + 1)]
    marks = [f"M117 {name} line {line}" for line in range(lines + 1)]
    before = [f"; {name}, made for a test", marks[0]]
    for mark, (begin, end) in zip(marks[1:], itertools.pairwise(ends), strict=True):
        before += [f"G4 P{end - begin}", mark]
    if not m0:
        return Gcode(content=_joined(before), marks=tuple(marks))
    head = _joined([*before, "M0 ; remove the part"])
    behind = [f"M117 {name} removed", f"M117 {name} end"]
    return Gcode(
        content=head + _joined(behind),
        finished_byte_pos=len(head),
        marks=tuple(marks),
        marks_behind=tuple(behind),
    )


@dataclass(frozen=True)
class GeneratedGcode:
    """A file of exactly `size` bytes, never in memory as a whole, the same in every run.

    Its print takes as good as for ever: 0.2 s a line. It ends with an M0 and two more lines.
    """

    size: int

    _TAIL = b"M0 ; remove the part\nM117 removed\nM117 end\n"

    @property
    def finished_byte_pos(self) -> int:
        return self.size - len(self._TAIL) + self._TAIL.index(b"\n") + 1

    @cached_property
    def sha1(self) -> str:
        digest = hashlib.sha1()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        left = self.size - len(self._TAIL)
        assert left >= 0, f"too small for the end of the file: {self.size}"
        for block in itertools.count():
            if left < _BLOCK_LINES * _LINE_BYTES:
                break
            yield (b"; block %d " % block).ljust(_LINE_BYTES - 1, b".") + b"\n" + _FILLER
            left -= _BLOCK_LINES * _LINE_BYTES
        yield _padding(left) + self._TAIL


def moves(size: int) -> Gcode:
    """A file of about so many bytes that holds nothing but moves."""
    return Gcode(content=_MOVE * (size // len(_MOVE)))


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _padding(size: int) -> bytes:
    whole, rest = divmod(size, _LINE_BYTES)
    return whole * _FILLER_LINE + (b"\n".rjust(rest, b";") if rest else b"")
