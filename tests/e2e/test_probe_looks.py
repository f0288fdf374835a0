"""`pms-probe state`, `files` and `bench` against a real OctoPrint."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from pms.domain.scheduling import Assignment
from pms.domain.states import AttemptState, PrinterState
from pms.store import attempts, events, printers
from tests.support.farm import endless_gcode
from tests.support.gcode import dwelling_gcode
from tests.support.probing import Probe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

TIMEOUT_S = 30.0
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def add_printer(probe: Probe, server: OctoPrintServer) -> int:
    """Let the farm's database know the server as `mk4-1`, whose print 1 of job 1 is paused."""
    probe.commands.quickly(
        "printer", "add", "mk4-1", "--url", server.url, "--api-key", server.api_key, "--model", "M"
    )
    job = int(probe.commands.quickly("submit", probe.file("job.gcode", b"G28\n")))
    with probe.commands.database() as database, database.begin() as connection:
        printers.meet_new_ones(connection, NOW)
        printers.set_state(connection, 1, PrinterState.PAUSED, NOW, detail="by hand")
        attempt = attempts.claim(connection, Assignment(1, job, 1), NOW)
        attempts.move(connection, attempt.id, AttemptState.PAUSED, NOW)
        printers.occupy_bed(connection, 1, 1)
        events.record(connection, NOW, "print_paused", printer_id=1, job_id=job, print_id=1)
    return job


# -- state ------------------------------------------------------------------------


def test_the_state_of_a_print(probe: Probe, server: OctoPrintServer) -> None:
    server.select_and_print(server.upload("part.gcode", endless_gcode().content))
    server.wait_state("Printing")
    # OctoPrint reads them every few seconds.
    wait_until(
        lambda: probe.quickly("state")["temperatures"], TIMEOUT_S, "temperatures", interval_s=0.2
    )
    state = probe.json("state")
    assert (state["address"], state["activity"]) == (server.url, "printing")
    assert state["path"] == "part.gcode"
    assert 0.0 <= state["progress"] < 0.5
    assert state["temperatures"]["tool0"]["actual"] > 0
    assert state["connection"]["port"] == "VIRTUAL"
    assert (state["pms"], state["events"]) == (None, [])
    assert state["pms_unknown"] == "PMS has no database here"
    # Looking makes no database.
    assert not probe.commands.data_dir.exists()
    shown = probe.run("state")
    for words in ("Printing", "part.gcode", "VIRTUAL at 115200 baud", "tool0 300 °C", "none has"):
        assert words in shown
    assert "\x1b" not in shown


def test_the_state_as_pms_believes_it(probe: Probe, server: OctoPrintServer) -> None:
    add_printer(probe, server)
    by_url = probe.quickly("state")
    by_name = probe.commands.json("pms-probe", "state", "--printer", "mk4-1")
    assert by_name["pms"] == by_url["pms"]
    believed = by_name["pms"]
    assert (believed["name"], believed["state"], believed["detail"]) == (
        "mk4-1",
        "paused",
        "by hand",
    )
    assert (believed["bed"], believed["bed_print_id"]) == ("occupied", 1)
    assert believed["attempt"]["state"] == "paused"
    assert by_name["events"][-1]["kind"] == "print_paused"
    shown = probe.run("state")
    for words in ("occupied by print 1", "print 1 of job 1 is paused", "print_paused", "by hand"):
        assert words in shown
    assert "there is no printer 'x'" in probe.commands.refused("pms-probe", "state", "--printer=x")


def test_a_database_that_cannot_be_asked_hinders_no_look(probe: Probe) -> None:
    probe.commands.data_dir.mkdir()
    (probe.commands.data_dir / "pms.sqlite3").write_bytes(b"no database at all" * 100)
    assert "is not an SQLite database" in probe.quickly("state")["pms_unknown"]
    assert "cannot be asked" in probe.refused("files", "--clean", "--yes")


def test_an_api_key_is_asked_for(probe: Probe) -> None:
    assert "is malformed" in probe.commands.refused("pms-probe", "state", "http://")
    del probe.commands.environment["OCTOPRINT_API_KEY"]
    assert "no API key" in probe.refused("state", code=2)
    assert "does not accept" in probe.refused("state", "--api-key", "wrong-key")


def test_colours_are_for_terminals_that_want_them(probe: Probe) -> None:
    green = b"32mOperational"
    with probe.on_terminal("state") as coloured:
        assert coloured.wait_for_exit() == 0
        assert green in coloured.output
    probe.commands.environment["NO_COLOR"] = "1"
    with probe.on_terminal("state") as plain:
        assert plain.wait_for_exit() == 0
        assert b"Operational" in plain.output
        assert green not in plain.output


# -- files ------------------------------------------------------------------------

OLD = "pms/job-1_print-1_try-1.gcode"
NEW = "pms/job-1_print-2_try-1.gcode"
SELECTED = "pms/job-1_print-3_try-1.gcode"
OTHERS = "mine/part.gcode"


