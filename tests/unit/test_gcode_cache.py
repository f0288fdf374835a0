from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pms.domain.gcode_scan import GcodeScanner
from tests.support.waiting import wait_until
from workers.gcode import CachedGcode, GcodeCache, GrowingGcode
from workers.gcode_folder import Entry
from workers.gcode_sources import (
    GcodeAborted,
    GcodeError,
    GcodeMissing,
    GcodeStream,
    GcodeUnavailable,
    GcodeUnusable,
    LocalSource,
)

CONTENT = b"; a part\nG28\nG1 X10\nM0\nM84\n"
MARKER = CONTENT.index(b"M84")
NO_LIMIT = 1 << 40
TIMEOUT_S = 20.0


class MemorySource:
    """Gives the same content for every job, a chunk at a time, and counts how often."""

    def __init__(
        self,
        *chunks: bytes,
        size: int | None = None,
        error: Exception | None = None,
        name: str = "memory",
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.opened = 0
        self._chunks = chunks
        self._size = size
        self._error = error
        self._name = name
        self._between = between

    def locate(self, job_id: int) -> str:
        return f"{self._name}:{job_id}"

    @contextmanager
    def open(self, job_id: int) -> Iterator[GcodeStream]:
        self.opened += 1
        yield GcodeStream(self._stream(), self._size)

    def _stream(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            self._between()
        if self._error is not None:
            raise self._error


DOWN = MemorySource(error=GcodeUnavailable("the source must not be asked"))


def fetch(cache: GcodeCache, job_id: int = 7, source: MemorySource | None = None) -> CachedGcode:
    with cache.fetch(job_id, source or MemorySource(CONTENT)) as gcode:
        facts = gcode.facts()
    cache.tidy()
    return facts


def read(gcode: GrowingGcode, block: int = 7) -> bytes:
    """All that is to come, a few bytes at a time."""
    return b"".join(iter(lambda: gcode.read(block), b""))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def cached_jobs(folder: Path) -> set[int]:
    return {int(path.stem.removeprefix("job-")) for path in folder.glob("*.gcode")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "cache"


def test_a_download_is_kept_with_what_was_found_on_the_way(folder: Path) -> None:
    with GcodeCache(folder, NO_LIMIT).fetch(7, MemorySource(CONTENT[:11], CONTENT[11:])) as gcode:
        facts = gcode.facts()
        assert facts.path.read_bytes() == CONTENT
        assert read(gcode) == CONTENT

    assert gcode.size == facts.size == len(CONTENT)
    assert facts.sha1 == hashlib.sha1(CONTENT).hexdigest()
    assert facts.finish_marker == MARKER
    assert names(folder) == {"job-7.gcode", "job-7.json"}


def test_a_cached_copy_is_used_without_asking_the_source(folder: Path) -> None:
    first = fetch(GcodeCache(folder, NO_LIMIT))

    assert fetch(GcodeCache(folder, NO_LIMIT), source=MemorySource(error=GcodeMissing(""))) == first


def test_a_copy_from_another_source_is_not_used(folder: Path) -> None:
    fetch(GcodeCache(folder, NO_LIMIT))

    gcode = fetch(GcodeCache(folder, NO_LIMIT), source=MemorySource(b"G1 X1\n", name="other"))

    assert gcode.size == 6


def lose_voucher(entry: Entry) -> None:
    entry.gcode.with_suffix(".json").unlink()


def lose_gcode(entry: Entry) -> None:
    entry.gcode.unlink()


def cut_gcode(entry: Entry) -> None:
    os.truncate(entry.gcode, 5)


def cut_voucher(entry: Entry) -> None:
    os.truncate(entry.gcode.with_suffix(".json"), 5)


def spoil_voucher(entry: Entry) -> None:
    entry.gcode.with_suffix(".json").write_bytes(b'{"origin": "\xff"}')


def empty_voucher(entry: Entry) -> None:
    entry.gcode.with_suffix(".json").write_text("{}")


@pytest.mark.parametrize(
    "damage", [lose_voucher, lose_gcode, cut_gcode, cut_voucher, empty_voucher, spoil_voucher]
)
def test_an_incomplete_copy_is_downloaded_again(
    folder: Path, damage: Callable[[Entry], None]
) -> None:
    cache = GcodeCache(folder, NO_LIMIT)
    fetch(cache)
    damage(Entry(folder, 7))
    source = MemorySource(CONTENT)

    with cache.fetch(7, source) as gcode:
        assert gcode.facts().path.read_bytes() == CONTENT

    assert source.opened == 1


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([], "job 7: the G-code from memory:7 is empty; upload another file or reject the job"),
        ([b"; only\n\n", b"(comments)\n"], "holds not a single command"),
    ],
)
def test_what_prints_nothing_is_refused_and_not_kept(
    folder: Path, chunks: list[bytes], words: str
) -> None:
    with pytest.raises(GcodeUnusable) as caught:
        fetch(GcodeCache(folder, NO_LIMIT), source=MemorySource(*chunks))

    assert words in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing(folder: Path) -> None:
    cache = GcodeCache(folder, NO_LIMIT)
    with pytest.raises(GcodeUnavailable, match="gone"):
        fetch(cache, source=MemorySource(CONTENT, error=GcodeUnavailable("gone")))

    assert list(folder.iterdir()) == []
    assert fetch(cache).size == len(CONTENT)


def test_progress_is_told_after_each_chunk(folder: Path) -> None:
    told: list[tuple[int, int | None]] = []
    source = MemorySource(b"G28\n", b"M84\n", size=8)

    with GcodeCache(folder, NO_LIMIT).fetch(7, source, on_progress=lambda *how: told.append(how)):
        pass

    assert told == [(4, 8), (8, 8)]


@pytest.mark.parametrize("answers", [[True], [False, True], [False, False, True]])
def test_an_abort_ends_it_and_leaves_nothing(folder: Path, answers: list[bool]) -> None:
    asked = iter(answers)

    with (
        pytest.raises(GcodeAborted),
        GcodeCache(folder, NO_LIMIT).fetch(
            7, MemorySource(CONTENT, CONTENT), abort=lambda: next(asked)
        ),
    ):
        pytest.fail("there is no G-code")

    assert list(folder.iterdir()) == []


def test_what_the_caller_raises_comes_out_as_it_is(folder: Path) -> None:
    cache = GcodeCache(folder, NO_LIMIT)
    with pytest.raises(OSError, match="from the caller"), cache.fetch(7, MemorySource(CONTENT)):
        raise OSError("from the caller")

    assert cache.discard(7)


def test_the_least_recently_used_goes_first(folder: Path) -> None:
    cache = GcodeCache(folder, 3 * len(CONTENT))
    for job_id in (1, 2, 3):
        fetch(cache, job_id)
        os.utime(folder / f"job-{job_id}.json", (job_id, job_id))
    fetch(cache, 1)

    fetch(cache, 4)

    assert cached_jobs(folder) == {1, 3, 4}
    assert len(names(folder)) == 6
    assert not (folder / "job-2.lock").exists()


def test_what_is_in_use_stays(folder: Path) -> None:
    cache = GcodeCache(folder, 1)

    with cache.fetch(1, MemorySource(CONTENT)) as first:
        fetch(cache, 2)
        fetch(cache, 3)
        assert first.facts().path.read_bytes() == CONTENT
        assert cached_jobs(folder) == {1, 3}
        assert not cache.discard(1)

    fetch(cache, 4)
    assert cached_jobs(folder) == {4}


def test_room_is_made_before_an_announced_size_arrives(folder: Path) -> None:
    cache = GcodeCache(folder, len(CONTENT))
    fetch(cache, 1)
    seen: list[set[int]] = []
    size = len(CONTENT)

    fetch(
        cache, 2, MemorySource(CONTENT, size=size, between=lambda: seen.append(cached_jobs(folder)))
    )

    assert seen == [set()]
    assert cached_jobs(folder) == {2}


def test_what_was_in_use_when_room_was_made_goes_at_the_next_fetch(folder: Path) -> None:
    cache = GcodeCache(folder, len(CONTENT))
    with cache.fetch(1, MemorySource(CONTENT)):
        fetch(cache, 2)
        assert cached_jobs(folder) == {1, 2}

    fetch(cache, 2, DOWN)

    assert cached_jobs(folder) == {2}


def test_leftovers_of_killed_downloads_are_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("job-1.part", "job-1.lock", "job-2.gcode", "job-3.json", "job-4.lock"):
        (folder / name).touch()
    (folder / "notes.txt").touch()
    Entry(folder, 5).part.touch()
    lock = Entry(folder, 5).lock_exclusively()
    assert lock is not None

    with lock:
        fetch(GcodeCache(folder, NO_LIMIT))

    assert names(folder) == {"job-7.gcode", "job-7.json", "job-5.part", "notes.txt"}


def test_discard_forgets_a_job(folder: Path) -> None:
    cache = GcodeCache(folder, NO_LIMIT)
    assert cache.discard(7)
    fetch(cache)

    assert cache.discard(7)

    assert list(folder.iterdir()) == []


def test_a_full_disk_is_said_in_words_and_what_is_not_used_goes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = GcodeCache(folder, NO_LIMIT)
    fetch(cache, 1)

    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(GcodeScanner, "feed", fail)
        with pytest.raises(GcodeUnavailable) as caught:
            fetch(cache)

    assert str(caught.value) == (
        f"job 7: the G-code cache {folder} cannot be used: its disk is full;"
        " free space on it or lower PMS_CACHE_BYTES"
    )
    assert list(folder.iterdir()) == []
    assert fetch(cache).size == len(CONTENT)


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"

    with pytest.raises(GcodeUnavailable) as caught:
        fetch(GcodeCache(folder, NO_LIMIT))

    assert str(caught.value) == (
        f"job 7: the G-code cache {folder} cannot be used: Not a directory; check PMS_DATA_DIR"
    )


@contextmanager
def download_under_way(
    folder: Path, error: GcodeError | None = None
) -> Iterator[tuple[threading.Event, ThreadPoolExecutor]]:
    """A download of job 7 that stands still after its first chunk until the event is set."""
    under_way, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        under_way.set()
        assert go_on.wait(TIMEOUT_S)

    source = MemorySource(CONTENT, between=stand_still, error=error)
    with ThreadPoolExecutor() as pool:
        pool.submit(fetch, GcodeCache(folder, NO_LIMIT), source=source)
        assert under_way.wait(TIMEOUT_S)
        try:
            yield go_on, pool
        finally:
            go_on.set()


class Watched:
    """An abort that is never wanted, and knows how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return False


def fetch_and_watch(folder: Path, source: MemorySource, watched: Watched) -> int:
    with GcodeCache(folder, NO_LIMIT).fetch(7, source, abort=watched) as gcode:
        return gcode.size


def test_others_wait_for_a_download_and_then_use_it(folder: Path) -> None:
    watches = [Watched() for _ in range(3)]
    with download_under_way(folder) as (go_on, pool):
        waiting = [pool.submit(fetch_and_watch, folder, DOWN, watch) for watch in watches]
        wait_until(lambda: all(watch.asked > 1 for watch in watches), TIMEOUT_S, "waiting")
        assert not any(future.done() for future in waiting)

        go_on.set()

        assert [future.result(TIMEOUT_S) for future in waiting] == [len(CONTENT)] * 3


def test_one_of_those_waiting_takes_over_when_the_download_fails(folder: Path) -> None:
    watches = [Watched() for _ in range(3)]
    source = MemorySource(CONTENT)
    with download_under_way(folder, error=GcodeUnavailable("gone")) as (go_on, pool):
        waiting = [pool.submit(fetch_and_watch, folder, source, watch) for watch in watches]
        wait_until(lambda: all(watch.asked > 1 for watch in watches), TIMEOUT_S, "waiting")

        go_on.set()

        assert [future.result(TIMEOUT_S) for future in waiting] == [len(CONTENT)] * 3
    assert source.opened == 1


def test_waiting_can_be_aborted(folder: Path) -> None:
    asked = iter([False, False, True])
    with (
        download_under_way(folder),
        pytest.raises(GcodeAborted),
        GcodeCache(folder, NO_LIMIT).fetch(7, DOWN, abort=lambda: next(asked)),
    ):
        pytest.fail("there is no G-code yet")

    assert cached_jobs(folder) == {7}


def test_a_local_file_is_found_by_its_job(tmp_path: Path, folder: Path) -> None:
    content = CONTENT * 50_000
    (tmp_path / "job_7.gcode").write_bytes(content)
    told: list[tuple[int, int | None]] = []

    with GcodeCache(folder, NO_LIMIT).fetch(
        7, LocalSource(tmp_path), on_progress=lambda *how: told.append(how)
    ) as gcode:
        assert gcode.facts().path.read_bytes() == content

    assert gcode.facts().finish_marker == len(content) - len(b"M84\n")
    assert len(told) > 1
    assert told[-1] == (len(content), len(content))


def test_a_missing_local_file_is_said_in_words(tmp_path: Path, folder: Path) -> None:
    with (
        pytest.raises(GcodeMissing) as caught,
        GcodeCache(folder, NO_LIMIT).fetch(7, LocalSource(tmp_path)),
    ):
        pytest.fail("there is no G-code")

    assert str(caught.value) == (
        f"job 7: there is no file {tmp_path}/job_7.gcode; put it there or reject the job"
    )
    assert list(folder.iterdir()) == []


def test_an_unreadable_local_file_is_said_in_words(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "job_7.gcode").mkdir()

    with (
        pytest.raises(GcodeUnavailable, match=r"job_7\.gcode cannot be read \(Is a directory\)"),
        GcodeCache(folder, NO_LIMIT).fetch(7, LocalSource(tmp_path)),
    ):
        pytest.fail("there is no G-code")
