"""A coordinator that dies at a named place, what supervisord does then, and what is audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.e2e.conftest import CoordinatorFactory, coordinator_factory
from tests.support.broker import Broker
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import Gcode
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

__all__ = ["CrashScenes", "coordinator_factory", "crash_scenes", "servers"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OctoPrintServer]]:
    """Two OctoPrints for all places; each place has its own file, database and broker."""
    factory = OctoPrintFactory(find_octoprint(), tmp_path_factory.mktemp("octoprints"))
    try:
        yield factory(2)
    finally:
        factory.close()


@dataclass(frozen=True)
class CrashScene:
    """A job, and a PMS of which one process dies when it comes to a place."""

    coordinator: Coordinator
    openfarm: OpenFarm
    broker: Broker
    marker: Path
    gcode: Gcode
    job: int

    def begin(self) -> None:
        """Start the coordinator and let the job be paid for."""
        self.coordinator.launch()
        self.broker.publish_job_paid(self.job)

    def keep_running(self) -> None:
        """What supervisord does."""
        if not self.coordinator.running:
            self.coordinator.launch()

    def attempts(self, state: str) -> list[dict[str, Any]]:
        return list(self.openfarm.rows("pms_attempts", state=state))

    def is_complete(self) -> bool:
        return bool(self.openfarm.job(self.job)["job_status"] == "completed")

    def audit(self, **messages: int) -> None:
        """The place was reached, no bed was forgotten, and each message came."""
        assert self.marker.exists(), "the place was never reached"
        for queue, count in messages.items():
            self._audit_queue(queue, count)
        beds = {row["bed"] for row in self.openfarm.rows("pms_printers")}
        assert beds == {"clear"}

    def _audit_queue(self, queue: str, count: int) -> None:
        """At least once, with an id that stays the same: duplicates are one message."""
        seen: set[Any] = set()

        def all_came() -> bool:
            seen.update(message.properties.message_id for message in self.broker.messages(queue))
            return len(seen) >= count

        wait_until(all_came, 10.0, f"{count} messages in {queue}")
        assert len(seen) == count


class CrashScenes:
    """Makes the scene of a test."""

    def __init__(
        self,
        coordinator: Coordinator,
        openfarm: OpenFarm,
        broker: Broker,
        file_server: FileServer,
        marker: Path,
    ) -> None:
        self._coordinator = coordinator
        self._openfarm = openfarm
        self._broker = broker
        self._file_server = file_server
        self._marker = marker

    def make(
        self,
        place: str,
        gcode: Gcode,
        servers: dict[str, tuple[OctoPrintServer, bool]],
        copies: int = 1,
    ) -> CrashScene:
        """A job for printers by their names, some of which eject their parts."""
        model = self._openfarm.add_model("MK4")
        for name, (server, ejects) in servers.items():
            self._openfarm.add_printer(name, model, server.url, server.api_key, autostart=ejects)
        job = self._openfarm.add_job(
            copies=copies, model=model, finished_byte_pos=gcode.finished_byte_pos
        )
        self._file_server.put(job, gcode)
        self._coordinator.environment["PMS_TEST_CRASH_AT"] = f"{place}={self._marker}"
        return CrashScene(self._coordinator, self._openfarm, self._broker, self._marker, gcode, job)


@pytest.fixture
def crash_scenes(
    database: Database,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
    coordinator_factory: CoordinatorFactory,
    tmp_path: Path,
) -> CrashScenes:
    environment = {
        **database.environment,
        **broker.environment,
        **file_server.environment,
        "PMS_POLL_INTERVAL": "1",
    }
    coordinator = coordinator_factory(environment)
    return CrashScenes(coordinator, openfarm, broker, file_server, tmp_path / "killed")
