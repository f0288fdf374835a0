"""Brings the G-code of each job to this host's disk once, for all printers that need it."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pms.domain.gcode_scan import GcodeScanner
from workers.gcode_folder import CachedGcode, Entry, Lock, Voucher, entries
from workers.gcode_sources import (
    GcodeAborted,
    GcodeSource,
    GcodeStream,
    GcodeUnavailable,
    GcodeUnusable,
)

__all__ = ["CachedGcode", "GcodeCache"]

logger = logging.getLogger(__name__)

#: How often a process looks whether another one's download has ended.
LOCK_POLL_S = 0.1

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

#: Told of the bytes received so far, and of how many there will be where that is known.
Progress = Callable[[int, int | None], None]
#: Whether the G-code is not wanted any more.
Abort = Callable[[], bool]


def _unwatched(_received: int, _size: int | None) -> None:
    pass


def _never() -> bool:
    return False


class GcodeCache:
    """A bounded store of G-code in a folder that any number of processes and threads share.

    `limit_bytes` is kept to at every fetch, as far as the files are not in use.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    @contextmanager
    def fetch(
        self,
        job_id: int,
        source: GcodeSource,
        *,
        on_progress: Progress = _unwatched,
        abort: Abort = _never,
    ) -> Iterator[CachedGcode]:
        """The job's G-code, from the cache or else from the source; it stays until the exit.

        Where another process is downloading it, this waits for the end of that. `abort` is
        asked while waiting and at every chunk, `on_progress` is called after every chunk.

        Raises GcodeMissing, GcodeUnusable, GcodeUnavailable or GcodeAborted.
        """
        entry = Entry(self._folder, job_id)
        with self._explained(job_id):
            lock, gcode = self._obtain(entry, source, on_progress, abort)
        with lock:
            # After a hit too: what exceeds the limit may have been in use until now.
            with self._explained(job_id):
                self._make_room(0)
            yield gcode

    def discard(self, job_id: int) -> bool:
        """Forget the job's G-code; False when it is in use."""
        with self._explained(job_id):
            self._folder.mkdir(parents=True, exist_ok=True)
            return _remove(Entry(self._folder, job_id))

    def _obtain(
        self,
        entry: Entry,
        source: GcodeSource,
        on_progress: Progress,
        abort: Abort,
    ) -> tuple[Lock, CachedGcode]:
        self._folder.mkdir(parents=True, exist_ok=True)
        origin = source.locate(entry.job_id)
        while not abort():
            found = _take(entry, origin)
            if found is not None:
                return found
            lock = entry.lock_exclusively()
            if lock is None:
                time.sleep(LOCK_POLL_S)
            else:
                with lock:
                    self._download_unless_there(entry, source, on_progress, abort)
        raise GcodeAborted(f"job {entry.job_id}: the download was called off")

    def _download_unless_there(
        self,
        entry: Entry,
        source: GcodeSource,
        on_progress: Progress,
        abort: Abort,
    ) -> None:
        origin = source.locate(entry.job_id)
        if entry.load(origin) is not None:
            return
        entry.clear()
        try:
            with source.open(entry.job_id) as stream:
                self._make_room(stream.size or 0)
                received = _received(stream, entry.job_id, on_progress, abort)
                voucher = _write(received, entry, origin)
            entry.publish(voucher)
        except BaseException as error:
            entry.remove()
            if _is_disk_full(error):
                # For the next try: the limit is larger than what the disk can hold.
                self._make_room(self._limit_bytes)
            raise
        logger.info(
            "gcode_cached", extra={"job_id": entry.job_id, "fields": {"size": voucher.size}}
        )

    def _make_room(self, needed_bytes: int) -> None:
        """Remove what killed downloads left, then what was used least recently."""
        present = entries(self._folder)
        excess = sum(entry.disk_usage() for entry in present) + needed_bytes - self._limit_bytes
        for entry in present:
            usage = entry.disk_usage()
            if (excess > 0 or not entry.last_used()) and _remove(entry):
                excess -= usage
                logger.info(
                    "gcode_removed", extra={"job_id": entry.job_id, "fields": {"size": usage}}
                )

    @contextmanager
    def _explained(self, job_id: int) -> Iterator[None]:
        """Say in words what is wrong with the cache's folder."""
        try:
            yield
        except OSError as error:
            if _is_disk_full(error):
                problem = "its disk is full; free space on it or lower PMS_CACHE_BYTES"
            else:
                problem = f"{error.strerror}; check PMS_DATA_DIR"
            raise GcodeUnavailable(
                f"job {job_id}: the G-code cache {self._folder} cannot be used: {problem}"
            ) from error


def _take(entry: Entry, origin: str) -> tuple[Lock, CachedGcode] | None:
    """A complete entry, locked against changes."""
    lock = entry.lock_shared()
    if lock is None:
        return None
    with ExitStack() as stack:
        stack.enter_context(lock)
        gcode = entry.load(origin)
        if gcode is None:
            return None
        entry.touch()
        stack.pop_all()
        return lock, gcode


def _remove(entry: Entry) -> bool:
    """Remove an entry unless somebody uses it."""
    lock = entry.lock_exclusively()
    if lock is None:
        return False
    with lock:
        entry.remove()
    return True


def _received(
    stream: GcodeStream,
    job_id: int,
    on_progress: Progress,
    abort: Abort,
) -> Iterator[bytes]:
    """The chunks of the stream, unless the caller wants no more of them."""
    received = 0
    for chunk in stream.chunks:
        if abort():
            raise GcodeAborted(f"job {job_id}: the download was called off")
        yield chunk
        received += len(chunk)
        on_progress(received, stream.size)


def _write(chunks: Iterator[bytes], entry: Entry, origin: str) -> Voucher:
    """Write the part, safe on the disk, and read on the way what must be known of it."""
    scanner = GcodeScanner()
    digest = hashlib.sha1(usedforsecurity=False)
    with entry.part.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            scanner.feed(chunk)
        facts = scanner.finish()
        if not facts.has_command:
            flaw = "holds not a single command" if facts.size else "is empty"
            raise GcodeUnusable(
                f"job {entry.job_id}: the G-code from {origin} {flaw};"
                " upload another file or reject the job"
            )
        file.flush()
        os.fsync(file.fileno())
    return Voucher(
        size=facts.size,
        sha1=digest.hexdigest(),
        finish_marker=facts.finish_marker,
        origin=origin,
    )


def _is_disk_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_FULL
