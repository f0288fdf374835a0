"""The push socket: what is said to whom, and in what order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import websocket

from pms.demo.octoprint_client import OctoPrintClient
from tests.conformance.conftest import Server
from tests.conformance.listener import Listener
from tests.conformance.values import DWELL, LONG, NUMBER, THERMAL_RUNAWAY
from tests.support.waiting import wait_until
from workers.octoprint_errors import OctoPrintError

Listen = Callable[[], Listener]

#: What only the lines of a file bring about, and what OctoPrint says whenever it likes.
NOISE = {"ClientAuthed", "Dwelling", "Home", "ZChange", "ToolChange", "FirmwareData"}
STARTED = ["STARTING", "PrintStarted", "ChartMarked", "PRINTING"]
PAUSED = ["PrintPaused", "ChartMarked", "PositionUpdate", "PAUSED"]
RESUMED = ["RESUMING", "PrintResumed", "ChartMarked", "PRINTING"]
DONE = ["FINISHING", "ChartMarked", "PrintDone"]
GONE = ["UpdatedFiles", "FileDeselected", "Disconnected", "OFFLINE"]
FAILED = ["MetadataStatisticsUpdated", "PrintFailed"]
JOB = {"name": "a.gcode", "path": "a.gcode", "origin": "local", "owner": "admin"}


def control(octoprint: OctoPrintClient, command: str, action: str = "") -> None:
    body = {"command": command} | ({"action": action} if action else {})
    assert octoprint.request("POST", "/api/job", body) == (204, None)


def heard(events: Listener) -> list[str]:
    """The events so far, without noise; they are then forgotten."""
    names = [name for name in events.events() if name not in NOISE]
    events.heard.clear()
    return names


# -- logging in -----------------------------------------------------------------------


def test_says_nothing_to_strangers(listen: Listen, octoprint: OctoPrintClient) -> None:
    stranger, friend = listen(), listen()
    friend.log_in()
    connected = stranger.until_kind("connected")
    known = {"version": "1.11.8", "display_version": "1.11.8", "safe_mode": None, "debug": False}
    assert {name: connected[name] for name in known} == known
    assert {"plugin_hash", "config_hash", "permissions", "python_version"} <= set(connected)
    octoprint.upload("a.gcode", DWELL)
    friend.until_event("Upload")
    friend.until_kind("current")
    stranger.read_for(0.1)
    assert stranger.kinds() == ["connected"]


def test_a_bad_session_is_refused_and_a_good_one_taken_afterwards(listen: Listen) -> None:
    listener = listen()
    listener.subscribe(state=True)
    listener.say(auth="admin:0123456789abcdef")
    assert listener.until_kind("reauthRequired") == {"reason": "stale"}
    assert "history" not in listener.kinds()
    listener.log_in()
    listener.until_kind("history")


def test_a_session_ends_with_its_server(
    listen: Listen, octoprint: OctoPrintClient, server: Server
) -> None:
    before = listen()
    before.log_in()
    before.until_kind("history")
    session = octoprint.request("POST", "/api/login", {"passive": True})[1]["session"]
    server.restart()
    octoprint.wait_state("Operational")
    with pytest.raises(OctoPrintError):
        before.read_for(5.0)
    after = listen()
    after.say(auth=f"admin:{session}")
    assert after.until_kind("reauthRequired") == {"reason": "stale"}


def test_refuses_pages_of_other_sites(octoprint: OctoPrintClient) -> None:
    address = f"ws{octoprint.url.removeprefix('http')}/sockjs/websocket"
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(address, origin="http://elsewhere.example", timeout=10)
    assert refused.value.status_code == 403


# -- what is said ---------------------------------------------------------------------


def test_greets_with_a_picture(listen: Listen) -> None:
    listener = listen()
    listener.subscribe(state=True)
    listener.log_in()
    history = listener.until_kind("history")
    assert history["state"]["text"] == "Operational"
    assert {"job", "progress", "temps", "logs", "messages", "offsets"} <= set(history)
    listener.until_kind("timelapse")


def test_says_everything_to_who_subscribes_to_nothing(
    listen: Listen, octoprint: OctoPrintClient
) -> None:
    listener = listen()
    listener.log_in()
    listener.until_kind("history")
    listener.until_kind("current")
    octoprint.upload("a.gcode", DWELL)
    listener.until_event("FileAdded")


def test_says_what_was_subscribed_to(listen: Listen, octoprint: OctoPrintClient) -> None:
    listener = listen()
    listener.subscribe(events=["PrintStarted", "PrintDone"])
    listener.log_in()
    octoprint.upload("a.gcode", DWELL * 4)
    octoprint.select_and_print("a.gcode")
    listener.until_event("PrintDone")
    assert set(listener.kinds()) <= {"connected", "timelapse", "PrintStarted", "PrintDone"}
    assert listener.events() == ["PrintStarted", "PrintDone"]


def test_a_subscription_to_the_state_brings_a_picture(listen: Listen) -> None:
    listener = listen()
    listener.subscribe(events=["PrintDone"])
    listener.log_in()
    listener.until_kind("timelapse")
    assert "history" not in listener.kinds()
    listener.subscribe(state=True)
    listener.until_kind("history")
    listener.until_kind("current")


def test_pictures_show_the_print(listen: Listen, octoprint: OctoPrintClient) -> None:
    octoprint.upload("a.gcode", LONG)
    octoprint.select_and_print("a.gcode")
    octoprint.wait_state("Printing")
    listener = listen()
    listener.subscribe(state=True)
    listener.log_in()
    current = listener.until(
        lambda frame: frame.get("current", {}).get("progress", {}).get("filepos"), "progress"
    )["current"]
    assert set(current) == {
        "state",
        "job",
        "currentZ",
        "progress",
        "offsets",
        "resends",
        "serverTime",
        "temps",
        "busyFiles",
        "markings",
        "logs",
        "messages",
    }
    answer = octoprint.job()
    assert current["job"] == answer["job"]
    assert set(current["progress"]) == set(answer["progress"])
    assert current["progress"]["filepos"] <= answer["progress"]["filepos"]
    assert current["state"]["text"] == "Printing"
    assert current["state"]["flags"]["printing"] is True
    assert current["busyFiles"] == [{"origin": "local", "path": "a.gcode"}]
    assert current["serverTime"] == pytest.approx(time.time(), abs=60)


def test_pictures_show_the_temperatures(listen: Listen) -> None:
    listener = listen()
    listener.subscribe(state=True)
    listener.log_in()
    frame = listener.until(
        lambda frame: any("tool0" in each for each in frame.get("current", {}).get("temps", [])),
        "a reading",
    )
    reading = frame["current"]["temps"][-1]
    assert reading["time"] == NUMBER
    assert reading["tool0"] == {"actual": NUMBER, "target": NUMBER}
    assert reading["bed"] == {"actual": NUMBER, "target": NUMBER}


def test_pictures_come_no_more_often_than_wanted(listen: Listen) -> None:
    listener = listen()
    listener.subscribe(state=True)
    listener.say(throttle=2)
    listener.log_in()
    for _ in range(4):
        listener.until_kind("current")
    times = [frame["current"]["serverTime"] for frame in listener.heard if "current" in frame]
    # Three intervals of a second, since a busy machine delays single pictures; else 1.5 s.
    assert times[-1] - times[0] > 1.8


# -- the order of events --------------------------------------------------------------


def test_tells_a_print_from_its_upload_to_its_end(
    events: Listener, octoprint: OctoPrintClient
) -> None:
    octoprint.upload("a.gcode", DWELL)
    events.until_event("Upload")
    assert heard(events) == ["FileAdded", "UpdatedFiles", "Upload"]
    octoprint.select_and_print("a.gcode")
    events.until_events("MetadataStatisticsUpdated", "OPERATIONAL")
    # The last two come in either order.
    names = heard(events)
    assert names[:-2] == ["FileSelected", *STARTED, *DONE]
    assert sorted(names[-2:]) == ["MetadataStatisticsUpdated", "OPERATIONAL"]


def test_tells_the_start_before_the_upload_that_caused_it(
    events: Listener, octoprint: OctoPrintClient
) -> None:
    octoprint.upload("a.gcode", LONG, print="true")
    events.until_events("PRINTING", "Upload")
    names = heard(events)
    assert names.index("Upload") > names.index("PrintStarted")
    names.remove("Upload")
    assert names == ["FileAdded", "UpdatedFiles", "FileSelected", *STARTED]


def test_tells_the_pause_of_a_file(events: Listener, octoprint: OctoPrintClient) -> None:
    content = DWELL + b"M0\n" + DWELL
    octoprint.upload("a.gcode", content)
    events.until_event("Upload")
    heard(events)
    octoprint.select_and_print("a.gcode")
    events.until_event("PAUSED")
    # Nobody has paused it, so there is no user.
    assert events.payloads("PrintPaused") == [
        JOB | {"size": len(content), "fileposition": 10, "progress": 58, "position": ANY_POSITION}
    ]
    assert events.payloads("CommandSuppressed")[0]["command"] == "M0"
    assert heard(events) == ["FileSelected", *STARTED, "PAUSING", "CommandSuppressed", *PAUSED]
    control(octoprint, "pause", "resume")
    events.until_event("PrintDone")
    assert heard(events) == [*RESUMED, *DONE]


def test_tells_the_pause_of_a_person(events: Listener, octoprint: OctoPrintClient) -> None:
    _start(events, octoprint)
    control(octoprint, "pause", "pause")
    events.until_event("PAUSED")
    (payload,) = events.payloads("PrintPaused")
    assert payload["user"] == "admin"
    assert heard(events) == ["PAUSING", *PAUSED]


def test_tells_a_cancellation(events: Listener, octoprint: OctoPrintClient) -> None:
    _start(events, octoprint)
    control(octoprint, "cancel")
    events.until_events("PrintFailed", "OPERATIONAL")
    (failed,) = events.payloads("PrintFailed")
    known = JOB | {"size": len(LONG), "user": "admin", "reason": "cancelled"}
    assert {name: failed[name] for name in known} == known
    assert (failed["fileposition"], failed["progress"], failed["time"]) == (NUMBER, NUMBER, NUMBER)
    names = heard(events)
    others = ["PrintCancelling", "CANCELLING", "PrintCancelled", "ChartMarked", "OPERATIONAL"]
    assert [name for name in names if name not in FAILED] == others
    # The history is written beside all that.
    assert [name for name in names if name in FAILED] == FAILED
    assert names.index("PrintFailed") > names.index("PrintCancelled")


@pytest.mark.parametrize(
    ("command", "before", "error"),
    [
        ("!!DEBUG:trigger_fatal_error_marlin", ["ERROR", "Error", "EStop"], THERMAL_RUNAWAY),
        ("!!DEBUG:drop_connection", [], "SerialTimeoutException: "),
        ("disconnect", ["Disconnecting"], ""),
    ],
)
def test_tells_a_failure(
    events: Listener, octoprint: OctoPrintClient, command: str, before: list[str], error: str
) -> None:
    _start(events, octoprint)
    _break(octoprint, command)
    events.until_events("OFFLINE", "PrintFailed")
    (failed,) = events.payloads("PrintFailed")
    assert failed == JOB | {
        "size": len(LONG),
        "reason": "error",
        "error": error,
        "time": NUMBER,
        "progress": NUMBER,
    }
    assert 0 <= failed["progress"] < 1
    names = heard(events)
    # The last two come anywhere among the others.
    assert [name for name in names if name not in FAILED] == [*before, *GONE]
    assert sorted(name for name in names if name in FAILED) == FAILED


@pytest.mark.parametrize("command", ["!!DEBUG:trigger_fatal_error_marlin", "disconnect"])
def test_tells_nothing_of_a_paused_print_that_is_lost(
    events: Listener, octoprint: OctoPrintClient, command: str
) -> None:
    _start(events, octoprint)
    control(octoprint, "pause", "pause")
    events.until_event("PAUSED")
    heard(events)
    _break(octoprint, command)
    events.until_event("OFFLINE")
    events.read_for(0.3)
    assert not set(FAILED) & set(heard(events))


def test_tells_of_the_connection(events: Listener, octoprint: OctoPrintClient) -> None:
    octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    events.until_event("OFFLINE")
    assert heard(events) == ["Disconnecting", "UpdatedFiles", "Disconnected", "OFFLINE"]
    octoprint.request("POST", "/api/connection", {"command": "connect"})
    connected = events.until_event("Connected")
    assert connected == {"port": "VIRTUAL", "baudrate": 115200}
    names = [name for name in heard(events) if name != "UpdatedFiles"]
    assert names == ["Connecting", "OPEN_SERIAL", "CONNECTING", "OPERATIONAL", "Connected"]


def test_tells_of_files(events: Listener, octoprint: OctoPrintClient) -> None:
    octoprint.upload("pms/a.gcode", DWELL)
    events.until_event("Upload")
    assert heard(events) == ["FileAdded", "UpdatedFiles", "Upload"]
    for command, to, names in (
        ("copy", "pms/b.gcode", ["FileAdded"]),
        ("move", "pms/c.gcode", ["FileRemoved", "FileAdded", "FileMoved"]),
    ):
        body = {"command": command, "destination": to}
        assert octoprint.request("POST", "/api/files/local/pms/a.gcode", body)[0] == 201
        events.until_event("UpdatedFiles")
        assert heard(events) == [*names, "UpdatedFiles"]
    assert octoprint.request("DELETE", "/api/files/local/pms/b.gcode") == (204, None)
    events.until_event("UpdatedFiles")
    assert octoprint.request("DELETE", "/api/files/local/pms") == (204, None)
    events.until_event("FolderRemoved")
    assert heard(events) == ["FileRemoved", "UpdatedFiles", "FolderRemoved"]


class _Position:
    """Equal to a position in all axes, whatever it is."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and set(other) == {"x", "y", "z", "e", "t", "f"}

    def __hash__(self) -> int:
        return 0


ANY_POSITION: Any = _Position()


def _start(events: Listener, octoprint: OctoPrintClient) -> None:
    """A print with some progress, of which nothing more is to be said."""
    octoprint.upload("a.gcode", LONG)
    octoprint.select_and_print("a.gcode")
    events.until_event("PRINTING")
    wait_until(lambda: octoprint.job()["progress"]["filepos"], 5.0, "progress")
    events.read_for(0.1)
    heard(events)


def _break(octoprint: OctoPrintClient, command: str) -> None:
    if command == "disconnect":
        octoprint.request("POST", "/api/connection", {"command": "disconnect"})
    else:
        octoprint.send_gcode(command)
