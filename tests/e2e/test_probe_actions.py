"""`pms-probe upload`, `print`, `pause` and the others that act, against a real OctoPrint."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from pms.store import printers
from tests.support.farm import endless_gcode
from tests.support.gcode import dwelling_gcode
from tests.support.lying_push import Lie, LyingPush
from tests.support.octoprint_pool import VIEWER
from tests.support.probing import Probe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

TIMEOUT_S = 30.0
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def printing(server: OctoPrintServer) -> OctoPrintServer:
    """It prints for as long as the test lasts."""
    server.select_and_print(server.upload("part.gcode", endless_gcode().content))
    server.wait_state("Printing")
    return server


# -- files ------------------------------------------------------------------------


def test_a_file_is_stored_as_it_is(probe: Probe, server: OctoPrintServer) -> None:
    content = dwelling_gcode(1.0).content
    local = probe.file("part: 1.gcode", content)
    stored = probe.json("upload", local)
    assert stored["size"] == len(content)
    assert stored["sha1"] == hashlib.sha1(content).hexdigest()
    assert (server.uploads / stored["path"]).read_bytes() == content
    assert server.job()["job"]["file"]["path"] is None
    # The name as OctoPrint stores it, which only OctoPrint knows.
    assert "409" in probe.refused("upload", local)
    other = probe.file("other.gcode", b"G28\n")
    assert probe.quickly("upload", other, "--to", "a/b.gcode")["path"] == "a/b.gcode"
    assert "--overwrite" in probe.refused("upload", local, "--to", "a/b.gcode")
    assert (server.uploads / "a/b.gcode").read_bytes() == b"G28\n"
    assert "SHA-1 agrees" in probe.run("upload", local, "--to", "a/b.gcode", "--overwrite")
    assert (server.uploads / "a/b.gcode").read_bytes() == content


def test_files_that_are_not_stored(probe: Probe, server: OctoPrintServer) -> None:
    local = probe.file("part.gcode", b"G28\n")
    ours = "pms/job-1_print-1_try-1.gcode"
    assert "a name that PMS gives" in probe.refused("upload", local, "--to", ours)
    assert "is empty" in probe.refused("upload", probe.file("empty.gcode", b""))
    assert "cannot read" in probe.refused("upload", probe.folder / "missing.gcode")
    assert "415" in probe.refused("upload", probe.file("part.txt", b"G28\n"))
    assert list(server.uploads.glob("**/*.gcode")) == []


# -- prints -----------------------------------------------------------------------


def test_a_print_is_started_once_a_person_agrees(probe: Probe, server: OctoPrintServer) -> None:
    server.upload("part.gcode", endless_gcode().content)
    assert "add --yes" in probe.refused("print", "part.gcode")
    with probe.on_terminal("print", "part.gcode") as terminal:
        terminal.wait_for("PMS does not know of it")
        terminal.press("\r")
        assert terminal.wait_for_exit() == 1
    assert server.state() == "Operational"
    with probe.on_terminal("print", "part.gcode") as terminal:
        terminal.wait_for("Go on? [y/N]")
        terminal.press("y\r")
        assert terminal.wait_for_exit() == 0
    assert server.state() == "Printing"
    assert server.job()["job"]["file"]["path"] == "part.gcode"


def test_a_print_that_is_over_at_once_has_been_started(
    probe: Probe, server: OctoPrintServer
) -> None:
    server.upload("part.gcode", dwelling_gcode(0.1, m0=False).content)
    assert probe.json("print", "part.gcode", "--yes")["path"] == "part.gcode"
    server.wait_state("Operational")
    assert probe.quickly("files")["files"][0]["successes"] == 1


def test_prints_that_are_not_started(probe: Probe, server: OctoPrintServer) -> None:
    copy = server.upload("pms/job-1_print-1_try-1.gcode", b"G28\n")
    path = server.upload("part.gcode", b"G28\n")
    assert "no file other.gcode: see `pms-probe files`" in probe.refused("print", "other.gcode")
    local = probe.file("local.gcode", b"G28\n")
    assert "`pms-probe upload`" in probe.refused("print", local, "--yes")
    assert "would take its print for that copy's" in probe.refused("print", copy, "--yes")
    probe.commands.quickly(
        "printer", "add", "mk4-1", "--url", server.url, "--api-key", server.api_key, "--model", "M"
    )
    with probe.commands.database() as database, database.begin() as connection:
        printers.meet_new_ones(connection, NOW)
        printers.occupy_bed(connection, 1, None)
    assert "`pms-coordinator clear mk4-1`" in probe.refused("print", path, "--yes")
    server.request("POST", "/api/connection", {"command": "disconnect"})
    server.wait_state("Closed")
    assert "`pms-probe connect`" in probe.refused("print", path, "--yes")


def test_a_viewer_may_look_and_no_more(probe: Probe, printing: OctoPrintServer) -> None:
    probe.commands.environment["OCTOPRINT_API_KEY"] = VIEWER.api_key
    assert probe.quickly("state")["activity"] == "printing"
    assert [file["path"] for file in probe.quickly("files")["files"]] == ["part.gcode"]
    local = probe.file("other.gcode", b"G28\n")
    for words in (("cancel", "--yes"), ("pause", "--yes"), ("upload", local)):
        assert "lacks the permission" in probe.refused(*words)
    assert printing.state() == "Printing"


# -- orders -----------------------------------------------------------------------


def order(probe: Probe, name: str) -> tuple[bool, str]:
    done = probe.quickly(name, "--yes")
    assert done["order"] == name
    return done["already"], done["activity"]


def test_a_print_is_paused_resumed_and_cancelled(probe: Probe, printing: OctoPrintServer) -> None:
    for name in ("pause", "cancel"):
        assert "nobody can be asked" in probe.refused(name)
    assert probe.json("pause", "--yes")["activity"] == "paused"
    assert printing.state() == "Paused"
    assert order(probe, "pause") == (True, "paused")
    assert "Printing" in probe.run("resume", "--yes")
    assert order(probe, "resume") == (True, "printing")
    with probe.on_terminal("cancel") as terminal:
        terminal.wait_for("End the print of part.gcode")
        terminal.press("y\r")
        assert terminal.wait_for_exit() == 0
    assert printing.state() == "Operational"
    for name in ("pause", "resume", "cancel"):
        assert "Operational" in probe.refused(name, "--yes")


def test_the_printer_is_disconnected_and_connected(probe: Probe, server: OctoPrintServer) -> None:
    assert probe.json("disconnect", "--yes")["activity"] == "disconnected"
    assert server.state() == "Closed"
    assert order(probe, "disconnect") == (True, "disconnected")
    assert probe.json("connect", "--yes")["activity"] == "operational"
    assert server.state() == "Operational"
    assert order(probe, "connect") == (True, "operational")


def test_only_force_disconnects_a_printer_that_prints(
    probe: Probe, printing: OctoPrintServer
) -> None:
    assert "add --force" in probe.refused("disconnect", "--yes")
    assert printing.state() == "Printing"
    assert probe.quickly("disconnect", "--yes", "--force")["activity"] == "disconnected"


# -- commands for the printer ------------------------------------------------------


def test_the_printer_answers(probe: Probe, server: OctoPrintServer) -> None:
    assert "nobody can be asked" in probe.refused("gcode", "M115")
    answer = probe.json("gcode", "M115", "--yes")
    assert answer["command"] == "M115"
    assert answer["answer"][0].startswith("FIRMWARE_NAME:Virtual Marlin")
    assert answer["answer"][-1] == "ok"
    shown = probe.run("gcode", "M503 ; settings", "--yes").splitlines()
    assert "echo:; Steps per unit:" in shown
    assert "Send" not in "".join(shown)
    # OctoPrint keeps it to itself.
    assert "no sign of sending M0" in probe.refused("gcode", "M0", "--yes", "--timeout", "1")
    assert "without an answer" in probe.refused("gcode", "M112", "--yes")
    assert "`pms-probe connect`" in probe.refused("gcode", "M115", "--yes")


def test_a_printer_that_prints_gets_a_command_only_by_force(
    probe: Probe, printing: OctoPrintServer
) -> None:
    assert "add --force" in probe.refused("gcode", "M117 here I am", "--yes")
    assert "M117 here I am" not in printing.printer_log()
    assert probe.quickly("gcode", "M117 here I am", "--yes", "--force")["answer"][-1] == "ok"
    assert "M117 here I am" in printing.printer_log()
    assert printing.state() == "Printing"


def test_nothing_is_sent_whose_answer_would_not_come(probe: Probe, server: OctoPrintServer) -> None:
    with LyingPush(server.url) as push:
        push.lie(Lie.REFUSED)
        behind = Probe(probe.folder, server, push.url)
        assert "no push connection opens" in behind.refused("gcode", "M117 unheard", "--yes")
    assert "M117 unheard" not in server.printer_log()


# -- a print in progress -----------------------------------------------------------


def test_no_command_disturbs_a_print_unless_it_is_told_to(
    probe: Probe, server: OctoPrintServer
) -> None:
    part = endless_gcode()
    path = server.upload("part.gcode", part.content)
    probe.quickly("print", path, "--yes")
    with probe.running("watch", "--json") as watching:
        watching.wait_for('"push"')
        probe.quickly("state")
        probe.quickly("files", "--clean", "--yes")
        probe.quickly("upload", probe.file("other.gcode", dwelling_gcode(1.0).content))
        for refused in (
            ("print", "other.gcode", "--yes"),
            ("gcode", "M18", "--yes"),
            ("disconnect", "--yes"),
            ("bench", "--size", "1"),
            ("cancel",),
            ("pause",),
            ("upload", probe.file("part.gcode", b"G28\n"), "--overwrite"),
        ):
            probe.refused(*refused)
        assert watching.interrupt() == 0
    assert server.state() == "Printing"
    assert server.job()["job"]["file"]["path"] == path
    marks = len(part.marks_in(server.printer_log()))
    wait_until(
        lambda: len(part.marks_in(server.printer_log())) > marks, TIMEOUT_S, "the print's going on"
    )
    printed = part.marks_in(server.printer_log())
    assert printed == list(part.marks[: len(printed)])
    assert "M18" not in server.printer_log()
