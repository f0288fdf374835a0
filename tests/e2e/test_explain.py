"""`pms-probe explain`: a failed print and a waiting one, told from the database."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import OctoPrints
from tests.support.farm import Farm, endless_gcode
from tests.support.ports import free_port


def explained(farm: Farm, what: str, number: int) -> Any:
    return json.loads(
        farm.coordinator.run("pms-probe", "explain", what, str(number), "--json").stdout
    )


def test_a_job_is_explained_with_and_without_a_coordinator(
    farm: Farm, octoprints: OctoPrints
) -> None:
    (server,) = octoprints(1)
    farm.add_printer("mk4-1", server)
    farm.add_printer("mk4-2", server, address=f"127.0.0.1:{free_port()}")
    farm.start()
    farm.wait_for_printer("mk4-1", "idle")
    farm.wait_for_printer("mk4-2", "unreachable")
    job = farm.pay(endless_gcode())
    farm.wait_for_prints(job, "printing")
    (story,) = explained(farm, "job", job)["copies"]
    assert story["account"]["summary"].startswith("prints on mk4-1, ")
    assert story["account"]["todo"] == []

    server.request("POST", "/api/job", {"command": "cancel"})
    farm.wait_for_prints(job, "failed", "pending")
    reason = farm.wait_for_reason(job, "1 bed occupied")
    running = explained(farm, "job", job)
    failed, waiting = running["copies"]
    assert failed["account"]["summary"] == "failed on mk4-1"
    assert failed["account"]["why"] == "the print failed or was cancelled"
    (tried,) = failed["tries"]
    assert [step["what"] for step in tried["steps"]][-1] == "it failed"
    assert failed["notes"][0]["what"] == f"print {waiting['print_id']} takes its place"
    assert (waiting["account"]["summary"], waiting["account"]["why"]) == ("waits", reason)
    clear, check = running["todo"]
    assert clear == "empty the bed of mk4-1, then `pms-coordinator clear mk4-1`"
    assert "pms-probe check --printer mk4-2" in check

    farm.coordinator.stop()
    alone = explained(farm, "job", job)
    assert alone["copies"] == running["copies"]
    assert "no coordinator runs" in alone["todo"][0]
    text = farm.coordinator.run("pms-probe", "explain", "print", str(waiting["print_id"])).stdout
    assert f"print {waiting['print_id']} waits, since " in text
    assert f"why: {reason}" in text
    assert "failed on mk4-1" not in text
    assert "1. no coordinator runs" in text
