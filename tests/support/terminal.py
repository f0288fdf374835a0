"""A program in a terminal of its own: what is on the screen, and pressing keys."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from tests.support.waiting import wait_until

TIMEOUT_S = 30.0


class Terminal:
    """Starts the program at once; use as a context, whose end also ends the program."""

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
        folder: Path | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        #: Everything that was written so far.
        self.output = bytearray()
        self._master, self._slave = pty.openpty()
        self._set_size(columns, lines)
        size = {"COLUMNS", "LINES"}
        self.process = subprocess.Popen(
            # Its controlling terminal, so that Ctrl-C and a hang-up reach it.
            ["setsid", "--ctty", *command],
            cwd=folder,
            env={k: v for k, v in environment.items() if k not in size} | {"TERM": "xterm"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        os.set_blocking(self._master, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def press(self, keys: str | bytes) -> None:
        """Send what the terminal sends for these keys."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window larger or smaller."""
        self._set_size(columns, lines)
        self._screen.resize(lines, columns)

    def rows(self) -> list[str]:
        """The lines on the screen, without the spaces at their ends."""
        self._read()
        return [line.rstrip() for line in self._screen.display]

    def wait_for(self, text: str, row: int | None = None) -> list[str]:
        """Wait until the screen, or one of its rows, holds this; returns the screen."""

        def found() -> list[str] | None:
            rows = self.rows()
            return rows if text in ("\n".join(rows) if row is None else rows[row]) else None

        try:
            return wait_until(found, TIMEOUT_S, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.rows()])) from error

    def wait_for_exit(self) -> int:
        """Wait for the program's end; what it still wrote is read."""
        wait_until(self._ended, TIMEOUT_S, "the end of the program")
        self._read()
        return self.process.returncode

    def is_echoing(self) -> bool:
        """Whether the terminal shows what is typed, as shells expect it."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def _ended(self) -> bool:
        # A program whose output nobody reads may not get to its end.
        self._read()
        return self.process.poll() is not None

    def _read(self) -> None:
        with suppress(BlockingIOError, OSError):
            while data := os.read(self._master, 65536):
                self.output += data
                self._stream.feed(data)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
