"""A file far larger than what a process may need for it comes to a real OctoPrint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.gcode import GeneratedGcode
from tests.support.memory import Memory
from tests.support.print_shop import PrintShop, only
from tests.support.waiting import wait_until

MIB = 1024 * 1024
LARGE = GeneratedGcode(650 * MIB)


@pytest.fixture(autouse=True)
def no_leftovers(shop: PrintShop) -> Iterator[None]:
    """Failed tests keep their folders; this much is not worth keeping."""
    yield
    shutil.rmtree(shop.coordinator.folder / "pms-data" / "cache", ignore_errors=True)


@pytest.mark.timeout(180)
def test_a_large_file_is_started_and_cancelled(shop: PrintShop, report: dict[str, str]) -> None:
    shop.start()
    # Pays for what is loaded once.
    shop.check(shop.order(0, 0.5))
    worker, coordinator = shop.printer(0)["worker_pid"], shop.coordinator.pid
    watched = {"worker": Memory(worker), "coordinator": Memory(coordinator)}

    with watched["worker"].watched(), watched["coordinator"].watched():
        job = shop.openfarm.add_job(model=shop.models[0], finished_byte_pos=LARGE.finished_byte_pos)
        shop.file_server.put(job, LARGE)
        shop.broker.publish_job_paid(job)
        wait_until(
            lambda: shop.openfarm.print_statuses(job) == ["printing"], 120.0, "the print's start"
        )
        copy = only(shop.openfarm.prints(job))
        attempt = only(shop.openfarm.rows("pms_attempts", job_id=job))
        shop.coordinator.run("cancel", str(copy["id"]))
        wait_until(
            lambda: shop.openfarm.print_statuses(job) == ["cancelled"], 60.0, "the cancelled print"
        )

    seconds = (attempt["staged_at"] - attempt["claimed_at"]).total_seconds()
    report["650 MiB, from the file server to OctoPrint"] = f"{seconds:.1f} s"
    for name, memory in watched.items():
        grown, peak = memory.growth_bytes / MIB, memory.peak_growth_bytes / MIB
        report[f"650 MiB, growth of the {name}"] = f"{grown:.2f} MiB (resident peak {peak:.2f} MiB)"
        assert memory.growth_bytes <= 8 * MIB
    assert (attempt["size"], attempt["sha1"]) == (LARGE.size, LARGE.sha1)
    assert attempt["finish_marker"] == LARGE.finished_byte_pos
    assert shop.printer(0)["worker_pid"] == worker
    shop.servers[0].wait_state("Operational")
    shop.coordinator.run("clear", "p0")
    wait_until(lambda: shop.printer(0)["bed"] == "clear", 10.0, "the clear bed")
