"""Transfers to a real OctoPrint whose disk is really full."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from pms.domain.states import TransferProblem
from tests.support.gcode import GeneratedGcode
from tests.support.printers import OctoPrintFactory
from tests.support.small_disk import disk_of, on_small_disks
from tests.support.specs import worker_spec
from workers.octoprint import OctoPrint
from workers.octoprint_errors import DiskFull, UploadCut
from workers.steps import BeginTransfer, TransferOutcome
from workers.transfer import Transfer

pytestmark = pytest.mark.timeout(60)

MB = 1_000_000
PATH = "pms/job-1_print-2_try-3.gcode"
JOB = 1


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OctoPrintServer]:
    """8 MiB for files, and 7 MiB for those that are still on their way."""
    folder = tmp_path_factory.mktemp("octoprints")
    program = on_small_disks(find_octoprint(), folder / "octoprint", uploads=8, tmp=7)
    factory = OctoPrintFactory(program, folder)
    try:
        (server,) = factory()
        yield server
    finally:
        factory.close()


@pytest.fixture
def server(started: OctoPrintServer) -> OctoPrintServer:
    """The same with both disks empty."""
    started.request("DELETE", "/api/files/local/pms")
    for file in [*disk_of(started, "tmp").iterdir(), *disk_of(started, "uploads").glob("*.gcode")]:
        # OctoPrint keeps what was cut off open, so that deleting alone would free nothing.
        os.truncate(file, 0)
        file.unlink()
    return started


@pytest.fixture
def client(server: OctoPrintServer) -> Iterator[OctoPrint]:
    with OctoPrint(server.url, server.api_key) as client:
        yield client


def fill(server: OctoPrintServer, size: int) -> Path:
    """What somebody keeps there."""
    film = disk_of(server, "uploads") / "film.gcode"
    film.write_bytes(bytes(size))
    return film


def gcode_of(size: int, folder: Path) -> Path:
    path = folder / f"job_{JOB}.gcode"
    with path.open("wb") as file:
        file.writelines(GeneratedGcode(size).chunks())
    return path


def upload(client: OctoPrint, local: Path) -> str:
    return client.upload(local, PATH, lambda sent, total: None, 10.0, lambda: False)


def transfer(
    server: OctoPrintServer,
    folder: Path,
    *,
    retries: int = 0,
    on_progress: Callable[[int, int], None] = lambda sent, total: None,
) -> TransferOutcome:
    """Bring the file of `gcode_of` there, as the process of a printer does."""
    spec = worker_spec(folder, address=server.url, api_key=server.api_key, transfer_retries=retries)
    outcomes: queue.SimpleQueue[TransferOutcome] = queue.SimpleQueue()
    Transfer(
        spec,
        BeginTransfer(5, 2, JOB, PATH),
        on_fetch=lambda received: None,
        on_progress=on_progress,
        on_end=outcomes.put,
    ).start()
    return outcomes.get(timeout=30.0)


# -- what OctoPrint does -----------------------------------------------------------------


def test_a_full_disk_is_told_from_other_failures(
    server: OctoPrintServer, client: OctoPrint, tmp_path: Path
) -> None:
    free = client.free_bytes()
    assert free is not None
    assert 7 * MB < free < 9 * MB
    fill(server, 5 * MB)
    with pytest.raises(DiskFull, match="delete files"):
        upload(client, gcode_of(5 * MB, tmp_path))
    # What fitted is left there, under the name of a whole file.
    left = client.file(PATH)
    assert left is not None
    assert left.size < 5 * MB


def test_an_upload_is_cut_off_when_the_temporary_folder_is_full(
    server: OctoPrintServer, client: OctoPrint, tmp_path: Path
) -> None:
    with pytest.raises(UploadCut, match="temporary folder"):
        upload(client, gcode_of(int(7.5 * MB), tmp_path))
    assert client.file(PATH) is None


# -- what the process of a printer makes of it -------------------------------------------


def test_what_cannot_fit_is_not_sent(
    server: OctoPrintServer, client: OctoPrint, tmp_path: Path
) -> None:
    film = fill(server, 5 * MB)
    gcode_of(5 * MB, tmp_path)
    outcome = transfer(server, tmp_path, retries=5)
    assert (outcome.problem, outcome.bytes_needed) == (TransferProblem.NO_ROOM, 5 * MB)
    assert outcome.detail == (
        "OctoPrint has 3.4 MB free, the G-code needs 5.0 MB: delete files there"
    )
    # An upload would have left its beginning there for ever.
    assert list(disk_of(server, "tmp").iterdir()) == []
    assert client.file(PATH) is None

    film.unlink()
    assert transfer(server, tmp_path).problem is None


def test_a_disk_that_fills_up_during_the_upload(
    server: OctoPrintServer, client: OctoPrint, tmp_path: Path
) -> None:
    gcode_of(5 * MB, tmp_path)

    def fill_up(sent: int, total: int) -> None:
        if sent < total:
            fill(server, 5 * MB)

    outcome = transfer(server, tmp_path, retries=1, on_progress=fill_up)
    assert outcome.problem is TransferProblem.NO_ROOM
    # Not counting what the upload itself has left there.
    assert outcome.detail.startswith("OctoPrint has 3.4 MB free")
    assert client.file(PATH) is None


def test_a_temporary_folder_that_is_full_is_named_when_the_retries_are_used_up(
    server: OctoPrintServer, tmp_path: Path
) -> None:
    gcode_of(int(7.5 * MB), tmp_path)
    outcome = transfer(server, tmp_path, retries=1)
    assert (outcome.problem, outcome.bytes_needed) == (TransferProblem.NO_ROOM, None)
    assert "temporary folder is full: free space there" in outcome.detail
