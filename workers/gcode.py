"""Brings the G-code of each job to this host's disk once, for all printers that need it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workers.gcode_download import Download, Wishes
from workers.gcode_folder import (
    CachedGcode,
    Entry,
    Holding,
    Lock,
    NoRoomInCache,
    holdings,
    in_words,
)
from workers.gcode_growth import GrowingGcode
from workers.gcode_sources import GcodeAborted, GcodeSource

__all__ = ["CachedGcode", "GcodeCache", "GrowingGcode"]

logger = logging.getLogger(__name__)

#: How often a process looks whether another one's download has ended.
LOCK_POLL_S = 0.1


def _nothing_against(_gcode: CachedGcode) -> None:
    pass


def _unwatched(_received: int, _size: int | None) -> None:
    pass


def _never() -> bool:
    return False


class GcodeCache:
    """A bounded store of G-code in a folder that any number of processes and threads share.

    `limit_bytes` is kept to after every `tidy`, but for what is in use or was used last.
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
        at_once: bool = False,
        check: Callable[[CachedGcode], None] = _nothing_against,
        on_progress: Callable[[int, int | None], None] = _unwatched,
        abort: Callable[[], bool] = _never,
    ) -> Iterator[GrowingGcode]:
        """The job's G-code, from the cache or else from the source; it stays until the exit.

        It is whole and good. With `at_once` it may still be on its way; then errors come from its
        methods, and the exit waits for the end.
        Where another process is downloading it, this waits for the end of that. `abort` is asked
        while waiting and at every chunk, `on_progress` is called after every chunk, and `check`
        before the last byte of the G-code can be read.

        Raises GcodeMissing, GcodeUnusable, GcodeUnavailable, GcodeAborted, and what `check` does.
        """
        wishes = Wishes(check=check, on_progress=on_progress, abort=abort)
        with ExitStack() as stack:
            try:
                with in_words(self._folder, job_id):
                    gcode = self._obtain(stack, job_id, source, wishes, at_once=at_once)
                yield gcode
            except NoRoomInCache:
                # For the next try: the limit is larger than what the disk can hold.
                self._try_to_make_room(self._limit_bytes)
                raise

    def discard(self, job_id: int) -> bool:
        """Forget the job's G-code; False when it is in use."""
        with in_words(self._folder, job_id):
            self._folder.mkdir(parents=True, exist_ok=True)
            return _remove(Entry(self._folder, job_id))

    def _obtain(
        self, stack: ExitStack, job_id: int, source: GcodeSource, wishes: Wishes, *, at_once: bool
    ) -> GrowingGcode:
        self._folder.mkdir(parents=True, exist_ok=True)
        entry, origin = Entry(self._folder, job_id), source.locate(job_id)
        while not wishes.abort():
            found = self._take(stack, entry, origin)
            if found is not None:
                wishes.check(found.facts())
                return found
            lock = entry.lock_exclusively()
            if lock is None:
                time.sleep(LOCK_POLL_S)
                continue
            with ExitStack() as held:
                held.enter_context(lock)
                # Another process may have completed it just now.
                if entry.load(origin) is None:
                    stack.push(held.pop_all())
                    download = self._begin(stack, entry, lock, source, wishes)
                    return _carry_out(download, stack, at_once)
        raise GcodeAborted(f"job {job_id}: the download was called off")

    def _take(self, stack: ExitStack, entry: Entry, origin: str) -> GrowingGcode | None:
        """A complete entry, locked against changes until the stack is closed."""
        lock = entry.lock_shared()
        if lock is None:
            return None
        with ExitStack() as held:
            held.enter_context(lock)
            facts = entry.load(origin)
            if facts is None:
                return None
            entry.touch()
            gcode = GrowingGcode(held.enter_context(facts.path.open("rb")), facts.size)
            gcode.finish(facts)
            stack.push(held.pop_all())
            return gcode

    def _begin(
        self, stack: ExitStack, entry: Entry, lock: Lock, source: GcodeSource, wishes: Wishes
    ) -> Download:
        """Ask the source, and make room for what it announces."""
        try:
            entry.clear()
            with ExitStack() as opened:
                stream = opened.enter_context(source.open(entry.job_id))
                if stream.size is not None:
                    self._make_room(stream.size)
                # What is written can be read at once, through the same descriptor.
                file = stack.enter_context(entry.part.open("w+b", buffering=0))
                return Download(
                    entry,
                    lock,
                    source.locate(entry.job_id),
                    wishes,
                    stream=stream,
                    file=file,
                    source=opened.pop_all(),
                )
        except BaseException:
            entry.remove()
            raise

    def tidy(self) -> None:
        """Keep to the limit; a failure must not spoil what has been done."""
        self._try_to_make_room(0, all_but_last=True)

    def _try_to_make_room(self, needed_bytes: int, *, all_but_last: bool = False) -> None:
        try:
            self._make_room(needed_bytes, all_but_last=all_but_last)
        except OSError as error:
            fields = {"folder": str(self._folder), "error": error.strerror}
            logger.warning("gcode_cache_not_tidied", extra={"fields": fields})

    def _make_room(self, needed_bytes: int, *, all_but_last: bool = False) -> None:
        """Remove what killed downloads left, then what was used least recently."""
        present = holdings(self._folder)
        excess = sum(holding.bytes for holding in present) + needed_bytes - self._limit_bytes
        for holding in present:
            if not holding.is_complete and _remove(holding.entry, only_if_incomplete=True):
                excess -= _removed(holding)
        if excess <= 0:
            return
        complete = [holding for holding in present if holding.is_complete]
        complete.sort(key=lambda holding: holding.entry.last_used())
        for holding in complete[:-1] if all_but_last else complete:
            if excess > 0 and _remove(holding.entry):
                excess -= _removed(holding)


def _carry_out(download: Download, stack: ExitStack, at_once: bool) -> GrowingGcode:
    """Download it all, or go on with that in the background until the stack is closed."""
    if at_once:
        for action in (download.receive, download.examine):
            thread = threading.Thread(target=action, name="download", daemon=True)
            thread.start()
            stack.callback(thread.join)
    else:
        download.receive()
        download.examine()
        download.gcode.facts()
    return download.gcode


def _remove(entry: Entry, *, only_if_incomplete: bool = False) -> bool:
    """Remove an entry unless somebody uses it, or has completed it meanwhile."""
    lock = entry.lock_exclusively()
    if lock is None:
        return False
    with lock:
        if only_if_incomplete and entry.is_complete:
            return False
        entry.remove()
    return True


def _removed(holding: Holding) -> int:
    """Say that it is gone; gives the bytes that are free now."""
    fields = {"size": holding.bytes}
    logger.info("gcode_removed", extra={"job_id": holding.entry.job_id, "fields": fields})
    return holding.bytes
