"""The same for the places on the way of a pause, a resume, a cancel and a failure."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
import requests

from pms.demo.octoprint_server import OctoPrintServer
from tests.chaos.crash_scene import (
    CrashScene,
    CrashScenes,
    coordinator_factory,
    crash_scenes,
    servers,
)
from tests.support.gcode import dwelling_gcode
from tests.support.waiting import wait_until

__all__ = ["coordinator_factory", "crash_scenes", "servers"]

pytestmark = pytest.mark.timeout(120)

#: OctoPrint's words for a printer on which nothing moves any more.
AT_REST = ("Operational", "Closed", "Offline after error", "Closed with Error")

STEERED = [
    "pause_committed",
    "resume_committed",
    "cancel_committed",
    "report_committed_PrintPaused",
    "report_committed_PrintResumed",
    "report_committed_PrintCancelled",
    "call_PauseFile",
    "answered_PauseFile",
    "emit_PrintPaused",
    "emit_PrintResumed",
    "call_CancelFile",
    "answered_CancelFile",
    "emit_PrintCancelled",
]
FAILING = [
    "report_committed_PrintFailed",
    "emit_PrintFailed",
    "call_ConnectPrinter",
    "answered_ConnectPrinter",
]


class Person:
    """Pauses, resumes and cancels the first copy, and takes off whatever lies on the bed."""

    def __init__(self, scene: CrashScene, server: OctoPrintServer) -> None:
        self.scene = scene
        self.server = server
        self.has_paused = False
        self.has_resumed = False

    def steer(self) -> bool:
        """Repeat what has no effect yet; gives whether the job is complete."""
        attempts = self.scene.openfarm.rows("pms_attempts", job_id=self.scene.job)
        if len(attempts) == 1:
            self._steer(attempts[0]["state"], str(attempts[0]["print_id"]))
        return self._tidy()

    def _steer(self, state: str, print_id: str) -> None:
        self.has_paused = self.has_paused or state == "paused"
        self.has_resumed = self.has_resumed or (self.has_paused and state == "printing")
        if state == "paused":
            self._say("resume", print_id)
        elif state == "printing":
            self._say("cancel" if self.has_resumed else "pause", print_id)

    def break_first(self) -> bool:
        """Let the printer fail in the first copy; gives whether the job is complete."""
        attempts = self.scene.openfarm.rows("pms_attempts", job_id=self.scene.job)
        if len(attempts) == 1 and attempts[0]["state"] == "printing":
            self.server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
        return self._tidy()

    def _tidy(self) -> bool:
        self.scene.keep_running()
        for row in self.scene.openfarm.rows("pms_printers", bed="occupied"):
            lies = self.scene.attempts("finished")
            if (lies and lies[0]["clear_requested_at"] is None) or self._is_left_alone():
                self._say("clear", str(row["printer_id"]))
        return self.scene.is_complete() and self.scene.marker.exists()

    def _is_left_alone(self) -> bool:
        attempts = self.scene.openfarm.rows("pms_attempts")
        live = [row for row in attempts if row["ended_at"] is None]
        return not live and self.server.state() in AT_REST

    def _say(self, verb: str, whom: str) -> None:
        self.scene.coordinator.run(verb, whom, check=False)


def course(scene: CrashScene, done: Callable[[], bool], place: str) -> None:
    scene.begin()
    wait_until(
        done,
        60.0,
        f"the completed job after a death at {place}",
        interval_s=0.1,
        ignoring=(psycopg.errors.UndefinedTable, requests.RequestException),
    )


@pytest.mark.parametrize("place", STEERED)
def test_killed_while_steered(
    place: str, crash_scenes: CrashScenes, servers: list[OctoPrintServer]
) -> None:
    server = servers[0]
    gcode = dwelling_gcode(seconds=1.5, lines=15)
    scene = crash_scenes.make(place, gcode, {"by-hand": (server, False)})
    course(scene, Person(scene, server).steer, place)
    scene.audit(EmailPrintStarted=2, DiscordPrintFinished=1, EmailPrintCleared=1)
    assert scene.openfarm.print_statuses(scene.job) == ["cancelled", "completed"]
    assert_first_one_ended_early(server, gcode.marks)


@pytest.mark.parametrize("place", FAILING)
def test_killed_while_a_print_fails(
    place: str, crash_scenes: CrashScenes, servers: list[OctoPrintServer]
) -> None:
    server = servers[1]
    gcode = dwelling_gcode(seconds=0.8, lines=8)
    scene = crash_scenes.make(place, gcode, {"by-hand": (server, False)})
    course(scene, Person(scene, server).break_first, place)
    scene.audit(EmailPrintStarted=3, DiscordPrintFinished=2, EmailPrintCleared=1)
    assert scene.openfarm.print_statuses(scene.job) == ["completed", "completed", "failed"]
    printed = [mark for mark in server.printer_log() if mark in gcode.marks]
    assert printed.count(gcode.marks[0]) == 3
    assert printed[-2 * len(gcode.marks) :] == [*gcode.marks] * 2


def assert_first_one_ended_early(server: OctoPrintServer, marks: tuple[str, ...]) -> None:
    """Started twice in all: once cut short, once to the end."""
    printed = [mark for mark in server.printer_log() if mark in marks]
    assert printed.count(marks[0]) == 2
    assert printed.count(marks[-1]) == 1
    assert tuple(printed[-len(marks) :]) == marks
