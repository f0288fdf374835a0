"""The wall clock of PMS is put forward and back while printers print."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import dwelling_gcode
from tests.support.print_shop import strike
from tests.support.waiting import wait_until
from tests.support.wall_clock import WallClock

pytestmark = pytest.mark.timeout(180)

HOUR_S = 3600


@pytest.fixture
def clock(farm: Farm, tmp_path: Path) -> WallClock:
    """The coordinator's and its processes'."""
    clock = WallClock(tmp_path / "clock")
    farm.coordinator.environment |= clock.environment
    return clock


def incarnations(farm: Farm) -> list[int]:
    return [row["incarnation"] for row in farm.openfarm.rows("pms_printers")]


def replace_workers(farm: Farm) -> None:
    """Every printer gets a new process, and each of them is a later one than any before."""
    before = incarnations(farm)
    pids = [printer["worker_pid"] for printer in farm.status()["printers"]]
    for pid in pids:
        strike(pid)
    wait_until(
        lambda: all(new > old for new, old in zip(incarnations(farm), before, strict=True)),
        TIMEOUT_S,
        "later processes",
    )


def wait_for_clock(farm: Farm, offset_s: int) -> None:
    """Wait until the coordinator has met a printer at the new time: telemetry bears it."""

    def is_there() -> bool:
        seen = datetime.fromisoformat(farm.status()["printers"][0]["last_seen_at"])
        ahead_s = (seen - datetime.now(UTC)).total_seconds()
        return abs(ahead_s - offset_s) < HOUR_S / 2

    wait_until(is_there, TIMEOUT_S, f"the clock to be {offset_s} s ahead")


def test_prints_go_on_when_the_clock_is_put_forward_and_back(
    farm: Farm, octoprints: OctoPrints, clock: WallClock
) -> None:
    servers = octoprints(2)
    for n, server in enumerate(servers):
        farm.add_printer(f"p{n}", server, autostart=True)
    farm.start()
    for n in range(2):
        farm.wait_for_printer(f"p{n}", "idle")
    gcode = dwelling_gcode(seconds=8.0)
    job = farm.pay(gcode, copies=2)
    farm.wait_for_prints(job, "printing", "printing")

    for offset_s in (HOUR_S, -HOUR_S):
        clock.set(offset_s)
        wait_for_clock(farm, offset_s)
    # Nobody was taken for silent or stalled.
    assert [printer["restarts"] for printer in farm.status()["printers"]] == [0, 0]
    assert farm.status()["attention"] == []
    clock.set(HOUR_S)
    wait_for_clock(farm, HOUR_S)
    replace_workers(farm)
    clock.set(-HOUR_S)
    replace_workers(farm)
    last = incarnations(farm)
    farm.coordinator.kill()
    farm.coordinator.start()
    farm.wait_for_completion(job)

    assert all(new > old for new, old in zip(incarnations(farm), last, strict=True))
    whole = [*gcode.marks, *gcode.marks_behind]
    assert [gcode.marks_in(server.printer_log()) for server in servers] == [whole, whole]
    assert [row["state"] for row in farm.attempts(job)] == ["cleared", "cleared"]
    assert not farm.log_lines("worker_hangs")
    assert not farm.log_lines("ERROR")


def test_nobody_waits_an_hour_longer_when_the_clock_is_put_back(
    farm: Farm, octoprints: OctoPrints, clock: WallClock
) -> None:
    (server,) = octoprints(1)
    farm.add_printer("printer", server, autostart=True)
    clock.set(HOUR_S)
    farm.start(PMS_TRANSFER_RETRIES="0")
    farm.wait_for_printer("printer", "idle")
    missing = farm.pay(None)
    farm.wait_for_reason(missing, "asked again at")
    refused = farm.add_job(None)
    gcode = dwelling_gcode(seconds=0.3)
    farm.file_server.put(refused, gcode, failures=1)
    farm.broker.publish_job_paid(refused)
    farm.wait_for_reason(refused, "resting")
    farm.file_server.put(missing, gcode)

    clock.set(0)
    farm.wait_for_completion(missing, refused)
    (row,) = farm.openfarm.rows("pms_printers")
    assert row["resting_until"] > datetime.now(UTC) + timedelta(seconds=HOUR_S / 2)
    assert not farm.log_lines("ERROR")
