"""What printers share is used by so many at a time, and the others say that they wait for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.farm import Farm
from tests.support.gcode import dwelling_gcode
from tests.support.printers import OctoPrintFactory

pytestmark = pytest.mark.timeout(180)

BED_C, NOZZLE_C = 60, 100
TOLERANCE_C = 3.0


def test_no_more_transfers_than_allowed(farm: Farm, octoprints: OctoPrints) -> None:
    for number, server in enumerate(octoprints(2)):
        farm.add_printer(f"p{number}", server, autostart=True)
    farm.start(PMS_MAX_TRANSFERS="1")
    for name in ("p0", "p1"):
        farm.wait_for_printer(name, "idle")
    gcode = dwelling_gcode(seconds=0.3)
    slow = farm.add_job(None, finished_byte_pos=gcode.finished_byte_pos)
    stored = farm.file_server.put(slow, gcode)
    stored.gate.clear()
    farm.broker.publish_job_paid(slow)
    farm.wait_for_attempts(slow, "transferring")
    other = farm.pay(gcode)
    farm.wait_for_reason(other, "waits for another transfer")
    assert farm.attempts(other) == []

    stored.gate.set()
    farm.wait_for_completion(slow, other)
    (first,), (second,) = farm.attempts(slow), farm.attempts(other)
    assert first["staged_at"] <= second["claimed_at"]


def test_no_more_printers_heat_up_than_allowed(
    farm: Farm, octoprint_factory: OctoPrintFactory
) -> None:
    for number, server in enumerate(octoprint_factory(2, speed="normal")):
        farm.add_printer(f"p{number}", server, autostart=True)
    farm.start(PMS_MAX_HEATING="1")
    for name in ("p0", "p1"):
        farm.wait_for_printer(name, "idle")
    gcode = dwelling_gcode(seconds=60.0, m0=False)
    heat_up = f"M190 S{BED_C}\nM109 S{NOZZLE_C}\n".encode()
    job = farm.pay(replace(gcode, content=heat_up + gcode.content), copies=2)
    farm.wait_for_reason(job, "waits until another printer has heated up")
    assert len(farm.attempts(job)) == 1

    farm.wait_for_prints(job, "printing", "printing")
    first = farm.printer("p0")["temperatures"]
    assert first["bed"]["actual"] >= BED_C - TOLERANCE_C
    assert first["tool0"]["actual"] >= NOZZLE_C - TOLERANCE_C
