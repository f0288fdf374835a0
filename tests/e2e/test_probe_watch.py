"""`pms-probe watch` against a real OctoPrint."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.support.commands import Running
from tests.support.farm import endless_gcode
from tests.support.gcode import dwelling_gcode
from tests.support.lying_push import Lie, LyingPush
from tests.support.probing import Probe, json_lines
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

TIMEOUT_S = 30.0


def wait_for_picture(watching: Running, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        return next(filter(fits, reversed(json_lines(watching))), None)

    return wait_until(found, TIMEOUT_S, "a picture")


def test_a_print_is_watched(probe: Probe, server: OctoPrintServer) -> None:
    with probe.running("watch", "--json") as watching:
        wait_for_picture(watching, lambda picture: picture["source"] == "push")
        server.select_and_print(server.upload("part.gcode", dwelling_gcode(1.5).content))
        wait_for_picture(watching, lambda picture: picture["activity"] == "paused")
        assert watching.interrupt() == 0
        printing = [p for p in json_lines(watching) if p["activity"] == "printing"]
        assert all(picture["path"] in ("part.gcode", None) for picture in printing)
        assert any(picture["source"] == "push" for picture in printing)


def test_changes_are_told_in_lines(probe: Probe, server: OctoPrintServer) -> None:
    with probe.running("watch") as watching:
        watching.wait_for("Operational")
        server.select_and_print(server.upload("part.gcode", dwelling_gcode(0.5).content))
        watching.wait_for("Paused, part.gcode")
        server.request("POST", "/api/connection", {"command": "disconnect"})
        watching.wait_for("Closed")
        server.connect_printer()
        wait_until(lambda: "Operational" in watching.lines()[-1], TIMEOUT_S, "the connection")
        assert watching.interrupt() == 0
        lines = [line.partition(" ")[2] for line in watching.lines()]
    assert all(one != other for one, other in itertools.pairwise(lines))
    assert sum(line.startswith("Closed") for line in lines) == 1


def test_events_are_shown_as_they_come(probe: Probe, server: OctoPrintServer) -> None:
    path = server.upload("part.gcode", dwelling_gcode(0.5, m0=False).content)

    def shown() -> dict[str, dict[str, Any]]:
        return {event["type"]: event for event in json_lines(watching)}

    def heard() -> bool:
        server.request("POST", f"/api/files/local/{path}", {"command": "select"})
        return "FileSelected" in shown()

    with probe.running("watch", "--events", "--json") as watching:
        wait_until(heard, TIMEOUT_S, "the first event", interval_s=0.2)
        server.select_and_print(path)
        watching.wait_for('"PrintDone"')
        assert watching.interrupt() == 0
        assert {"PrintStarted", "PrinterStateChanged"} <= set(shown())
        done = shown()["PrintDone"]
    assert (done["payload"]["path"], done["payload"]["origin"]) == ("part.gcode", "local")
    assert datetime.fromisoformat(done["received_at"]).tzinfo is not None


def test_polling_takes_over_and_gives_back(tmp_path: Path, server: OctoPrintServer) -> None:
    with LyingPush(server.url) as push:
        push.lie(Lie.REFUSED)
        probe = Probe(tmp_path, server, push.url)
        with probe.running("watch", "--json") as watching:
            watching.wait_for("no push, polling every 2 s: ")
            server.select_and_print(server.upload("part.gcode", endless_gcode().content))
            picture = wait_for_picture(watching, lambda picture: picture["activity"] == "printing")
            assert picture["source"] == "polling"
            push.lie(Lie.NONE)
            watching.wait_for("live through push again")
            wait_for_picture(watching, lambda picture: picture["source"] == "push")
            push.lie(Lie.REFUSED)
            wait_for_picture(watching, lambda picture: picture["source"] == "polling")
            assert watching.interrupt() == 0


def test_an_octoprint_that_goes_and_comes_is_followed(
    probe: Probe, server: OctoPrintServer
) -> None:
    with probe.running("watch") as watching:
        watching.wait_for("Operational")
        server.kill()
        watching.wait_for("refuses the connection")
        server.start()
        server.wait_ready()
        watching.wait_for("OctoPrint answers again")
        watching.wait_for("live through push again")
        assert watching.interrupt() == 0
    server.kill()
    assert "refuses the connection" in probe.refused("watch")


def test_a_terminal_shows_one_picture(probe: Probe, server: OctoPrintServer) -> None:
    with probe.on_terminal("watch") as terminal:
        terminal.wait_for("live through push")
        server.select_and_print(server.upload("part.gcode", endless_gcode().content))
        terminal.wait_for("Printing")
        terminal.wait_for("part.gcode")
        rows = terminal.wait_for("tool0")
        assert sum("part.gcode" in row for row in rows) == 1
        assert any("━" in row or "─" in row for row in rows)
        terminal.press("\x03")
        assert terminal.wait_for_exit() == 0
        assert b"\x1b[?25h" in terminal.output.rpartition(b"part.gcode")[2]
