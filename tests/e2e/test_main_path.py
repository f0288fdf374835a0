"""A paid job comes out of the printers: the main path, with everything real."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.support.broker import Broker, Message
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import Gcode, dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)


def assert_notified(messages: list[Message], exchange: str) -> None:
    """The properties that the contract asks of everything that PMS publishes."""
    assert len({message.properties.message_id for message in messages}) == len(messages)
    for message in messages:
        properties = message.properties
        assert properties.content_type == "application/json"
        assert properties.delivery_mode == 2
        assert properties.type == exchange
        assert properties.app_id == "pms"
        assert properties.timestamp > 0


def is_recent(text: str) -> bool:
    moment = datetime.fromisoformat(text)
    return moment.tzinfo is not None and datetime.now(UTC) - moment < timedelta(minutes=5)


class Farm:
    """Two MK4, one of which ejects its parts, and a MINI."""

    def __init__(self, openfarm: OpenFarm, servers: list[OctoPrintServer]) -> None:
        self.mk4_model = openfarm.add_model("MK4")
        self.mini_model = openfarm.add_model("MINI")
        self.by_hand, self.ejecting, self.mini = servers
        self.by_hand_id = openfarm.add_printer(
            "by-hand", self.mk4_model, self.by_hand.url, self.by_hand.api_key
        )
        self.ejecting_id = openfarm.add_printer(
            "ejecting",
            self.mk4_model,
            # OpenFarm's table also holds addresses without a scheme.
            self.ejecting.url.removeprefix("http://"),
            self.ejecting.api_key,
            autostart=True,
        )
        self.mini_id = openfarm.add_printer(
            "mini", self.mini_model, self.mini.url, self.mini.api_key
        )


@pytest.fixture
def farm(openfarm: OpenFarm, octoprint_factory: OctoPrintFactory) -> Farm:
    return Farm(openfarm, octoprint_factory(3))


def remote_files(server: OctoPrintServer) -> list[dict[str, Any]]:
    status, answer = server.request("GET", "/api/files/local?recursive=true&force=true")
    assert status == 200
    folders = [entry for entry in answer["files"] if entry["name"] == "pms"]
    return [file for folder in folders for file in folder["children"]]


def printed(gcode: Gcode, server: OctoPrintServer) -> list[str]:
    return gcode.marks_in(server.printer_log())


def test_three_copies_on_two_fitting_printers(
    in_openfarm: Coordinator,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
    farm: Farm,
) -> None:
    in_openfarm.start()
    for name in ("by-hand", "ejecting", "mini"):
        in_openfarm.wait_for_printer(name, "idle")
    gcode = dwelling_gcode(seconds=4.0)
    job = openfarm.add_job(
        copies=3,
        model=farm.mk4_model,
        finished_byte_pos=gcode.finished_byte_pos,
        print_time=3725.5,
    )
    file_server.put(job, gcode)
    broker.publish_job_paid(job)

    # Both MK4 at once, never the MINI.
    wait_until(
        lambda: openfarm.print_statuses(job) == ["pending", "printing", "printing"],
        30.0,
        "two copies printing at once",
    )
    assert openfarm.job(job)["job_status"] == "printing"
    assert openfarm.printer(farm.by_hand_id)["currently_printing"]
    assert openfarm.printer(farm.ejecting_id)["currently_printing"]
    assert not openfarm.printer(farm.mini_id)["currently_printing"]
    running = [row for row in openfarm.prints(job) if row["print_status"] == "printing"]
    assert {row["printer_id"] for row in running} == {farm.by_hand_id, farm.ejecting_id}
    assert all(row["started_at"] and row["finished_at"] is None for row in running)
    waiting = in_openfarm.status()["queue"]
    assert [entry["job_id"] for entry in waiting] == [job]
    assert "2 MK4 printers" in waiting[0]["reason"]

    # The ejecting one goes on by itself; the other holds its part at the M0.
    wait_until(
        lambda: openfarm.print_statuses(job) == ["completed"] * 3, 60.0, "three completed copies"
    )
    wait_until(
        lambda: in_openfarm.printer("ejecting")["state"] == "idle", 20.0, "ejecting idle again"
    )
    lying = in_openfarm.wait_for_printer("by-hand", "finished")
    assert lying["bed"] == "occupied"
    assert farm.by_hand.state() == "Paused"
    assert not openfarm.printer(farm.by_hand_id)["currently_printing"]
    assert openfarm.job(job)["job_status"] == "printing"
    assert openfarm.job(job)["completed_at"] is None
    assert broker.queue_depth("EmailPrintCleared") == 0

    in_openfarm.run("clear", "by-hand")
    wait_until(lambda: openfarm.job(job)["job_status"] == "completed", 30.0, "the completed job")
    assert openfarm.job(job)["completed_at"] is not None
    in_openfarm.wait_for_printer("by-hand", "idle")
    assert in_openfarm.printer("by-hand")["bed"] == "clear"

    rows = openfarm.prints(job)
    assert len(rows) == 3
    assert sorted(row["printer_id"] for row in rows) == sorted(
        [farm.by_hand_id, farm.ejecting_id, farm.ejecting_id]
    )
    for row in rows:
        assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    _assert_messages(broker, farm, job)
    _assert_printed_once(farm, gcode)
    _assert_counted(openfarm, farm)
    assert len([r for r in file_server.requests_for(job) if r.status == 200]) == 1


def _assert_messages(broker: Broker, farm: Farm, job: int) -> None:
    started = broker.wait_for_messages("EmailPrintStarted", 3)
    assert_notified(started, "PrintStarted")
    for message in started:
        assert set(message.body) == {"JobId", "PrinterId", "PrintTime", "StartTime"}
        assert message.body["JobId"] == job
        assert message.body["PrintTime"] == "01:02:05.5000000"
        assert is_recent(message.body["StartTime"])
    finished = broker.wait_for_messages("DiscordPrintFinished", 3)
    assert_notified(finished, "PrintFinished")
    expected = sorted([farm.by_hand_id, farm.ejecting_id, farm.ejecting_id])
    assert sorted(message.body["PrinterId"] for message in finished) == expected
    assert all(message.body["JobId"] == job for message in finished)
    cleared = broker.wait_for_messages("EmailPrintCleared", 1)
    assert_notified(cleared, "PrintCleared")
    assert cleared[0].body["JobId"] == job
    assert cleared[0].body["PrinterId"] == farm.by_hand_id
    assert is_recent(cleared[0].body["FinishTime"])
    for queue in ("EmailPrintStarted", "DiscordPrintFinished", "EmailPrintCleared"):
        assert broker.queue_depth(queue) == 0
    for queue in ("JobPaid", "EmailJobRejected", "DeleteFile"):
        assert broker.queue_depth(queue) == 0


def _assert_printed_once(farm: Farm, gcode: Gcode) -> None:
    whole = [*gcode.marks, *gcode.marks_behind]
    assert printed(gcode, farm.by_hand) == whole
    assert printed(gcode, farm.ejecting) == whole * 2
    assert printed(gcode, farm.mini) == []
    # The last file of each printer stays selected, and OctoPrint's hash is of its content.
    for server in (farm.by_hand, farm.ejecting):
        for file in remote_files(server):
            assert (file["size"], file["hash"]) == (gcode.size, gcode.sha1)
    assert remote_files(farm.mini) == []


def _assert_counted(openfarm: OpenFarm, farm: Farm) -> None:
    for printer_id, copies in ((farm.by_hand_id, 1), (farm.ejecting_id, 2)):
        counted = openfarm.maintenance(printer_id)
        assert counted["session_prints_completed"] == copies
        assert counted["session_prints_failed"] == 0
        assert counted["session_error_count"] == 0
        assert 3 * copies <= counted["session_uptime"] <= 15 * copies


def test_a_message_that_comes_again_and_again_is_printed_once(
    in_openfarm: Coordinator,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
    farm: Farm,
) -> None:
    gcode = dwelling_gcode(seconds=1.0)
    openfarm.update("printers", farm.by_hand_id, autostart=True)
    job = openfarm.add_job(
        copies=3, model=farm.mk4_model, finished_byte_pos=gcode.finished_byte_pos
    )
    file_server.put(job, gcode)
    in_openfarm.start()
    broker.publish_job_paid(job, job)
    wait_until(lambda: len(openfarm.prints(job)) == 3, 20.0, "the prints")
    broker.publish_job_paid(job, job)
    wait_until(lambda: openfarm.job(job)["job_status"] == "completed", 60.0, "the completed job")
    broker.publish_job_paid(job)
    wait_until(lambda: broker.queue_depth("JobPaid") == 0, 10.0, "an empty queue")
    wait_until(lambda: in_openfarm.logged("job_not_printed"), 10.0, "the last message's line")
    assert openfarm.print_statuses(job) == ["completed"] * 3
    total = printed(gcode, farm.by_hand) + printed(gcode, farm.ejecting)
    assert len(total) == 3 * len([*gcode.marks, *gcode.marks_behind])
    assert len(broker.wait_for_messages("EmailPrintStarted", 3)) == 3
    assert len(broker.wait_for_messages("EmailPrintCleared", 1)) == 1
