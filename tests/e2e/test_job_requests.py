"""What operators ask for whole jobs: retry, cancel, reject."""

from __future__ import annotations

import pytest

from tests.support.broker import Broker
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


def test_retry_cancel_and_reject(
    in_openfarm: Coordinator,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
    octoprint_factory: OctoPrintFactory,
) -> None:
    (server,) = octoprint_factory()
    model = openfarm.add_model("MK4", autostart=True)
    openfarm.add_printer("one", model, server.url, server.api_key)
    in_openfarm.environment["PMS_REPRINTS"] = "0"
    in_openfarm.start()
    gcode = dwelling_gcode(seconds=3.0)

    failing = openfarm.add_job(finished_byte_pos=gcode.finished_byte_pos)
    file_server.put(failing, gcode)
    broker.publish_job_paid(failing)
    wait_until(
        lambda: openfarm.print_statuses(failing) == ["printing"], 30.0, "the first copy printing"
    )
    server.request("POST", "/api/job", {"command": "cancel"})
    wait_until(
        lambda: [item for item in in_openfarm.status()["attention"] if item.get("job_id")],
        20.0,
        "the job in attention",
    )
    assert openfarm.print_statuses(failing) == ["failed"]
    assert in_openfarm.run("job", "retry", "4711", check=False).returncode == 1
    in_openfarm.run("clear", "one")
    assert in_openfarm.json("job", "retry", str(failing))["created"] == 1
    wait_until(lambda: openfarm.job(failing)["job_status"] == "completed", 40.0, "the retried job")
    assert sorted(openfarm.print_statuses(failing)) == ["completed", "failed"]
    assert in_openfarm.run("job", "retry", str(failing), check=False).returncode == 1

    cancelled = openfarm.add_job(copies=2, finished_byte_pos=gcode.finished_byte_pos)
    file_server.put(cancelled, gcode)
    broker.publish_job_paid(cancelled)
    wait_until(
        lambda: sorted(openfarm.print_statuses(cancelled)) == ["pending", "printing"],
        30.0,
        "one copy printing",
    )
    in_openfarm.run("job", "cancel", str(cancelled))
    wait_until(
        lambda: openfarm.print_statuses(cancelled) == ["cancelled"] * 2, 20.0, "both cancelled"
    )
    assert openfarm.job(cancelled)["job_status"] == "cancelled"
    assert in_openfarm.printer("one")["bed"] == "occupied"

    rejected = openfarm.add_job(model=openfarm.add_model("XL"))
    broker.publish_job_paid(rejected)
    wait_until(lambda: len(openfarm.prints(rejected)) == 1, 20.0, "the print of the last job")
    in_openfarm.run("job", "reject", str(rejected))
    assert openfarm.job(rejected)["job_status"] == "rejected"
    (message,) = broker.wait_for_messages("EmailJobRejected", 1)
    assert message.body == {"JobId": rejected, "Email": None, "RejectReason": 3}
    assert len(broker.messages("EmailPrintStarted")) == 3
    assert len(broker.messages("EmailPrintCleared")) == 1
