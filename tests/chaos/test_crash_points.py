"""Every named place to die at: the process is killed there, and nothing is lost or done twice."""

from __future__ import annotations

import psycopg
import pytest

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

IN_THE_COORDINATOR = [
    "intake_begun",
    "intake_committed",
    "claim_committed",
    "report_committed_PrinterReady",
    "report_committed_TransferFinished",
    "report_committed_PrintStarting",
    "report_committed_PrintStarted",
    "report_committed_PrintFinished",
    "report_committed_PrintCleared",
    "clear_committed",
    "notification_confirmed",
]
IN_A_WORKER = [
    "gcode_cached",
    "uploaded",
    "emit_TransferFinished",
    "emit_PrintStarting",
    "call_StartFile",
    "sent_StartFile",
    "answered_StartFile",
    "emit_PrintStarted",
    "emit_PrintFinished",
    "call_ResumeFile",
    "answered_ResumeFile",
    "emit_PrintCleared",
    "call_TakeStock",
    "answered_TakeStock",
]
#: A file is removed once another one is selected, so one printer needs a second copy.
BETWEEN_COPIES = ["call_DeleteFile", "answered_DeleteFile"]
PLACES = {
    **dict.fromkeys([*IN_THE_COORDINATOR, *IN_A_WORKER], 2),
    **dict.fromkeys(BETWEEN_COPIES, 3),
}


def is_over(scene: CrashScene) -> bool:
    """What supervisord and an operator do, until the job is complete."""
    scene.keep_running()
    for row in scene.attempts("finished"):
        if row["clear_requested_at"] is None:
            scene.coordinator.run("clear", str(row["printer_id"]), check=False)
    return scene.is_complete() and scene.marker.exists()


@pytest.mark.parametrize(("place", "copies"), PLACES.items(), ids=PLACES)
def test_killed_at(
    place: str, copies: int, crash_scenes: CrashScenes, servers: list[OctoPrintServer]
) -> None:
    gcode = dwelling_gcode(seconds=0.6, lines=6)
    by_hand, ejecting = servers
    scene = crash_scenes.make(
        place, gcode, {"by-hand": (by_hand, False), "ejecting": (ejecting, True)}, copies=copies
    )
    scene.begin()
    wait_until(
        lambda: is_over(scene),
        60.0,
        f"the completed job after a death at {place}",
        interval_s=0.2,
        # The coordinator has not made its tables yet.
        ignoring=(psycopg.errors.UndefinedTable,),
    )
    scene.audit(EmailPrintStarted=copies, DiscordPrintFinished=copies, EmailPrintCleared=1)
    assert scene.openfarm.print_statuses(scene.job) == ["completed"] * copies
    printed = [mark for server in servers for mark in gcode.marks_in(server.printer_log())]
    assert printed == [*gcode.marks, *gcode.marks_behind] * copies
