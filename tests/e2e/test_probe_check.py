"""`pms-probe check` on real OctoPrints, well and unwell; nothing of it disturbs a print."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import insert

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from pms.demo.octoprint_setup import User
from pms.store import catalog, tables
from tests.support.certificates import Authority
from tests.support.checking import TIMEOUT_S, Checked, Checker, run
from tests.support.commands import Commands, command_line
from tests.support.octoprint_plugins import fill_disk
from tests.support.odd_server import OddServer, hangs
from tests.support.ports import free_port
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until
from tests.support.wall_clock import WallClock

pytestmark = pytest.mark.timeout(120)

#: The virtual printer's speed in percent: with one a move takes its time, with the other none.
UNHURRIED, AT_ONCE = 100, 10_000_000
MIB = 1024 * 1024
#: All that an operator has.
RIGHTS = {
    "STATUS": "status",
    "CONNECTION": "connection",
    "FILES_LIST": "file list",
    "FILES_UPLOAD": "file upload",
    "FILES_SELECT": "file select",
    "FILES_DELETE": "file delete",
    "FILES_DOWNLOAD": "file download",
    "PRINT": "print",
}
#: Users with all rights but one.
LACKING = {
    right: User(
        api_key=secrets.token_hex(16),
        groups=(),
        permissions=tuple(other for other in RIGHTS if other != right),
    )
    for right in ("STATUS", "FILES_LIST", "FILES_DOWNLOAD", "PRINT")
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OctoPrintServer]:
    """One with which nothing is wrong; tests leave it so."""
    factory = OctoPrintFactory(find_octoprint(), tmp_path_factory.mktemp("octoprints"))
    (server,) = factory(users={right.lower(): user for right, user in LACKING.items()})
    yield server
    factory.close()


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """A farm of its own, embedded."""
    return Commands(tmp_path)


@pytest.fixture(scope="module")
def check(server: OctoPrintServer, authority: Authority) -> Checker:
    return Checker(server.api_key, authority.certificate)


# -- all well ---------------------------------------------------------------------


def test_all_is_well(check: Checker, server: OctoPrintServer) -> None:
    checked = check(server.url)
    assert checked.code == 0
    assert list(checked.steps) == [
        "address",
        "name resolution",
        "tcp",
        "tls",
        "http",
        "start-up",
        "octoprint",
        "api key",
        *(f"permission {title}" for title in RIGHTS.values()),
        "version",
        "serial port",
        "printer",
        "state",
        "free space",
        "push",
        "clock",
        "round trips",
        "upload",
        "checksum",
        "deletion",
    ]
    assert {step["result"] for step in checked.steps.values()} == {"ok", "skipped"}
    assert set(checked.steps["tcp"]) == {
        "name",
        "result",
        "duration_s",
        "detail",
        "cause",
        "remedy",
    }
    assert checked.steps["printer"]["detail"] == "port VIRTUAL, 115200 baud, profile _default"
    assert server.request("GET", "/api/files/local?recursive=true")[1]["files"] == []


def test_nothing_is_written_when_that_is_not_wanted(
    check: Checker, server: OctoPrintServer
) -> None:
    checked = check(server.url, "--no-write")
    assert checked.code == 0
    for name in ("upload", "checksum", "deletion"):
        assert checked.steps[name]["detail"] == "left out by --no-write"


def test_people_get_lines(check: Checker, server: OctoPrintServer) -> None:
    done = check.show(server.url, "--no-write", key="a-key-that-nobody-knows")
    assert done.returncode == 1
    assert re.search("failed  api key +[0-9]+ ms", done.stdout)
    assert "cause  OctoPrint does not know this API key" in done.stdout
    assert "skipped depends on api key: permission status, " in done.stdout
    assert done.stdout.endswith("something is wrong: api key\n")


def test_ctrl_c_ends_it_cleanly(commands: Commands) -> None:
    with OddServer(hangs) as silent:
        process = subprocess.Popen(
            command_line(("pms-probe", "check", silent.address, "--api-key", "any-key")),
            env=commands.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: silent.heads, TIMEOUT_S, "a request")
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert complaint == ""
    assert "tcp" in output


# -- key and rights -------------------------------------------------------------------


def test_a_wrong_key(check: Checker, server: OctoPrintServer) -> None:
    checked = check(server.url, key="a-key-that-nobody-knows")
    checked.expect("api key", "does not know this API key", "copy it anew")
    assert "permission print" in checked.left_out("api key")


@pytest.mark.parametrize("right", LACKING)
def test_a_key_without_a_permission(check: Checker, server: OctoPrintServer, right: str) -> None:
    checked = check(server.url, key=LACKING[right].api_key)
    title = RIGHTS[right]
    checked.expect(f"permission {title}", f"user {right.lower()} may not", f"(?i)'{title}'")
    required = right != "FILES_DOWNLOAD"
    assert checked.steps[f"permission {title}"]["result"] == ("failed" if required else "warning")


# -- the printer ----------------------------------------------------------------------


def test_a_printer_that_is_disconnected(check: Checker, server: OctoPrintServer) -> None:
    server.request("POST", "/api/connection", {"command": "disconnect"})
    server.wait_state("Closed")
    checked = check(server.url, "--no-write")
    checked.expect("printer", "not connected to its printer", "pms-probe connect")
    assert checked.left_out("printer") == ["state"]
    server.connect_printer()


def test_a_printer_in_error(check: Checker, server: OctoPrintServer) -> None:
    server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
    server.wait_state("Closed")
    check(server.url, "--no-write").expect(
        "printer", "in error: Thermal Runaway", "switch it off and on"
    )
    server.connect_printer()


def test_no_port_almost_no_space_and_a_wrong_clock(
    check: Checker, octoprint_factory: OctoPrintFactory, tmp_path: Path
) -> None:
    unwell = octoprint_factory.prepare(
        autoconnect=False,
        config={"serial": {"port": "/dev/ttyUSB7"}},
        virtual_printer={"enabled": False},
    )
    fill_disk(unwell, free_bytes=50 * MIB)
    clock = WallClock(tmp_path / "clock")
    clock.set(3600)
    with mock.patch.dict(os.environ, clock.environment):
        unwell.start()
    unwell.wait_ready()
    checked = check(unwell.url, key=unwell.api_key)
    assert checked.wrong == ["serial port", "free space", "clock"]
    assert checked.steps["serial port"]["result"] == "failed"
    assert "no serial port /dev/ttyUSB7" in checked.steps["serial port"]["cause"]
    assert "check the USB cable" in checked.steps["serial port"]["remedy"]
    assert checked.left_out("serial port") == ["printer", "state"]
    assert checked.steps["free space"]["result"] == "failed"
    assert "50 MiB are left" in checked.steps["free space"]["cause"]
    assert "remove files" in checked.steps["free space"]["remedy"]
    assert checked.steps["clock"]["result"] == "warning"
    assert "1 h 0 min ahead of" in checked.steps["clock"]["cause"]
    assert "NTP" in checked.steps["clock"]["remedy"]


# -- a print ----------------------------------------------------------------------------


def test_a_print_is_not_disturbed(check: Checker, server: OctoPrintServer) -> None:
    moves = [f"G1 X{step / 10} F6" for step in range(1, 200)]
    server.send_gcode(f"M220 S{UNHURRIED}")
    path = server.upload("part.gcode", "\n".join(moves).encode())
    server.select_and_print(path)
    server.wait_state("Printing")
    before = server.job()
    checked = check(server.url)
    assert checked.code == 0, checked.wrong
    assert "Printing: part.gcode" in checked.steps["state"]["detail"]
    assert check(server.url, key="a-key-that-nobody-knows").wrong == ["api key"]
    after = server.job()
    assert (before["state"], after["state"]) == ("Printing", "Printing")
    assert after["job"] == before["job"]
    assert after["progress"]["filepos"] >= before["progress"]["filepos"]
    server.send_gcode(f"M220 S{AT_ONCE}")
    server.wait_state("Operational", timeout_s=TIMEOUT_S)

    def history() -> Any:
        return server.request("GET", f"/api/files/local/{path}?force=true")[1].get("prints")

    assert wait_until(history, TIMEOUT_S, "the history")["last"]["success"] is True
    log = server.printer_log()
    received = log[log.index(moves[0]) :]
    assert [command for command in received if command in moves] == moves
    # OctoPrint's own: it asks for temperatures, and at the end waits for the last move.
    assert set(received) <= {*moves, "M105", "M400", f"M220 S{AT_ONCE}"}


# -- printers of the database -------------------------------------------------------------


def test_one_printer_and_all_printers(
    commands: Commands, check: Checker, server: OctoPrintServer
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    rows = [
        {"printer": "well", "ip_address": server.url, "api_key": server.api_key},
        {"printer": "locked", "ip_address": server.url, "api_key": "a-key-that-nobody-knows"},
        {"printer": "keyless", "ip_address": server.url, "api_key": None},
        {"printer": "away", "ip_address": nowhere, "api_key": "any-key"},
        {"printer": "homeless", "ip_address": None, "api_key": "any-key"},
    ]
    commands.run("printer", "list")
    with commands.database() as database, database.begin() as connection:
        model_id, _ = catalog.find_or_create_model(connection, "MK4")
        common = {"printer_model_id": model_id, "enabled": True}
        connection.execute(insert(tables.printers), [common | row for row in rows])
    well = check.printer(commands, "well")
    assert (well.printer, well.code) == ("well", 0)
    done = run(commands.environment, "--all", "--json")
    assert done.returncode == 1
    assert server.api_key not in done.stdout
    reports = [Checked(0 if report["ok"] else 1, report) for report in json.loads(done.stdout)]
    assert {checked.printer: checked.wrong for checked in reports} == {
        "well": [],
        "locked": ["api key"],
        "keyless": ["api key"],
        "away": ["tcp"],
        "homeless": ["address"],
    }
