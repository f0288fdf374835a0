"""A terminal taken over as a whole: its other screen, its cursor and its keys, until the end."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import Any, NoReturn

from rich.text import Text

from pms.cli.output import console

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
#: Terminals that know these show what stands between them at once.
_BEGIN_UPDATE, _END_UPDATE = "\x1b[?2026h", "\x1b[?2026l"
_READ_BYTES = 1024


class Key(Enum):
    """What a person can press."""

    QUIT = auto()
    SORT = auto()
    UP = auto()
    DOWN = auto()
    PAGE_UP = auto()
    PAGE_DOWN = auto()
    HOME = auto()
    END = auto()


#: With and without the keypad's application mode, and as less and vi have them.
_KEYS = {
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
    b"s": Key.SORT,
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"k": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"j": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP,
    b"b": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b" ": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1bOH": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"g": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1bOF": Key.END,
    b"\x1b[4~": Key.END,
    b"G": Key.END,
}
_STROKE = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)


def decode_keys(data: bytes) -> list[Key]:
    """The keys that were pressed; those that mean nothing here are passed over."""
    return [_KEYS[stroke] for stroke in _STROKE.findall(data) if stroke in _KEYS]


class FullScreen:
    """Use as a context; whatever ends the block, the terminal is as it was before."""

    def __init__(self) -> None:
        self._console = console()
        self._shown: list[str] = []
        self._size = (0, 0)
        #: To be polled for keys; None where nobody can press any.
        self.keyboard = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._mode: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return self._console.size

    def __enter__(self) -> FullScreen:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _end)
        if self.keyboard is not None:
            self._mode = termios.tcgetattr(self.keyboard)
            _take_keys(self.keyboard)
        self._write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(_LEAVE)
        if self.keyboard is not None:
            termios.tcsetattr(self.keyboard, termios.TCSADRAIN, self._mode)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def draw(self, lines: Sequence[Text]) -> None:
        """Show these lines, the first one at the top; only those that differ are sent."""
        shown = [self._encoded(line) for line in lines]
        if self.size != self._size:
            self._size, self._shown = self.size, []
            self._write("\x1b[2J")
        before = self._shown + [""] * (len(shown) - len(self._shown))
        changed = [
            f"\x1b[{number};1H{new}\x1b[0m\x1b[K"
            for number, (old, new) in enumerate(zip(before, shown, strict=False), start=1)
            if old != new
        ]
        self._shown = shown
        if changed:
            self._write(_BEGIN_UPDATE + "".join(changed) + _END_UPDATE)

    def pressed_keys(self) -> list[Key]:
        """What was pressed since the last call, without waiting."""
        if self.keyboard is None or not select.select([self.keyboard], [], [], 0)[0]:
            return []
        data = os.read(self.keyboard, _READ_BYTES)
        return decode_keys(data) if data else [Key.QUIT]

    def _encoded(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", no_wrap=True, overflow="crop")
        return captured.get()

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _take_keys(keyboard: int) -> None:
    """Let each key come at once and unseen; Ctrl-C still interrupts."""
    tty.setcbreak(keyboard)
    mode = termios.tcgetattr(keyboard)
    # A process that is stopped would leave its screen behind.
    mode[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(keyboard, termios.TCSADRAIN, mode)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
