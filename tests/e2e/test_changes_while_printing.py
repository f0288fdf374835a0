"""What others change about jobs and printers while copies wait, transfer and print.

A paid copy is never lost by it, and none is printed twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import Gcode, dwelling_gcode
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(150)

SHORT_S = 0.3


def printed(gcode: Gcode, servers: Sequence[OctoPrintServer]) -> int:
    """How many whole copies the printers have made; there is no part of one."""
    whole = [*gcode.marks, *gcode.marks_behind]
    marks = [mark for server in servers for mark in gcode.marks_in(server.printer_log())]
    copies, rest = divmod(len(marks), len(whole))
    assert (sorted(marks), rest) == (sorted(whole * copies), 0)
    return copies


def hold(farm: Farm, gcode: Gcode, **columns: object) -> int:
    """A paid job whose file is kept back on its way to the printer."""
    job = farm.add_job(None, finished_byte_pos=gcode.finished_byte_pos, **columns)
    farm.file_server.put(job, gcode).gate.clear()
    farm.broker.publish_job_paid(job)
    farm.wait_for_attempts(job, "transferring")
    return job


def let_go(farm: Farm, job: int) -> None:
    stored = farm.file_server.find(f"/api/gcode/{job}")
    assert stored is not None
    stored.gate.set()


def delete_prints(farm: Farm, job: int, count: int) -> None:
    for row in farm.openfarm.prints(job)[:count]:
        farm.openfarm.delete("prints", row["id"])


def wait_for_attention(farm: Farm, job: int, words: str) -> None:
    wait_until(
        lambda: words in " ".join(farm.attention(job_id=job)), TIMEOUT_S, f"attention: {words}"
    )


def told(farm: Farm) -> list[tuple[str, int]]:
    """Every notification so far, by its name and the job, in no order."""
    queues = ("EmailPrintStarted", "DiscordPrintFinished", "EmailPrintCleared")
    messages = [message for queue in queues for message in farm.broker.messages(queue)]
    return [(message.properties.type, message.body["JobId"]) for message in messages]


def test_jobs_are_given_up_by_another_service(farm: Farm, octoprints: OctoPrints) -> None:
    one, two = octoprints(2)
    farm.add_printer("one", one, autostart=True)
    farm.add_printer("two", two, model="MINI", autostart=True)
    farm.start()
    gcode, held_back = dwelling_gcode(seconds=2.5), dwelling_gcode(seconds=SHORT_S)
    transferring = hold(farm, held_back, model=farm.model("MINI"))
    job = farm.pay(gcode, copies=2)
    farm.wait_for_prints(job, "printing", "pending")

    farm.openfarm.update("print_jobs", job, job_status="cancelled")
    farm.openfarm.update("print_jobs", transferring, job_status="rejected")
    farm.wait_for_attempts(transferring, "cancelled")
    farm.wait_for_prints(transferring, "cancelled")
    let_go(farm, transferring)
    farm.wait_for_prints(job, "completed", "pending")
    farm.wait_for_attempts(job, "cleared")

    for name in ("one", "two"):
        farm.wait_for_printer(name, "idle", "clear")
    assert farm.openfarm.job(job)["job_status"] == "cancelled"
    assert (printed(gcode, [one, two]), printed(held_back, [one, two])) == (1, 0)
    assert sorted(told(farm)) == [("PrintFinished", job), ("PrintStarted", job)]
    assert farm.status()["attention"] == []
    assert not farm.log_lines("ERROR")


def test_more_or_fewer_copies_after_the_payment(farm: Farm, octoprints: OctoPrints) -> None:
    servers = octoprints(2)
    for n, server in enumerate(servers):
        farm.add_printer(f"p{n}", server, autostart=True)
    farm.start()
    raised, lowered, wavering = (dwelling_gcode(seconds=SHORT_S) for _ in range(3))
    jobs = [farm.pay(gcode, copies=2, job_status="received") for gcode in (raised, lowered)]
    for job in jobs:
        farm.wait_for_prints(job, "pending", "pending")
    for job, copies in zip(jobs, (3, 1), strict=True):
        farm.openfarm.update("print_jobs", job, num_copies=copies, job_status="operatorApproved")
    # What was paid for is printed; whether there is to be more, a person has to say.
    farm.wait_for_completion(jobs[1])
    farm.wait_for_prints(jobs[0], "completed", "completed")
    wait_for_attention(farm, jobs[0], "there are 2 of 3 copies")
    farm.broker.publish_job_paid(jobs[0])
    farm.coordinator.run("job", "retry", str(jobs[0]))
    farm.wait_for_completion(jobs[0])

    last = hold(farm, wavering)
    farm.openfarm.update("print_jobs", last, num_copies=2)
    wait_for_attention(farm, last, "there are 1 of 2 copies")
    let_go(farm, last)
    farm.wait_for_attempts(last, "cleared")
    assert farm.openfarm.job(last)["job_status"] == "printing"
    farm.openfarm.update("print_jobs", last, num_copies=1)
    farm.wait_for_completion(last)
    farm.openfarm.update("print_jobs", last, num_copies=2)

    another = farm.pay(dwelling_gcode(seconds=SHORT_S))
    farm.wait_for_completion(another)
    assert [printed(gcode, servers) for gcode in (raised, lowered, wavering)] == [3, 2, 1]
    cleared = [job for name, job in told(farm) if name == "PrintCleared"]
    assert sorted(cleared) == sorted([*jobs, last, another])
    assert farm.status()["attention"] == []
    assert not farm.log_lines("ERROR")


def test_prints_are_deleted_by_hand(farm: Farm, octoprints: OctoPrints) -> None:
    servers = octoprints(2)
    for server, model in zip(servers, ("MK4", "MINI"), strict=True):
        farm.add_printer(model, server, model=model, autostart=True)
    farm.start()
    some, all_of_it, gone, going = (
        dwelling_gcode(seconds=seconds) for seconds in (SHORT_S, SHORT_S, SHORT_S, 2.5)
    )
    waiting = [farm.pay(gcode, copies=2, job_status="received") for gcode in (some, all_of_it)]
    transferring = hold(farm, gone, model=farm.model("MINI"))
    printing = farm.pay(going)
    farm.wait_for_prints(printing, "printing")
    for job in waiting:
        farm.wait_for_prints(job, "pending", "pending")

    for job, count in ((printing, 1), (transferring, 1), (waiting[0], 1), (waiting[1], 2)):
        delete_prints(farm, job, count)
    # Nobody counts a copy that is there, or is to be there, for one that is missing.
    farm.wait_for_attempts(transferring, "returned")
    wait_for_attention(farm, transferring, "there are 0 of 1 copies")
    assert farm.attention(job_id=printing) == []
    for job in waiting:
        farm.openfarm.update("print_jobs", job, job_status="operatorApproved")
    wait_for_attention(farm, waiting[0], "there are 1 of 2 copies")
    farm.wait_for_completion(printing, waiting[1])
    let_go(farm, transferring)
    for job in (waiting[0], transferring):
        farm.coordinator.run("job", "retry", str(job))
    farm.wait_for_completion(waiting[0], transferring)

    assert [printed(gcode, servers) for gcode in (some, all_of_it, gone, going)] == [2, 2, 1, 1]
    assert farm.openfarm.prints(printing) == []
    assert sum(name == "PrintCleared" for name, _ in told(farm)) == 4
    assert farm.status()["attention"] == []
    assert not farm.log_lines("ERROR")


def test_whole_jobs_are_deleted_by_hand(farm: Farm, octoprints: OctoPrints) -> None:
    servers = octoprints(2)
    for server, model in zip(servers, ("MK4", "MINI"), strict=True):
        farm.add_printer(model, server, model=model, autostart=True)
    farm.start()
    gone, going = dwelling_gcode(seconds=SHORT_S), dwelling_gcode(seconds=2.0)
    transferring = hold(farm, gone, model=farm.model("MINI"))
    printing = farm.pay(going, copies=2)
    farm.wait_for_prints(printing, "printing", "pending")
    for job in (transferring, printing):
        farm.openfarm.delete("print_jobs", job)

    farm.wait_for_attempts(transferring, "cancelled")
    let_go(farm, transferring)
    farm.wait_for_attempts(printing, "cleared")
    for name in ("MK4", "MINI"):
        farm.wait_for_printer(name, "idle", "clear")
    another = farm.pay(dwelling_gcode(seconds=SHORT_S))
    farm.wait_for_completion(another)
    assert (printed(gone, servers), printed(going, servers)) == (0, 1)
    assert farm.status()["attention"] == []
    assert farm.status()["queue"] == []
    assert not farm.log_lines("ERROR")


def test_a_printer_gets_another_address_while_it_prints(farm: Farm, octoprints: OctoPrints) -> None:
    one, two = octoprints(2)
    printer = farm.add_printer("printer", one, autostart=True)
    farm.start()
    first, second = dwelling_gcode(seconds=4.0), dwelling_gcode(seconds=4.0)

    def move(server: OctoPrintServer) -> None:
        farm.openfarm.update("printers", printer, ip_address=server.url, api_key=server.api_key)

    job = farm.pay(first)
    farm.wait_for_prints(job, "printing")
    move(two)
    shown = farm.wait_for_printer("printer", "error", "occupied")
    assert "does not have the file" in shown["detail"]
    assert farm.attention(printer_id=printer) == [shown["detail"]]
    assert farm.openfarm.print_statuses(job) == ["printing"]
    move(one)
    farm.wait_for_completion(job)
    assert (printed(first, [one]), printed(first, [two])) == (1, 0)

    # For good: only a person can know what became of it.
    job = farm.pay(second)
    farm.wait_for_prints(job, "printing")
    move(two)
    farm.wait_for_printer("printer", "error", "occupied")
    one.request("POST", "/api/job", {"command": "cancel"})
    farm.coordinator.run("clear", "printer")
    farm.wait_for_completion(job)
    assert [row["state"] for row in farm.attempts(job)] == ["failed", "cleared"]
    assert printed(second, [two]) == 1
    assert farm.status()["attention"] == []
    assert not farm.log_lines("ERROR")
