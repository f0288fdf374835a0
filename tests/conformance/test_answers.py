"""What OctoPrint says about itself and its printer, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from pms.demo.octoprint_client import OctoPrintClient
from tests.conformance.values import (
    CSRF,
    FORBIDDEN,
    LONG,
    NO_PROGRESS,
    NOT_FOUND,
    NOT_OPERATIONAL,
    NUMBER,
    TEXT,
    selected,
    unselected,
)
from tests.support.waiting import wait_until

FLAGS = (
    "operational",
    "printing",
    "cancelling",
    "pausing",
    "resuming",
    "finishing",
    "closedOrError",
    "error",
    "paused",
    "ready",
    "sdReady",
)


def test_says_what_it_is(octoprint: OctoPrintClient) -> None:
    assert octoprint.request("GET", "/api/version") == (
        200,
        {"api": "0.1", "server": "1.11.8", "text": "OctoPrint 1.11.8"},
    )
    assert octoprint.request("GET", "/api/server") == (
        200,
        {"safemode": None, "version": "1.11.8"},
    )


def test_logs_in_who_has_a_key(octoprint: OctoPrintClient) -> None:
    status, answer = octoprint.request("POST", "/api/login", {"passive": True})
    assert status == 200
    known = {
        "active": True,
        "admin": True,
        "apikey": octoprint.api_key,
        "name": "admin",
        "session": TEXT,
        "user": True,
        "_login_mechanism": "apikey",
    }
    assert {name: answer.get(name) for name in known} == known
    assert sorted(answer["groups"]) == ["admins", "users"]


def test_says_who_one_is_and_what_one_may(
    octoprint: OctoPrintClient, viewer: OctoPrintClient
) -> None:
    status, admin = octoprint.request("GET", "/api/currentuser")
    assert (status, admin["name"], sorted(admin["groups"])) == (200, "admin", ["admins", "users"])
    wanted = {"STATUS", "CONNECTION", "FILES_LIST", "FILES_UPLOAD", "FILES_SELECT", "FILES_DELETE"}
    assert wanted | {"FILES_DOWNLOAD", "PRINT", "CONTROL"} <= set(admin["permissions"])
    status, answer = viewer.request("GET", "/api/currentuser")
    assert (status, answer["name"], answer["groups"]) == (200, "viewer", ["readonly"])
    assert {"STATUS", "FILES_LIST"} <= set(answer["permissions"])
    assert not {"CONNECTION", "FILES_UPLOAD", "FILES_SELECT", "PRINT"} & set(answer["permissions"])


@pytest.mark.parametrize("key", ["", "0123456789ABCDEF"], ids=["none", "unknown"])
def test_a_key_is_needed(octoprint: OctoPrintClient, key: str) -> None:
    stranger = OctoPrintClient(octoprint.url, key)
    read = ("version", "job", "connection", "printer", "files/local?recursive=true")
    for path in read:
        assert stranger.request("GET", f"/api/{path}") == (403, FORBIDDEN), path
    for path in ("login", "job", "connection", "files/local"):
        command = {"command": "cancel"}
        assert stranger.request("POST", f"/api/{path}", command) == (400, CSRF), path
    assert stranger.request("DELETE", "/api/files/local/a.gcode") == (400, CSRF)


def test_takes_the_key_in_several_places(octoprint: OctoPrintClient) -> None:
    stranger = OctoPrintClient(octoprint.url, "")
    bearer = {"X-Api-Key": None, "Authorization": f"Bearer {octoprint.api_key}"}
    assert stranger.request("GET", "/api/version", headers=bearer)[0] == 200
    assert stranger.request("GET", f"/api/version?apikey={octoprint.api_key}")[0] == 200


def test_who_may_only_look_may_do_nothing(
    octoprint: OctoPrintClient, viewer: OctoPrintClient
) -> None:
    octoprint.upload("a.gcode", LONG)
    for path, body in (
        ("connection", {"command": "disconnect"}),
        ("files/local/a.gcode", {"command": "select", "print": True}),
        ("job", {"command": "start"}),
        ("printer/command", {"command": "M105"}),
    ):
        assert viewer.request("POST", f"/api/{path}", body) == (403, FORBIDDEN), path
    file = {"file": ("b.gcode", LONG)}
    assert viewer.request("POST", "/api/files/local", files=file) == (403, FORBIDDEN)
    assert viewer.request("DELETE", "/api/files/local/a.gcode") == (403, FORBIDDEN)
    assert viewer.request("GET", "/api/job")[0] == 200
    assert viewer.request("GET", "/api/files/local/a.gcode")[0] == 200


def test_refuses_what_it_does_not_know(octoprint: OctoPrintClient) -> None:
    assert octoprint.request("GET", "/api/nothing") == (404, NOT_FOUND)
    assert octoprint.request("GET", "/api/files/elsewhere") == (404, NOT_FOUND)
    error = "The method is not allowed for the requested URL."
    assert octoprint.request("PUT", "/api/job") == (405, {"error": error})


def test_other_addresses_are_web_pages(octoprint: OctoPrintClient) -> None:
    for path in ("/API/job", "/nothing"):
        status, page = octoprint.request("GET", path)
        assert status == 404
        assert page.startswith("<!doctype html>")
    front = requests.get(octoprint.url + "/", allow_redirects=False, timeout=10)
    assert front.status_code == 302
    assert front.headers["Location"].startswith("/login/")


def test_refuses_bad_commands(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", LONG)
    for path, body, error in (
        ("job", {"command": "dance"}, "command is invalid"),
        ("job", {}, "command is invalid"),
        ("connection", {"command": "dance"}, "command is invalid"),
        ("connection", {"command": "connect", "port": "/dev/none"}, "port is invalid"),
        ("connection", {"command": "connect", "baudrate": 1}, "baudrate is invalid"),
        ("files/local/a.gcode", {"command": "dance"}, "command is invalid"),
        ("files/local/a.gcode", {"command": "copy"}, "Mandatory parameters missing"),
    ):
        answer = octoprint.request("POST", f"/api/{path}", body)
        assert answer == (400, {"error": error}), (path, body)
    select = ("POST", "/api/files/local/none.gcode", {"command": "select"})
    assert octoprint.request(*select) == (404, NOT_FOUND)


def test_refuses_bodies_that_it_cannot_read(octoprint: OctoPrintClient) -> None:
    as_json = {"headers": {"Content-Type": "application/json"}}
    assert octoprint.request("POST", "/api/job", data=b"not JSON", **as_json)[0] == 400
    assert octoprint.request("POST", "/api/job", data=b"{}")[0] == 415


def test_shows_a_printer_that_is_not_connected(octoprint: OctoPrintClient) -> None:
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    octoprint.wait_state("Closed")
    status, answer = octoprint.request("GET", "/api/connection")
    assert status == 200
    assert answer["current"] == {
        "baudrate": None,
        "port": None,
        "printerProfile": "_default",
        "state": "Closed",
    }
    job = wait_until(lambda: _if_state(octoprint, "Offline"), 5.0, "the job of no printer")
    assert job == {"job": unselected(), "progress": NO_PROGRESS, "state": "Offline"}
    assert octoprint.request("GET", "/api/printer") == (409, NOT_OPERATIONAL)
    assert octoprint.request("GET", "/api/printer/error") == (200, {"error": "", "reason": ""})


def test_shows_an_idle_printer(octoprint: OctoPrintClient) -> None:
    status, answer = octoprint.request("GET", "/api/connection")
    assert status == 200
    assert answer["current"] == {
        "baudrate": 115200,
        "port": "VIRTUAL",
        "printerProfile": "_default",
        "state": "Operational",
    }
    options = answer["options"]
    assert "VIRTUAL" in options["ports"]
    assert options["baudrates"] == [250000, 230400, 115200, 57600, 38400, 19200, 9600]
    assert (options["portPreference"], options["baudratePreference"]) == ("VIRTUAL", 115200)
    assert options["printerProfiles"] == [{"id": "_default", "name": "Default"}]
    assert _printer_state(octoprint) == ("Operational", {"operational", "ready", "sdReady"})


def test_shows_the_temperatures_once_they_were_read(octoprint: OctoPrintClient) -> None:
    def temperatures() -> dict[str, Any] | None:
        _, answer = octoprint.request("GET", "/api/printer?exclude=state,sd")
        assert set(answer) == {"temperature"}
        read: dict[str, Any] = answer["temperature"]
        return read if read.get("tool0", {}).get("target") == 210.0 else None

    octoprint.send_gcode("M104 S210", "M140 S60")
    read = wait_until(temperatures, 10.0, "a reading of the heaters")
    assert read["tool0"] == {"actual": NUMBER, "target": 210.0, "offset": 0}
    assert read["bed"] == {"actual": NUMBER, "target": 60.0, "offset": 0}


def test_shows_the_states_of_a_print(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", LONG)
    octoprint.select_and_print("a.gcode")
    octoprint.wait_state("Printing")
    assert _printer_state(octoprint) == ("Printing", {"operational", "printing", "sdReady"})
    octoprint.request("POST", "/api/job", {"command": "pause", "action": "pause"})
    octoprint.wait_state("Paused")
    assert _printer_state(octoprint) == ("Paused", {"operational", "paused", "sdReady"})
    octoprint.request("POST", "/api/job", {"command": "cancel"})
    octoprint.wait_state("Operational")
    assert _printer_state(octoprint) == ("Operational", {"operational", "ready", "sdReady"})


def test_shows_what_is_selected(octoprint: OctoPrintClient) -> None:
    octoprint.upload("folder/a.gcode", LONG)
    octoprint.request("POST", "/api/files/local/folder/a.gcode", {"command": "select"})
    wait_until(lambda: octoprint.job()["job"]["file"]["path"], 5.0, "the selection")
    assert octoprint.job() == {
        "job": selected("folder/a.gcode", len(LONG)),
        "progress": NO_PROGRESS,
        "state": "Operational",
    }


def _if_state(octoprint: OctoPrintClient, state: str) -> dict[str, Any] | None:
    job = octoprint.job()
    return job if job["state"] == state else None


def _printer_state(octoprint: OctoPrintClient) -> tuple[str, set[str]]:
    """Text and flags; the answer is a copy that lags a little, so that two have to agree."""

    def agreed() -> dict[str, Any] | None:
        state = octoprint.state()
        status, answer = octoprint.request("GET", "/api/printer?exclude=temperature,sd")
        return answer if status == 200 and answer["state"]["text"] == state else None

    answer = wait_until(agreed, 5.0, "an answer that has caught up")
    assert set(answer) == {"state"}
    assert set(answer["state"]) == {"text", "flags", "error"}
    assert answer["state"]["error"] == ""
    flags = answer["state"]["flags"]
    assert set(flags) == set(FLAGS)
    return answer["state"]["text"], {name for name, is_set in flags.items() if is_set}
