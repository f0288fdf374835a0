"""G-code that can be read while it is still being written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import IO

from workers.gcode_folder import CachedGcode
from workers.gcode_sources import GcodeUnavailable


class GrowingGcode:
    """A job's G-code on this host's disk: one thread writes it, others read it meanwhile.

    Who sends it on cannot read the last byte until the whole is known to be good. So nobody can
    take a part of it, or other G-code, for the job's.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        """`size` is in bytes, as it was announced; 0 until it is known."""
        self.size = size
        self._file = file
        self._changed = threading.Condition()
        self._written = 0
        self._all_written = False
        #: How much of it has been sent on.
        self._position = 0
        self._facts: CachedGcode | None = None
        self._error: BaseException | None = None

    # -- for those that write and examine it ----------------------------------------

    def grew(self, written: int) -> None:
        """So many bytes are in the file now."""
        with self._changed:
            self._written = written
            self._changed.notify_all()

    def end(self) -> None:
        """All of it is in the file."""
        with self._changed:
            self._all_written = True
            self.size = self._written
            self._changed.notify_all()

    def written(self, position: int, size: int) -> bytes:
        """What has been written from there on, as soon as there is anything; none at the end.

        Raises what the writing failed with, and GcodeUnavailable for a file that was cut.
        """
        with self._changed:
            self._wait_for(lambda: self._all_written or self._written > position)
            if self._error is not None:
                raise self._error
            wanted = min(size, self._written - position)
        return self._block(wanted, position)

    def finish(self, facts: CachedGcode) -> None:
        """All of it is there, and good."""
        with self._changed:
            self._facts = facts
            self.size = facts.size
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """It will never be good; whoever waits for it gets this error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    # -- for the one that sends it on -----------------------------------------------

    def wait_for_size(self) -> int:
        """Bytes, as soon as they are announced or all there. Raises what has gone wrong."""
        with self._changed:
            self._wait_for(lambda: self.size > 0 or self._all_written)
            if self._error is not None:
                raise self._error
        return self.size or self.facts().size

    def facts(self) -> CachedGcode:
        """Wait for the end. Raises what has gone wrong."""
        with self._changed:
            self._wait_for(lambda: self._facts is not None)
            if self._facts is None:
                raise self._error or AssertionError
            return self._facts

    def read(self, size: int) -> bytes:
        """The next bytes, as soon as there are any; none at the end.

        Raises what has gone wrong, and GcodeUnavailable for a file that was cut.
        """
        with self._changed:
            self._wait_for(lambda: self._facts is not None or self._sendable > self._position)
            if self._error is not None:
                raise self._error
            wanted = min(size, self._sendable - self._position)
        block = self._block(wanted, self._position)
        self._position += len(block)
        return block

    def _block(self, wanted: int, position: int) -> bytes:
        block = os.pread(self._file.fileno(), wanted, position)
        if wanted and not block:
            raise GcodeUnavailable(f"{self._file.name} has lost its end; it is fetched again")
        return block

    @property
    def _sendable(self) -> int:
        return self.size if self._facts is not None else min(self._written, self.size - 1)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._error is not None or condition())