@pytest.fixture
def stocked(server: OctoPrintServer) -> OctoPrintServer:
    """Three files of PMS, of which one is a month old and one selected, and one of others."""
    for path in (OLD, NEW, SELECTED, OTHERS):
        server.upload(path, dwelling_gcode(0.1, m0=False).content)
    month_ago = time.time() - 30 * 24 * 3600
    os.utime(server.uploads / OLD, (month_ago, month_ago))
    server.select_and_print(SELECTED)
    wait_until(
        lambda: server.job()["progress"]["completion"] == 100.0, TIMEOUT_S, "the end of the print"
    )
    return server


def paths(probe: Probe, *options: str) -> list[str]:
    return sorted(file["path"] for file in probe.quickly("files", *options)["files"])


def test_files_are_shown_with_their_prints(probe: Probe, stocked: OctoPrintServer) -> None:
    listed = probe.json("files")
    assert 0 < listed["free_bytes"] < listed["total_bytes"]
    files = {file["path"]: file for file in listed["files"]}
    assert sorted(files) == sorted([OLD, NEW, SELECTED, OTHERS])
    printed = files[SELECTED]
    assert (printed["selected"], printed["ours"], printed["successes"]) == (True, True, 1)
    assert printed["last_success"] is True
    assert printed["last_print_time_s"] > 0
    assert datetime.fromisoformat(printed["last_printed_at"]) <= datetime.now(UTC)
    other = files[OTHERS]
    assert (other["ours"], other["successes"], other["last_success"]) == (False, 0, None)
    assert other["size"] == (stocked.uploads / OTHERS).stat().st_size
    assert paths(probe, "--ours") == sorted([OLD, NEW, SELECTED])
    tree = probe.run("files").splitlines()
    assert [line.split()[0] for line in tree[1:-1]] == [
        "mine/",
        "part.gcode",
        "pms/",
        *(path.removeprefix("pms/") for path in (OLD, NEW, SELECTED)),
    ]
    assert "4 files" in tree[-1]


def test_without_a_database_only_what_is_old_or_printed_goes(
    probe: Probe, stocked: OctoPrintServer
) -> None:
    with probe.on_terminal("files", "--clean") as terminal:
        terminal.wait_for("Delete 1 file")
        terminal.press("n\r")
        assert terminal.wait_for_exit() == 1
        rows = " ".join(terminal.rows())
        assert "PMS has no database here: only files that were printed before" in rows
        assert "30 days old" in rows
    assert len(paths(probe)) == 4
    assert probe.quickly("files", "--clean", "--yes") == {"deleted": [OLD], "kept": {}}
    assert paths(probe) == sorted([NEW, SELECTED, OTHERS])
    assert stocked.job()["job"]["file"]["path"] == SELECTED
    # Once another one is selected, it was only printed.
    stocked.request("POST", f"/api/files/local/{OTHERS}", {"command": "select"})
    assert probe.json("files", "--clean", "--yes")["deleted"] == [SELECTED]
    assert probe.quickly("files", "--clean")["deleted"] == []


def test_a_live_attempts_file_stays(probe: Probe, stocked: OctoPrintServer) -> None:
    add_printer(probe, stocked)
    assert probe.quickly("files", "--clean", "--yes") == {"deleted": [], "kept": {}}
    with probe.commands.database() as database, database.begin() as connection:
        attempts.move(connection, 1, AttemptState.CLEARED, NOW)
    assert probe.quickly("files", "--clean", "--yes")["deleted"] == [OLD]


# -- bench ------------------------------------------------------------------------


def test_speed_is_measured_and_nothing_stays(probe: Probe, server: OctoPrintServer) -> None:
    measured = probe.json("bench", "--size", "2")
    latency, upload = measured["latency"], measured["upload"]
    assert 0 < latency["minimum_s"] <= latency["median_s"] <= latency["p99_s"]
    assert latency["count"] == 100
    assert upload["bytes"] == 2 * 1024 * 1024
    assert upload["bytes_per_second"] == pytest.approx(upload["bytes"] / upload["seconds"])
    assert "99th percentile" in probe.run("bench", "--size", "1")
    assert list(server.uploads.glob("**/*.gcode")) == []
    server.select_and_print(server.upload("part.gcode", endless_gcode().content))
    server.wait_state("Printing")
    assert "might disturb the print" in probe.refused("bench", "--size", "1")


def test_an_interrupted_measurement_leaves_nothing(probe: Probe, server: OctoPrintServer) -> None:
    with probe.on_terminal("bench", "--size", "200") as terminal:
        terminal.wait_for("pms-probe-bench-")
        terminal.press("\x03")
        assert terminal.wait_for_exit() == 130
        assert b"Traceback" not in terminal.output
    assert list(server.uploads.glob("**/*.gcode")) == []
