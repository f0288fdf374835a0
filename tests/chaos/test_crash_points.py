"""Every named place to die at: the process is killed there, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.e2e.conftest import CoordinatorFactory, coordinator_factory
from tests.support.broker import Broker
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

__all__ = ["coordinator_factory"]

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
    "answered_StartFile",
    "emit_PrintStarted",
    "emit_PrintFinished",
    "call_ResumeFile",
    "answered_ResumeFile",
    "emit_PrintCleared",
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OctoPrintServer]]:
    """Two OctoPrints for all places; each place has its own file, database and broker."""
    factory = OctoPrintFactory(find_octoprint(), tmp_path_factory.mktemp("octoprints"))
    try:
        yield factory(2)
    finally:
        factory.close()


class Scene:
    """A job of two copies on two printers, one of which a person has to clear."""

    def __init__(
        self,
        coordinator: Coordinator,
        openfarm: OpenFarm,
        broker: Broker,
        servers: list[OctoPrintServer],
        marker: Path,
    ) -> None:
        self.coordinator = coordinator
        self.openfarm = openfarm
        self.broker = broker
        self.servers = servers
        self.marker = marker
        self.gcode = dwelling_gcode(seconds=0.6, lines=6)
        model = openfarm.add_model("MK4")
        for name, server, autostart in zip(
            ("by-hand", "ejecting"), servers, (False, True), strict=True
        ):
            openfarm.add_printer(name, model, server.url, server.api_key, autostart=autostart)
        self.job = openfarm.add_job(
            copies=2, model=model, finished_byte_pos=self.gcode.finished_byte_pos
        )

    def is_over(self) -> bool:
        """What supervisord and an operator do, until the job is complete."""
        if not self.coordinator.running:
            self.coordinator.launch()
        for row in self.openfarm.rows("pms_attempts", state="finished"):
            if row["clear_requested_at"] is None:
                self.coordinator.run("clear", str(row["printer_id"]), check=False)
        return bool(self.openfarm.job(self.job)["job_status"] == "completed")

    def audit(self) -> None:
        assert self.marker.exists(), "the place was never reached"
        assert self.openfarm.print_statuses(self.job) == ["completed"] * 2
        printed = [mark for server in self.servers for mark in self._marks(server)]
        assert printed == [*self.gcode.marks, *self.gcode.marks_behind] * 2
        self._audit_messages()
        beds = {row["bed"] for row in self.openfarm.rows("pms_printers")}
        assert beds == {"clear"}

    def _marks(self, server: OctoPrintServer) -> list[str]:
        return self.gcode.marks_in(server.printer_log())

    def _audit_messages(self) -> None:
        for queue, count in (
            ("EmailPrintStarted", 2),
            ("DiscordPrintFinished", 2),
            ("EmailPrintCleared", 1),
        ):
            seen: set[Any] = set()
            wait_until(
                lambda queue=queue, seen=seen, count=count: self._collect(queue, seen) >= count,
                10.0,
                f"{count} messages in {queue}",
            )
            assert len(seen) == count

    def _collect(self, queue: str, seen: set[Any]) -> int:
        """At least once, with an id that stays the same: duplicates are one message."""
        seen |= {message.properties.message_id for message in self.broker.messages(queue)}
        return len(seen)


@pytest.mark.parametrize("place", [*IN_THE_COORDINATOR, *IN_A_WORKER])
def test_killed_at(
    place: str,
    database: Database,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
    servers: list[OctoPrintServer],
    coordinator_factory: CoordinatorFactory,
    tmp_path: Path,
) -> None:
    marker = tmp_path / "killed"
    coordinator = coordinator_factory(
        {
            **database.environment,
            **broker.environment,
            **file_server.environment,
            "PMS_POLL_INTERVAL": "1",
            "PMS_TEST_CRASH_AT": f"{place}={marker}",
        }
    )
    scene = Scene(coordinator, openfarm, broker, servers, marker)
    file_server.put(scene.job, scene.gcode)
    coordinator.launch()
    broker.publish_job_paid(scene.job)
    wait_until(
        scene.is_over,
        60.0,
        f"the completed job after a death at {place}",
        interval_s=0.2,
        # The coordinator has not made its tables yet.
        ignoring=(psycopg.errors.UndefinedTable,),
    )
    scene.audit()
