"""Processes of PMS are killed and frozen while printers print; nothing is lost, nothing twice."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime

import pytest

from tests.support.print_shop import PrintShop, only, parent_of, strike
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

MIB = 1024 * 1024
#: The print goes on; on a very busy machine it may have come to its M0 meanwhile.
UNDER_WAY = ("Printing", "Paused")


def wait_for_no_process(shop: PrintShop) -> None:
    wait_until(lambda: not shop.coordinator.left_over(), 10.0, "end of all processes")


def test_worker_killed_while_printing(shop: PrintShop, report: dict[str, str]) -> None:
    shop.start()
    struck, other = shop.order(0, 4.0), shop.order(1, 5.0)
    shop.wait_printing(struck, other)
    pid, other_pid = (shop.wait_for(n, "printing")["worker_pid"] for n in (0, 1))

    strike(pid)
    began = time.monotonic()
    shop.wait_for_new_worker(0, pid)
    report["worker killed: back and knows its print"] = f"{time.monotonic() - began:.2f} s"

    shop.check(struck, other)
    assert shop.printer(0)["restarts"] == 1
    unstruck = shop.printer(1)
    assert (unstruck["worker_pid"], unstruck["restarts"]) == (other_pid, 0)


def test_all_workers_killed_by_the_end_of_their_fork_server(shop: PrintShop) -> None:
    shop.start()
    works = shop.order(0, 4.0), shop.order(1, 4.0)
    shop.wait_printing(*works)
    pids = [shop.printer(n)["worker_pid"] for n in (0, 1)]

    strike(parent_of(pids[0]))
    for n, pid in enumerate(pids):
        shop.wait_for_new_worker(n, pid)

    shop.check(*works)
    assert shop.coordinator.stop() == 0
    wait_for_no_process(shop)


def test_coordinator_killed_while_two_print_and_one_finishes(
    shop: PrintShop, report: dict[str, str]
) -> None:
    shop.start()
    # The one leaves a history at OctoPrint, the other waits at its M0.
    short, long = shop.order(0, 4.0, m0=False), shop.order(1, 9.0)
    shop.wait_printing(short, long)

    pid = shop.printer(1)["worker_pid"]
    shop.coordinator.kill()
    killed_at = datetime.now(UTC)
    wait_for_no_process(shop)
    shop.servers[0].wait_state("Operational")
    assert shop.servers[1].state() in UNDER_WAY
    assert only(shop.openfarm.prints(short.job))["print_status"] == "printing"

    began = time.monotonic()
    shop.coordinator.start()
    shop.wait_for_new_worker(1, pid)
    known_s = time.monotonic() - began
    report["coordinator killed: started again and knows its prints"] = f"{known_s:.2f} s"

    shop.check(short, long, may_repeat=True)
    for work in (short, long):
        row = only(shop.openfarm.prints(work.job))
        assert row["started_at"] < killed_at < row["finished_at"] <= datetime.now(UTC)


def test_coordinator_stopped_while_printing(shop: PrintShop, report: dict[str, str]) -> None:
    shop.start()
    work = shop.order(0, 14.0)
    shop.wait_printing(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        pid = shop.printer(0)["worker_pid"]
        began = time.monotonic()
        assert shop.coordinator.stop(number) == 0
        report[f"coordinator stopped with {number.name}"] = f"{time.monotonic() - began:.2f} s"
        wait_for_no_process(shop)
        assert shop.servers[0].state() in UNDER_WAY
        assert only(shop.openfarm.prints(work.job))["print_status"] == "printing"

        shop.coordinator.start()
        shop.wait_for_new_worker(0, pid)
    shop.check(work, may_repeat=True)
    assert only(shop.openfarm.rows("pms_attempts"))["number"] == 1


def test_frozen_worker_is_replaced(shop: PrintShop, report: dict[str, str]) -> None:
    shop.start()
    struck, other = shop.order(0, 8.0), shop.order(1, 8.0)
    shop.wait_printing(struck, other)
    pid = shop.printer(0)["worker_pid"]

    strike(pid, signal.SIGSTOP)
    began = time.monotonic()
    shop.wait_for_new_worker(0, pid)
    report["worker frozen: replaced"] = f"{time.monotonic() - began:.2f} s"

    shop.check(struck, other)
    assert shop.coordinator.logged("worker_hangs")
    # What faulthandler writes: why, and where each thread was.
    assert shop.coordinator.logged("Fatal Python error: Aborted")
    assert shop.coordinator.logged("workers/loop.py")
    assert shop.printer(1)["restarts"] == 0


def test_frozen_worker_does_not_outlive_its_coordinator(shop: PrintShop) -> None:
    shop.start()
    strike(shop.printer(0)["worker_pid"], signal.SIGSTOP)
    shop.coordinator.kill()
    wait_for_no_process(shop)


def test_frozen_coordinator_goes_on_where_it_was(shop: PrintShop) -> None:
    shop.start()
    short, long = shop.order(0, 3.0), shop.order(1, 8.0)
    shop.wait_printing(short, long)
    pids = [shop.printer(n)["worker_pid"] for n in (0, 1)]

    strike(shop.coordinator.pid, signal.SIGSTOP)
    # Longer than a worker may be silent: the silence was the coordinator's own.
    for server in shop.servers:
        server.wait_state("Paused")
    strike(shop.coordinator.pid, signal.SIGCONT)

    shop.check(short, long)
    assert [shop.printer(n)["worker_pid"] for n in (0, 1)] == pids


def test_worker_killed_while_it_downloads_and_while_it_uploads(shop: PrintShop) -> None:
    shop.start()
    # More than the sockets between worker and OctoPrint can hold.
    work = shop.order(0, 1.0, padding=32 * MIB, message=False)
    stored = shop.file_server.find(f"/api/gcode/{work.job}")
    assert stored is not None
    stored.gate.clear()
    shop.broker.publish_job_paid(work.job)
    wait_until(lambda: shop.file_server.requests_for(work.job), 20.0, "the request for the file")
    pid = shop.wait_for(0, "transferring")["worker_pid"]

    strike(pid)
    wait_until(
        lambda: len(shop.file_server.requests_for(work.job)) == 2, 20.0, "the second request"
    )
    again = shop.printer(0)["worker_pid"]
    shop.servers[0].freeze()
    stored.gate.set()
    cache = shop.coordinator.folder / "pms-data" / "cache"
    wait_until((cache / f"job-{work.job}.json").exists, 20.0, "the file in the cache")
    strike(again)
    shop.servers[0].thaw()

    shop.check(work)
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("whole", ["worker", "coordinator"])
def test_killed_while_parts_lie_on_the_beds(shop: PrintShop, whole: str) -> None:
    shop.clear_by_hand()
    shop.start()
    by_command, by_hand = shop.order(0, 1.0), shop.order(1, 1.0)
    pids = [shop.wait_for(n, "finished")["worker_pid"] for n in (0, 1)]

    if whole == "worker":
        for pid in pids:
            strike(pid)
    else:
        shop.coordinator.kill()
        wait_for_no_process(shop)
        shop.coordinator.start()
    for n, pid in enumerate(pids):
        shop.wait_for_new_worker(n, pid)
        assert shop.wait_for(n, "finished")["bed"] == "occupied"
    shop.coordinator.run("clear", "p0")
    shop.servers[1].request("POST", "/api/job", {"command": "pause", "action": "resume"})

    shop.check(by_command, by_hand, may_repeat=whole == "coordinator")
