"""A transfer as its printer's process starts it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pms.domain.states import TransferProblem
from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode
from tests.support.ports import HOST, free_port
from tests.support.simulator import SimulatedPrinter, Simulator
from tests.support.small_disk import small_disk
from tests.support.specs import worker_spec
from tests.support.waiting import wait_until
from workers.gcode import GcodeCache
from workers.gcode_sources import GcodeUnavailable, LocalSource
from workers.steps import BeginTransfer, TransferOutcome
from workers.transfer import Transfer

JOB = 1
END_S = 20.0


PATH = "pms/job-1_print-2_try-3.gcode"
GCODE = GeneratedGcode(2_000_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    simulator.stop()


@pytest.fixture
def printer(shared: Simulator) -> SimulatedPrinter:
    shared.act("stop")
    shared.act("start")
    printer = shared.printers[0]
    printer.wait_state("Operational")
    printer.request("DELETE", f"/api/files/local/{PATH}")
    return printer


def transfer(
    folder: Path,
    file_server: FileServer,
    on_progress: Callable[[int, int], None] = lambda _sent, _total: None,
    expected_sha1: str | None = None,
    is_new: bool = True,
    **settings: Any,
) -> TransferOutcome:
    """From beginning to end."""
    outcomes: queue.SimpleQueue[TransferOutcome] = queue.SimpleQueue()
    Transfer(
        worker_spec(folder, file_server_base_url=file_server.base_url, **settings),
        BeginTransfer(5, 2, JOB, PATH, expected_sha1, is_new),
        on_fetch=lambda _received: None,
        on_progress=on_progress,
        on_end=outcomes.put,
    ).start()
    return outcomes.get(timeout=END_S)


class Halting:
    """G-code of which the second half comes only when somebody wants it."""

    size = GCODE.size

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.was_wanted = False

    def chunks(self) -> Iterator[bytes]:
        sent = 0
        for chunk in GCODE.chunks():
            yield chunk
            sent += len(chunk)
            if sent > self.size / 2:
                self.was_wanted = self.go_on.wait(END_S)


def test_it_is_sent_while_the_rest_is_still_on_its_way(
    file_server: FileServer, tmp_path: Path, printer: SimulatedPrinter
) -> None:
    content = Halting()
    file_server.put(JOB, content, with_length=True)

    outcome = transfer(
        tmp_path,
        file_server,
        lambda sent, _total: content.go_on.set() if sent else None,
        address=printer.url,
        api_key=printer.api_key,
    )

    assert content.was_wanted
    assert (outcome.problem, outcome.size, outcome.sha1) == (None, GCODE.size, GCODE.sha1)
    assert outcome.finish_marker == GCODE.finished_byte_pos
    assert len(file_server.requests_for(JOB)) == 1


@pytest.mark.parametrize("with_length", [False, True])
def test_a_file_server_that_breaks_off_is_asked_again_and_nothing_half_is_left(
    file_server: FileServer, tmp_path: Path, printer: SimulatedPrinter, with_length: bool
) -> None:
    file_server.put(JOB, GCODE, with_length=with_length, cuts=2, cut_after=1_500_000)

    outcome = transfer(tmp_path, file_server, address=printer.url, api_key=printer.api_key)

    assert (outcome.problem, outcome.size, outcome.sha1) == (None, GCODE.size, GCODE.sha1)
    assert len(file_server.requests_for(JOB)) == 3


@pytest.mark.parametrize("with_length", [False, True])
def test_another_file_than_that_of_earlier_copies_never_arrives_whole(
    file_server: FileServer, tmp_path: Path, printer: SimulatedPrinter, with_length: bool
) -> None:
    file_server.put(JOB, GCODE, with_length=with_length)

    outcome = transfer(
        tmp_path, file_server, expected_sha1="0" * 40, address=printer.url, api_key=printer.api_key
    )

    assert outcome.problem is TransferProblem.GCODE_UNUSABLE
    status, _ = printer.request("GET", f"/api/files/local/{PATH}")
    assert status == 404
    assert not list((tmp_path / "cache").glob("*.gcode"))


@pytest.mark.parametrize("is_new", [False, True])
def test_a_file_that_was_there_before_is_removed_with_its_history(
    file_server: FileServer, tmp_path: Path, printer: SimulatedPrinter, is_new: bool
) -> None:
    content = b"G4 P1\n"
    printer.upload(PATH, content)
    printer.select_and_print(PATH)
    printer.wait_state("Operational")
    file_server.put(JOB, content)

    outcome = transfer(
        tmp_path, file_server, is_new=is_new, address=printer.url, api_key=printer.api_key
    )

    assert outcome.problem is None
    _, stored = printer.request("GET", f"/api/files/local/{PATH}")
    assert "prints" not in stored


def test_what_is_fetched_is_told_before_any_of_it_can_be_sent(
    file_server: FileServer, tmp_path: Path
) -> None:
    gcode = GeneratedGcode(1_000_000)
    file_server.put(JOB, gcode)
    spec = worker_spec(
        tmp_path,
        address=f"http://{HOST}:{free_port()}",
        file_server_base_url=file_server.base_url,
        transfer_retries=0,
    )
    fetched: list[int] = []
    outcomes: queue.SimpleQueue[TransferOutcome] = queue.SimpleQueue()
    Transfer(
        spec,
        BeginTransfer(5, 2, JOB, "pms/job-1_print-2_try-3.gcode"),
        on_fetch=fetched.append,
        on_progress=lambda sent, total: None,
        on_end=outcomes.put,
    ).start()
    assert outcomes.get(timeout=END_S).problem is TransferProblem.UPLOAD_FAILED
    assert 0 < fetched[0] <= 1_000_000


@pytest.mark.parametrize("at_once", [False, True])
def test_of_a_cache_whose_disk_takes_only_a_part_nothing_is_ever_used(
    tmp_path: Path, at_once: bool
) -> None:
    # Its last block fits in part.
    (tmp_path / f"job_{JOB}.gcode").write_bytes(b"G1 X1\n" * 170_000)
    with small_disk(1) as disk:
        (disk.path / "other").write_bytes(bytes(100_000))
        cache = GcodeCache(disk.path / "cache", 10**9)
        with (
            pytest.raises(GcodeUnavailable, match="its disk is full"),
            cache.fetch(JOB, LocalSource(tmp_path), at_once=at_once) as gcode,
        ):
            gcode.facts()
        assert list((disk.path / "cache").iterdir()) == []


def test_after_a_transfer_the_cache_keeps_to_its_limit(
    file_server: FileServer, tmp_path: Path, printer: SimulatedPrinter
) -> None:
    cache, older = tmp_path / "cache", tmp_path / "job_9.gcode"
    older.write_bytes(b"G28\n" * 1000)
    with GcodeCache(cache, 1).fetch(9, LocalSource(tmp_path)):
        pass
    assert (cache / "job-9.gcode").exists()
    file_server.put(JOB, GCODE)

    outcome = transfer(
        tmp_path, file_server, address=printer.url, api_key=printer.api_key, cache_bytes=GCODE.size
    )

    assert outcome.problem is None
    wait_until(lambda: not (cache / "job-9.gcode").exists(), END_S, "room in the cache")
    assert (cache / f"job-{JOB}.gcode").exists()
