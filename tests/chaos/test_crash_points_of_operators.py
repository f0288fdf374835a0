"""The same for the places on the way of a pause, a resume, a cancel and a failure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg.errors import UndefinedTable
from requests import RequestException

from pms.demo.octoprint_server import OctoPrintServer, OctoPrintServerError
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
    """Steers or breaks the first try, and takes off whatever lies on the bed."""

    def __init__(self, scene: CrashScene, server: OctoPrintServer) -> None:
        self.scene = scene
        self.server = server
        self.has_paused = False
        self.has_resumed = False

    def steer(self) -> bool:
        """Pause, resume, cancel; repeat what has no effect yet. True: the bed is clear again."""
        attempts = self.scene.openfarm.rows("pms_attempts")
        for attempt in attempts:
            self._steer(attempt["state"], str(attempt["print_id"]))
        self._tidy()
        return bool(attempts) and self._is_tidy()

    def _steer(self, state: str, print_id: str) -> None:
        self.has_paused = self.has_paused or state == "paused"
        self.has_resumed = self.has_resumed or (self.has_paused and state == "printing")
        if state == "paused":
            self._say("resume", print_id)
        elif state == "printing":
            self._say("cancel" if self.has_resumed else "pause", print_id)

    def break_first(self) -> bool:
        """Let the printer fail in the first try; True: the job is complete."""
        attempts = self.scene.openfarm.rows("pms_attempts")
        if len(attempts) == 1 and attempts[0]["state"] == "printing":
            self.server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
        self._tidy()
        return self.scene.is_complete() and self._is_tidy()

    def _tidy(self) -> None:
        self.scene.keep_running()
        for row in self.scene.openfarm.rows("pms_printers", bed="occupied"):
            lies = self.scene.attempts("finished")
            if (lies and lies[0]["clear_requested_at"] is None) or self._is_left_alone():
                self._say("clear", str(row["printer_id"]))

    def _is_tidy(self) -> bool:
        attempts = self.scene.openfarm.rows("pms_attempts")
        occupied = self.scene.openfarm.rows("pms_printers", bed="occupied")
        live = [row for row in attempts if row["ended_at"] is None]
        return not live and not occupied and self.scene.marker.exists()

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
        f"an end that is clean after a death at {place}",
        interval_s=0.1,
        ignoring=(UndefinedTable, RequestException, OctoPrintServerError),
    )


@pytest.mark.parametrize("place", STEERED)
def test_killed_while_steered(
    place: str, crash_scenes: CrashScenes, servers: list[OctoPrintServer]
) -> None:
    server = servers[0]
    # Longer than any way to its cancellation.
    gcode = dwelling_gcode(seconds=60.0, lines=60)
    scene = crash_scenes.make(place, gcode, {"by-hand": (server, False)})
    course(scene, Person(scene, server).steer, place)
    scene.audit(EmailPrintStarted=1, DiscordPrintFinished=0, EmailPrintCleared=0)
    assert scene.openfarm.print_statuses(scene.job) == ["cancelled"]
    printed = gcode.marks_in(server.printer_log())
    assert printed == list(gcode.marks[: len(printed)])


@pytest.mark.parametrize("place", FAILING)
def test_killed_while_a_print_fails(
    place: str, crash_scenes: CrashScenes, servers: list[OctoPrintServer]
) -> None:
    server = servers[1]
    gcode = dwelling_gcode(seconds=2.5, lines=10)
    scene = crash_scenes.make(place, gcode, {"by-hand": (server, False)})
    course(scene, Person(scene, server).break_first, place)
    scene.audit(EmailPrintStarted=2, DiscordPrintFinished=1, EmailPrintCleared=1)
    assert scene.openfarm.print_statuses(scene.job) == ["completed", "failed"]
    printed = gcode.marks_in(server.printer_log())
    whole = [*gcode.marks, *gcode.marks_behind]
    cut_short = printed[: -len(whole)]
    assert printed[-len(whole) :] == whole
    assert cut_short == whole[: len(cut_short)]
