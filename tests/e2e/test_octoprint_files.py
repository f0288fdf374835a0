"""The files of PMS on OctoPrint: which ones go and when, and what if there is no room for more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import dwelling_gcode
from tests.support.print_shop import padded
from tests.support.printers import OctoPrintFactory
from tests.support.small_disk import on_small_disks
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

DAY_S = 86400
MB = 1_000_000


def files(server: OctoPrintServer) -> set[str]:
    """All that OctoPrint holds."""
    _, answer = server.request("GET", "/api/files/local?recursive=true&force=true")
    return set(_paths(answer["files"]))


def _paths(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        if entry["type"] == "folder":
            yield from _paths(entry["children"])
        else:
            yield entry["path"]


def put(server: OctoPrintServer, name: str, age_days: float) -> str:
    """A file that has been there for so long."""
    path = server.upload(name, b"G28\n")
    then = time.time() - age_days * DAY_S
    os.utime(server.uploads / path, (then, then))
    return path


def test_what_is_old_and_ours_goes_and_nothing_else(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    selected = put(server, "pms/job-901_print-1_try-1.gcode", 30)
    young = put(server, "pms/job-902_print-1_try-1.gcode", 2.9)
    foreign = [
        put(server, "job-903_print-1_try-1.gcode", 30),
        put(server, "pms/benchy.gcode", 30),
        put(server, "mine/job-904_print-1_try-1.gcode", 30),
    ]
    # The first and the last that are looked at, in whatever order.
    old = {put(server, f"pms/job-{n}_print-1_try-1.gcode", 3.1) for n in (900, 999)}
    server.request("POST", f"/api/files/local/{selected}", {"command": "select", "print": False})
    farm.add_printer("p1", server)
    farm.start(PMS_FILE_RETENTION_DAYS="3")
    wait_until(lambda: not old & files(server), TIMEOUT_S, "the end of the old files")
    assert files(server) == {selected, young, *foreign}
    assert not farm.log_lines("ERROR")


def test_what_a_killed_process_has_not_deleted_is_deleted_by_the_next_one(
    farm: Farm, octoprints: OctoPrints, tmp_path: Path
) -> None:
    (server,) = octoprints(1)
    farm.add_printer("p1", server, autostart=True)
    marker = tmp_path / "killed"
    # It dies when another file is selected, and so with the next copy in its hands.
    farm.start(PMS_FILE_RETENTION_DAYS="0", PMS_TEST_CRASH_AT=f"call_DeleteFile={marker}")
    first = farm.pay(dwelling_gcode(seconds=0.3))
    farm.wait_for_completion(first)
    second = farm.pay(dwelling_gcode(seconds=0.3))
    farm.wait_for_completion(second)
    assert marker.exists()
    (left,) = farm.attempts(second)
    # What is selected stays, as OctoPrint keeps it selected after its end.
    wait_until(lambda: files(server) == {left["remote_path"]}, TIMEOUT_S, "one file to be left")
    assert [row["state"] for row in farm.attempts(first)] == ["cleared"]


def test_a_full_disk_names_its_printer_and_another_one_prints(
    farm: Farm, octoprints: OctoPrints, small: OctoPrintServer
) -> None:
    (roomy,) = octoprints(1)
    full_id = farm.add_printer("full", small, autostart=True)
    small.upload("film.gcode", bytes(5 * MB))
    farm.start()
    farm.wait_for_printer("full", "idle")
    first = farm.pay(padded(dwelling_gcode(seconds=0.3), 5 * MB))
    (words,) = wait_until(lambda: farm.attention(printer_id=full_id), TIMEOUT_S, "attention")
    assert words.startswith("OctoPrint has 3.4 MB free, the G-code needs 5.0 MB: delete files")
    shown = farm.coordinator.run("status").stdout
    assert "printer full: OctoPrint has 3.4 MB free" in " ".join(shown.split())
    farm.wait_for_reason(first, "rest")

    roomy_id = farm.add_printer("roomy", roomy, autostart=True)
    farm.wait_for_completion(first)
    assert {row["printer_id"] for row in farm.openfarm.prints(first)} == {roomy_id}
    assert farm.attention(printer_id=full_id) == [words]

    farm.openfarm.update("printers", roomy_id, enabled=False)
    farm.wait_for_printer("roomy", "disabled")
    small.request("DELETE", "/api/files/local/film.gcode")
    # For who does not want to wait until it is tried again.
    farm.coordinator.run("printer", "enable", "full")
    second = farm.pay(padded(dwelling_gcode(seconds=0.3), 5 * MB))
    farm.wait_for_completion(second)
    assert {row["printer_id"] for row in farm.openfarm.prints(second)} == {full_id}
    assert farm.attention(printer_id=full_id) == []
    assert not farm.log_lines("ERROR")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[OctoPrintServer]:
    """An OctoPrint with 8 MiB for its files."""
    program = on_small_disks(find_octoprint(), tmp_path / "octoprint", uploads=8)
    factory = OctoPrintFactory(program, tmp_path)
    try:
        (server,) = factory()
        yield server
    finally:
        factory.close()
