"""G-code that is read while it is being downloaded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pms.errors import PMSError
from tests.support.waiting import wait_until
from workers.gcode import CachedGcode, GcodeCache, GrowingGcode
from workers.gcode_folder import Entry
from workers.gcode_sources import (
    GcodeAborted,
    GcodeStream,
    GcodeUnavailable,
    GcodeUnusable,
    LocalSource,
)

CONTENT = b"G28\nG1 X10\nM0\nM84\n"
NO_LIMIT = 1 << 40
TIMEOUT_S = 20.0


class SlowSource:
    """Announces the size and gives a chunk for each `give`."""

    def __init__(self, size: int | None = len(CONTENT)) -> None:
        self.closed = threading.Event()
        self._size = size
        self._chunks: list[bytes | Exception] = []
        self._given = threading.Semaphore(0)

    def locate(self, job_id: int) -> str:
        return f"slow:{job_id}"

    def give(self, *chunks: bytes | Exception) -> None:
        """Chunks, and perhaps how it ends; an empty one is the end."""
        self._chunks += chunks
        self._given.release(len(chunks))

    @contextmanager
    def open(self, job_id: int) -> Iterator[GcodeStream]:
        yield GcodeStream(self._stream(), self._size)
        self.closed.set()

    def _stream(self) -> Iterator[bytes]:
        while True:
            assert self._given.acquire(timeout=TIMEOUT_S)
            match self._chunks.pop(0):
                case Exception() as error:
                    raise error
                case b"":
                    return
                case chunk:
                    yield chunk


@pytest.fixture
def source() -> Iterator[SlowSource]:
    source = SlowSource()
    yield source
    source.give(GcodeUnavailable("the test is over"))


@pytest.fixture
def cache(tmp_path: Path) -> GcodeCache:
    return GcodeCache(tmp_path, NO_LIMIT)


def read(gcode: GrowingGcode, count: int) -> bytes:
    """So many bytes, in as many reads as that takes."""
    got = b""
    while len(got) < count:
        block = gcode.read(count - len(got))
        assert block
        got += block
    return got


def test_what_has_come_can_be_read_before_the_rest_has(
    cache: GcodeCache, source: SlowSource
) -> None:
    with cache.fetch(7, source, at_once=True) as gcode:
        assert gcode.size == len(CONTENT)
        source.give(CONTENT[:6])
        assert read(gcode, 6) == CONTENT[:6]
        source.give(CONTENT[6:], b"")
        assert read(gcode, len(CONTENT) - 6) == CONTENT[6:]
        assert gcode.read(10) == b""
        assert gcode.facts().finish_marker == CONTENT.index(b"M84")


def test_the_last_byte_waits_until_all_is_known_to_be_good(
    cache: GcodeCache, source: SlowSource
) -> None:
    checking, go_on = threading.Event(), threading.Event()

    def check(_gcode: CachedGcode) -> None:
        checking.set()
        assert go_on.wait(TIMEOUT_S)

    with (
        ThreadPoolExecutor() as pool,
        cache.fetch(7, source, at_once=True, check=check) as gcode,
    ):
        source.give(CONTENT, b"")
        assert read(gcode, len(CONTENT) - 1) == CONTENT[:-1]
        last = pool.submit(gcode.read, 10)
        assert checking.wait(TIMEOUT_S)
        assert not last.done()

        go_on.set()

        assert last.result(TIMEOUT_S) == CONTENT[-1:]


class NotThisOneError(PMSError):
    """Raised by a check."""


def refuse(_gcode: CachedGcode) -> None:
    raise NotThisOneError("another file")


def test_what_is_refused_cannot_be_read_to_its_end_and_is_not_kept(
    cache: GcodeCache, source: SlowSource, tmp_path: Path
) -> None:
    source.give(CONTENT, b"")
    with (
        pytest.raises(NotThisOneError),
        cache.fetch(7, source, at_once=True, check=refuse) as gcode,
    ):
        read(gcode, len(CONTENT))

    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_cache_is_checked_too(cache: GcodeCache, source: SlowSource) -> None:
    source.give(CONTENT, b"")
    with cache.fetch(7, source):
        pass

    with pytest.raises(NotThisOneError), cache.fetch(7, source, at_once=True, check=refuse):
        pytest.fail("it was refused")

    assert cache.discard(7)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ((CONTENT[6:-1], b""), GcodeUnavailable),
        ((CONTENT[6:] + b"G1\n", b""), GcodeUnavailable),
        ((GcodeUnavailable("gone"),), GcodeUnavailable),
    ],
)
def test_a_download_that_goes_wrong_ends_the_reading_and_leaves_nothing(
    cache: GcodeCache,
    source: SlowSource,
    tmp_path: Path,
    end: tuple[bytes | Exception, ...],
    expected: type[Exception],
) -> None:
    source.give(CONTENT[:6], *end)
    with pytest.raises(expected), cache.fetch(7, source, at_once=True) as gcode:
        read(gcode, len(CONTENT))

    assert list(tmp_path.iterdir()) == []


def test_what_prints_nothing_cannot_be_read_to_its_end(cache: GcodeCache) -> None:
    source = SlowSource(size=8)
    source.give(b"; a part", b"")

    with pytest.raises(GcodeUnusable), cache.fetch(7, source, at_once=True) as gcode:
        read(gcode, 8)


def test_an_abort_ends_the_reading(cache: GcodeCache, source: SlowSource) -> None:
    over = threading.Event()
    with cache.fetch(7, source, at_once=True, abort=over.is_set) as gcode:
        source.give(CONTENT[:6])
        read(gcode, 6)
        over.set()
        source.give(CONTENT[6:])
        with pytest.raises(GcodeAborted):
            gcode.read(1)


def test_the_exit_waits_for_the_download_which_is_then_kept(
    cache: GcodeCache, source: SlowSource
) -> None:
    with ThreadPoolExecutor() as pool:

        def give_up() -> None:
            with cache.fetch(7, source, at_once=True):
                raise PMSError("OctoPrint is not there")

        leaving = pool.submit(give_up)
        source.give(CONTENT[:6])
        wait_until(lambda: not leaving.done(), TIMEOUT_S, "the exit")
        source.give(CONTENT[6:], b"")
        with pytest.raises(PMSError, match="not there"):
            leaving.result(TIMEOUT_S)

    with cache.fetch(7, SlowSource()) as gcode:
        assert read(gcode, len(CONTENT)) == CONTENT


def test_others_use_it_once_it_is_complete_even_while_the_first_one_still_sends_it(
    cache: GcodeCache, source: SlowSource
) -> None:
    with cache.fetch(7, source, at_once=True) as first:
        source.give(CONTENT, b"")
        with cache.fetch(7, SlowSource(), at_once=True) as second:
            assert read(second, len(CONTENT)) == CONTENT
        assert source.closed.wait(TIMEOUT_S)
        assert not cache.discard(7)
        assert read(first, len(CONTENT)) == CONTENT

    assert cache.discard(7)


def test_a_failure_to_keep_it_is_not_a_failure_of_this_copy(
    cache: GcodeCache, source: SlowSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Entry, "publish", fail)
    source.give(CONTENT, b"")

    with cache.fetch(7, source, at_once=True) as gcode:
        assert read(gcode, len(CONTENT)) == CONTENT

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_loses_its_end_in_the_cache_is_noticed(
    cache: GcodeCache, source: SlowSource
) -> None:
    source.give(CONTENT, b"")
    with cache.fetch(7, source) as gcode:
        path = gcode.facts().path
        assert read(gcode, 6) == CONTENT[:6]
        with path.open("r+b") as file:
            file.truncate(6)
        with pytest.raises(GcodeUnavailable, match="has lost its end"):
            gcode.read(1)


def test_a_local_file_that_grows_while_it_is_read_is_not_taken(
    cache: GcodeCache, tmp_path: Path
) -> None:
    local = tmp_path / "job_7.gcode"
    local.write_bytes(CONTENT)

    def add(received: int, _size: int | None) -> None:
        with local.open("ab") as file:
            file.write(b"G1 X1\n")

    with (
        pytest.raises(GcodeUnavailable, match="has changed while it was read"),
        cache.fetch(7, LocalSource(tmp_path), at_once=True, on_progress=add) as gcode,
    ):
        gcode.facts()


@given(content=st.binary(min_size=1, max_size=50), blocks=st.lists(st.integers(1, 60)))
def test_any_reading_gives_all_of_it_in_order(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, blocks: list[int]
) -> None:
    whole = b"G28\n" + content
    source = SlowSource(len(whole))
    source.give(*(bytes([value]) for value in whole), b"")
    folder = tmp_path_factory.mktemp("cache")
    with GcodeCache(folder, NO_LIMIT).fetch(1, source, at_once=True) as gcode:
        got = b"".join(gcode.read(block) for block in blocks)
        while block := gcode.read(9):
            got += block
    assert got == whole


def test_of_an_unknown_size_it_can_be_read_before_it_has_been_examined(cache: GcodeCache) -> None:
    checking, go_on = threading.Event(), threading.Event()
    source = SlowSource(size=None)
    source.give(CONTENT, b"")

    def check(_gcode: CachedGcode) -> None:
        checking.set()
        assert go_on.wait(TIMEOUT_S)

    with cache.fetch(7, source, at_once=True, check=check) as gcode:
        assert gcode.wait_for_size() == len(CONTENT)
        assert read(gcode, len(CONTENT) - 1) == CONTENT[:-1]
        assert checking.wait(TIMEOUT_S)
        go_on.set()
        assert read(gcode, 1) == CONTENT[-1:]


def test_what_breaks_off_or_is_empty_never_gets_a_size(cache: GcodeCache, tmp_path: Path) -> None:
    for end, expected in ((b"", GcodeUnusable), (GcodeUnavailable("gone"), GcodeUnavailable)):
        source = SlowSource(size=None)
        source.give(end)
        with pytest.raises(expected), cache.fetch(7, source, at_once=True) as gcode:
            gcode.wait_for_size()

    assert list(tmp_path.iterdir()) == []
