"""Prints: starting, pausing, resuming, cancelling, failing, and what is known afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from pms.demo.octoprint_client import OctoPrintClient
from tests.conformance.conftest import Server
from tests.conformance.values import (
    DWELL,
    LONG,
    NO_FILE,
    NO_PROGRESS,
    NOT_OPERATIONAL,
    NUMBER,
    THERMAL_RUNAWAY,
    selected,
    unselected,
)
from tests.support.waiting import wait_until

FAILED_ONCE = {"failure": 1, "last": {"date": NUMBER, "success": False}, "success": 0}
SUCCEEDED_ONCE = {
    "failure": 0,
    "last": {"date": NUMBER, "printTime": NUMBER, "success": True},
    "success": 1,
}


def control(octoprint: OctoPrintClient, command: str, action: str = "") -> tuple[int, Any]:
    body = {"command": command} | ({"action": action} if action else {})
    return octoprint.request("POST", "/api/job", body)


def start(octoprint: OctoPrintClient, content: bytes = LONG, path: str = "a.gcode") -> None:
    """A print that has made some progress."""
    octoprint.upload(path, content)
    octoprint.select_and_print(path)
    octoprint.wait_state("Printing")
    wait_until(lambda: octoprint.job()["progress"]["filepos"], 5.0, "progress")


def pause(octoprint: OctoPrintClient) -> None:
    assert control(octoprint, "pause", "pause") == (204, None)
    octoprint.wait_state("Paused")


def history(octoprint: OctoPrintClient, path: str = "a.gcode") -> Any:
    """None: never printed."""
    status, answer = octoprint.request("GET", f"/api/files/local/{path}?force=true")
    assert status == 200
    return answer.get("prints")


def wait_for_job(octoprint: OctoPrintClient, state: str) -> dict[str, Any]:
    """The job, once its copy has caught up."""

    def caught_up() -> dict[str, Any] | None:
        job = octoprint.job()
        return job if job["state"] == state else None

    return wait_until(caught_up, 10.0, f"a job that is {state}")


def is_paused_at(octoprint: OctoPrintClient, offset: int) -> bool:
    job = octoprint.job()
    return (job["state"], job["progress"]["filepos"]) == ("Paused", offset)


def test_prints_to_the_end(octoprint: OctoPrintClient) -> None:
    content = DWELL * 40
    octoprint.upload("a.gcode", content)
    assert history(octoprint) is None
    octoprint.select_and_print("a.gcode")
    seen = [octoprint.job()]
    while not history(octoprint):
        seen.append(octoprint.job())
    positions = [job["progress"]["filepos"] for job in seen if job["state"] == "Printing"]
    known = [position for position in positions if position is not None]
    assert known == sorted(known)
    assert len(set(known)) > 3
    for job in seen:
        if job["progress"]["filepos"]:
            wanted = 100 * job["progress"]["filepos"] / len(content)
            assert job["progress"]["completion"] == pytest.approx(wanted)
    assert history(octoprint) == SUCCEEDED_ONCE
    assert history(octoprint)["last"]["printTime"] > 1.9
    octoprint.wait_state("Operational")
    done = wait_for_job(octoprint, "Operational")
    # The file stays selected.
    times = {"averagePrintTime": NUMBER, "lastPrintTime": NUMBER}
    assert done["job"] == selected("a.gcode", len(content)) | times
    assert done["progress"] == {
        "completion": 100.0,
        "filepos": len(content),
        "printTime": NUMBER,
        "printTimeLeft": 0,
        "printTimeLeftOrigin": None,
    }


def test_shows_how_far_it_is(octoprint: OctoPrintClient) -> None:
    start(octoprint)
    job = octoprint.job()
    assert set(job) == {"job", "progress", "state"}
    assert job["job"] == selected("a.gcode", len(LONG))
    progress = job["progress"]
    assert set(progress) == set(NO_PROGRESS)
    assert 0 < progress["filepos"] < len(LONG)
    assert (progress["printTime"], progress["printTimeLeftOrigin"]) == (NUMBER, "linear")
    assert history(octoprint) is None


def test_prints_the_same_file_again(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL)
    octoprint.select_and_print("a.gcode")
    wait_until(lambda: history(octoprint), 10.0, "the history")
    octoprint.wait_state("Operational")
    assert control(octoprint, "start") == (204, None)
    wait_until(lambda: history(octoprint)["success"] == 2, 10.0, "a second print")


def test_keeps_the_history_only_of_the_same_content(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL)
    octoprint.select_and_print("a.gcode")
    wait_until(lambda: history(octoprint), 10.0, "the history")
    octoprint.wait_state("Operational")
    octoprint.upload("a.gcode", DWELL)
    assert history(octoprint) == SUCCEEDED_ONCE
    octoprint.upload("a.gcode", DWELL * 2)
    assert history(octoprint) is None


def test_an_empty_file_is_printed_at_once(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", b"")
    octoprint.select_and_print("a.gcode")
    wait_until(lambda: history(octoprint), 10.0, "the history")
    assert history(octoprint) == SUCCEEDED_ONCE
    assert wait_for_job(octoprint, "Operational")["progress"]["completion"] == -100


# -- the end marker -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "line", "behind"),
    [
        (b"G28\n", b"M0\n", DWELL),
        (b"G28\r\n", b"M0\r\n", DWELL),
        (b"", b"M0\n", DWELL),
        (b"G28\n", b"M0", b""),
        (b"; Gr\xc3\xb6\xc3\x9fe\n", b"M0 ; wait\n", DWELL),
        (b"G28\n", b"M0;c\n", DWELL),
        (b"G28\n", b"M0 P500\n", DWELL),
        (b"G28\n", b"  M0\n", DWELL),
        (b"G28\n", b"M1\n", DWELL),
        (b"G28\n", b"M25\n", DWELL),
        (b"G28\n", b"@pause\n", DWELL),
        (b"G28\nm0\nM00\n;M0\n", b"M0\n", DWELL),
    ],
)
def test_pauses_just_behind_the_line_that_says_so(
    octoprint: OctoPrintClient, before: bytes, line: bytes, behind: bytes
) -> None:
    octoprint.upload("a.gcode", before + line + behind)
    octoprint.select_and_print("a.gcode")
    octoprint.wait_state("Paused")
    job = wait_for_job(octoprint, "Paused")
    assert job["progress"]["filepos"] == len(before + line)
    assert history(octoprint) is None


def test_goes_on_behind_the_pause(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL + b"M0\n" + DWELL + b"M0\n" + DWELL)
    octoprint.select_and_print("a.gcode")
    for offset in (10, 20):
        wait_until(lambda at=offset: is_paused_at(octoprint, at), 10.0, f"a pause at {offset}")
        assert control(octoprint, "pause", "resume") == (204, None)
    wait_until(lambda: history(octoprint), 10.0, "the history")
    assert history(octoprint) == SUCCEEDED_ONCE


def test_restarts_a_paused_print_from_its_beginning(octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", DWELL * 20 + b"M0\n" + DWELL)
    octoprint.select_and_print("a.gcode")
    octoprint.wait_state("Paused")
    assert control(octoprint, "restart") == (204, None)
    octoprint.wait_state("Printing")
    octoprint.wait_state("Paused")
    assert wait_for_job(octoprint, "Paused")["progress"]["filepos"] == 143
    assert history(octoprint) is None


# -- by hand --------------------------------------------------------------------------


def test_pauses_and_resumes_on_request(octoprint: OctoPrintClient) -> None:
    start(octoprint)
    pause(octoprint)
    paused = wait_for_job(octoprint, "Paused")
    assert paused["progress"]["filepos"] % len(DWELL) == 0
    # Pausing twice is pausing once.
    assert control(octoprint, "pause", "pause") == (204, None)
    assert octoprint.state() == "Paused"
    assert octoprint.job()["progress"]["filepos"] == paused["progress"]["filepos"]
    assert control(octoprint, "pause", "toggle") == (204, None)
    octoprint.wait_state("Printing")
    # So is resuming.
    assert control(octoprint, "pause", "resume") == (204, None)
    assert octoprint.state() == "Printing"


def test_a_resume_while_it_is_pausing_is_lost(octoprint: OctoPrintClient) -> None:
    # The command that runs has to end before the print is paused.
    start(octoprint, b"G4 P2000\n" * 100)
    assert control(octoprint, "pause", "pause") == (204, None)
    assert octoprint.state() == "Pausing"
    assert control(octoprint, "pause", "resume") == (204, None)
    octoprint.wait_state("Paused")


@pytest.mark.parametrize("paused", [False, True], ids=["printing", "paused"])
def test_cancels(octoprint: OctoPrintClient, paused: bool) -> None:
    start(octoprint)
    if paused:
        pause(octoprint)
    assert control(octoprint, "cancel") == (204, None)
    octoprint.wait_state("Operational")
    wait_until(lambda: history(octoprint), 5.0, "the history")
    assert history(octoprint) == FAILED_ONCE
    job = wait_for_job(octoprint, "Operational")
    # The file stays selected, and nothing is known of the print.
    assert job == {
        "job": selected("a.gcode", len(LONG)),
        "progress": NO_PROGRESS,
        "state": "Operational",
    }


def test_refuses_what_does_not_fit(octoprint: OctoPrintClient) -> None:
    running = {"error": "Printer already has an active print job, did you mean 'restart'?"}
    unpaused = {"error": "Printer does not have an active print job or is not paused"}
    idle = "Printer is neither printing nor paused, '{}' command cannot be performed"
    assert control(octoprint, "restart") == (409, unpaused)
    for command in ("pause", "cancel"):
        assert control(octoprint, command) == (409, {"error": idle.format(command)})
    start(octoprint)
    assert control(octoprint, "start") == (409, running)
    assert control(octoprint, "restart") == (409, unpaused)
    assert control(octoprint, "pause", "dance") == (400, {"error": "Unknown action"})
    pause(octoprint)
    assert control(octoprint, "start") == (409, running)
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    octoprint.wait_state("Closed")
    for command in ("start", "cancel", "dance"):
        assert control(octoprint, command) == (409, NOT_OPERATIONAL)


def test_selects_nothing_while_it_prints_or_is_away(octoprint: OctoPrintClient) -> None:
    select = ("POST", "/api/files/local/a.gcode", {"command": "select", "print": True})
    refusal = {"error": "Printer is already printing, cannot select a new file"}
    start(octoprint)
    assert octoprint.request(*select) == (409, refusal)
    pause(octoprint)
    assert octoprint.request(*select) == (409, refusal)
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    octoprint.wait_state("Closed")
    assert octoprint.request(*select) == (409, refusal)
    assert octoprint.request("POST", "/api/printer/command", {"command": "M105"}) == (
        409,
        NOT_OPERATIONAL,
    )


def test_starts_nothing_when_nothing_is_selected(octoprint: OctoPrintClient) -> None:
    assert control(octoprint, "start") == (204, None)
    assert octoprint.state() == "Operational"


# -- what goes wrong ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "error", "details"),
    [
        (
            "!!DEBUG:trigger_fatal_error_marlin",
            THERMAL_RUNAWAY,
            {"reason": "firmware", "consequence": "emergency", "faq": "firmware-thermal-runaway"},
        ),
        (
            "!!DEBUG:send Error:something broke",
            "something broke",
            {"reason": "firmware", "consequence": "emergency", "faq": None},
        ),
        ("!!DEBUG:drop_connection", "SerialTimeoutException: ", {"reason": ""}),
        ("M112", "Closing serial port due to emergency stop M112.", {"reason": ""}),
    ],
)
def test_fails(
    octoprint: OctoPrintClient, command: str, error: str, details: dict[str, Any]
) -> None:
    start(octoprint)
    octoprint.send_gcode(command)
    octoprint.wait_state("Closed")
    wait_until(lambda: history(octoprint), 5.0, "the history")
    assert history(octoprint) == FAILED_ONCE
    assert wait_for_job(octoprint, "Offline after error") == {
        "error": error,
        "job": unselected(),
        "progress": NO_PROGRESS,
        "state": "Offline after error",
    }
    assert octoprint.request("GET", "/api/printer") == (409, NOT_OPERATIONAL)
    _, shown = octoprint.request("GET", "/api/printer/error")
    shown.pop("logs", None)
    assert shown == {"error": error if details["reason"] else ""} | details
    octoprint.connect_printer()
    assert octoprint.request("GET", "/api/printer/error") == (200, {"error": "", "reason": ""})


def test_a_print_fails_when_somebody_disconnects(octoprint: OctoPrintClient) -> None:
    start(octoprint)
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    octoprint.wait_state("Closed")
    wait_until(lambda: history(octoprint), 5.0, "the history")
    assert history(octoprint) == FAILED_ONCE
    assert wait_for_job(octoprint, "Offline") == {
        "job": unselected(),
        "progress": NO_PROGRESS,
        "state": "Offline",
    }


@pytest.mark.parametrize(
    "what", ["disconnect", "!!DEBUG:trigger_fatal_error_marlin", "!!DEBUG:drop_connection"]
)
def test_a_paused_print_that_is_lost_leaves_no_trace(octoprint: OctoPrintClient, what: str) -> None:
    start(octoprint)
    pause(octoprint)
    if what == "disconnect":
        octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    else:
        octoprint.send_gcode(what)
    octoprint.wait_state("Closed")
    wait_until(lambda: octoprint.job()["job"] == unselected(), 5.0, "no job")
    octoprint.connect_printer()
    assert history(octoprint) is None


def test_a_killed_server_forgets_its_print(octoprint: OctoPrintClient, server: Server) -> None:
    octoprint.upload("b.gcode", DWELL)
    octoprint.select_and_print("b.gcode")
    wait_until(lambda: history(octoprint, "b.gcode"), 10.0, "the history")
    octoprint.wait_state("Operational")
    start(octoprint)
    server.restart()
    octoprint.wait_state("Operational")
    # Two parts are missing until something is selected or the connection is closed.
    never = {name: value for name, value in unselected().items() if name != "averagePrintTime"}
    no_file = {name: value for name, value in NO_FILE.items() if name != "display"}
    no_filament = {"length": None, "volume": None}
    assert wait_for_job(octoprint, "Operational") == {
        "job": never | {"file": no_file, "filament": no_filament},
        "progress": NO_PROGRESS,
        "state": "Operational",
    }
    assert history(octoprint) is None
    assert history(octoprint, "b.gcode") == SUCCEEDED_ONCE


def test_connecting_twice_is_connecting_once(octoprint: OctoPrintClient) -> None:
    start(octoprint)
    connect = {"command": "connect"}
    assert octoprint.request("POST", "/api/connection", connect) == (204, None)
    assert octoprint.state() == "Printing"
    disconnect = {"command": "disconnect"}
    assert octoprint.request("POST", "/api/connection", disconnect) == (204, None)
    octoprint.wait_state("Closed")
    assert octoprint.request("POST", "/api/connection", disconnect) == (204, None)
    assert octoprint.request("POST", "/api/connection", connect) == (204, None)
    octoprint.wait_state("Operational")
