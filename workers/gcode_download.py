"""One download of a job's G-code into the cache, which can be read while it goes on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pms import crash_points
from pms.domain.gcode_scan import GcodeScanner
from workers.gcode_folder import CachedGcode, Entry, Lock, Voucher, in_words
from workers.gcode_growth import GrowingGcode
from workers.gcode_sources import (
    CHUNK_BYTES,
    GcodeAborted,
    GcodeStream,
    GcodeUnavailable,
    GcodeUnusable,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What the caller of a fetch wants to say and to hear meanwhile."""

    #: Raises what speaks against this G-code.
    check: Callable[[CachedGcode], None]
    #: Told of the bytes received so far, and of how many there will be where that is known.
    on_progress: Callable[[int, int | None], None]
    #: Whether the G-code is not wanted any more.
    abort: Callable[[], bool]


class Download:
    """From an open source into an entry of the cache, under a lock that keeps everybody else out.

    `gcode` is what comes of it, once it has been received and examined, at the same time or one
    after the other.
    """

    def __init__(
        self,
        entry: Entry,
        lock: Lock,
        origin: str,
        wishes: Wishes,
        *,
        stream: GcodeStream,
        file: IO[bytes],
        source: ExitStack,
    ) -> None:
        """`source` is closed as soon as the stream has ended."""
        self.gcode = GrowingGcode(file, stream.size or 0)
        self._entry = entry
        self._lock = lock
        self._origin = origin
        self._wishes = wishes
        self._stream = stream
        self._file = file
        self._source = source
        self._received = 0

    def receive(self) -> None:
        """Bring all of it onto the disk; errors go to those that read it."""
        try:
            with in_words(self._folder, self._entry.job_id), self._source:
                for chunk in self._chunks():
                    _write_all(self._file, chunk)
                    self._received += len(chunk)
                    self.gcode.grew(self._received)
                    self._wishes.on_progress(self._received, self._stream.size)
        except BaseException as error:
            self.gcode.fail(error)
        else:
            self.gcode.end()

    def _chunks(self) -> Iterator[bytes]:
        """Those of the stream, unless the caller wants no more of them."""
        for chunk in self._stream.chunks:
            if self._wishes.abort():
                raise GcodeAborted(f"job {self._entry.job_id}: the download was called off")
            if self._received + len(chunk) > (self._stream.size or float("inf")):
                raise self._changed()
            yield chunk
        if self._stream.size not in (None, self._received):
            raise self._changed()

    def examine(self) -> None:
        """Read what comes, judge it, and let it stand for later copies; errors go as above.

        A step of its own, since it takes twice as long as the receiving.
        """
        try:
            with in_words(self._folder, self._entry.job_id):
                facts = self._read_facts()
                self._wishes.check(facts)
        except BaseException as error:
            # First of all, whoever waits has to know.
            self.gcode.fail(error)
            self._remove()
            return
        self.gcode.finish(facts)
        self._keep(facts)
        crash_points.reach("gcode_cached")

    def _read_facts(self) -> CachedGcode:
        scanner = GcodeScanner()
        digest = hashlib.sha1(usedforsecurity=False)
        position = 0
        while chunk := self.gcode.written(position, CHUNK_BYTES):
            digest.update(chunk)
            scanner.feed(chunk)
            position += len(chunk)
        found = scanner.finish()
        if found.size != self.gcode.size:
            raise self._changed()
        if not found.has_command:
            flaw = "holds not a single command" if found.size else "is empty"
            raise GcodeUnusable(f"{self._here} {flaw}; upload another file or reject the job")
        return CachedGcode(
            path=self._entry.gcode,
            size=found.size,
            sha1=digest.hexdigest(),
            finish_marker=found.finish_marker,
        )

    def _keep(self, facts: CachedGcode) -> None:
        """For later copies. This one has all it needs, so a failure is not its failure."""
        try:
            self._entry.publish(Voucher.of(facts, self._origin))
        except OSError as error:
            self._remove()
            self._log(logging.WARNING, "gcode_not_cached", {"error": error.strerror})
        else:
            self._log(logging.INFO, "gcode_cached", {"size": facts.size})
        # Other processes may use it from now on, while this one still does.
        self._lock.share()

    def _remove(self) -> None:
        with suppress(OSError):
            self._entry.remove()

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        logger.log(level, event, extra={"job_id": self._entry.job_id, "fields": fields})

    def _changed(self) -> GcodeUnavailable:
        return GcodeUnavailable(f"{self._here} has changed while it was read")

    @property
    def _folder(self) -> Path:
        return self._entry.gcode.parent

    @property
    def _here(self) -> str:
        return f"job {self._entry.job_id}: the G-code from {self._origin}"


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    """A disk that is nearly full takes a part of it first, and only then refuses."""
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]
