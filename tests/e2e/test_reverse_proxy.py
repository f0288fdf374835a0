"""A printer whose OctoPrint is shown by a real nginx, over TLS and under a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.certificates import Authority
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import dwelling_gcode
from tests.support.nginx import nginx, proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


def test_a_print_through_a_proxy(farm: Farm, octoprints: OctoPrints, tmp_path: Path) -> None:
    """Looks are rarer than the test is long, so push has to come through as well."""
    (server,) = octoprints(1)
    authority = Authority(tmp_path / "tls")
    gcode = dwelling_gcode(seconds=1.5)
    with nginx(tmp_path, proxy(server.url, prefix="/octoprint"), authority.issue()) as url:
        farm.add_printer("hidden", server, address=f"{url}/octoprint/")
        farm.start(PMS_POLL_INTERVAL="300", SSL_CERT_FILE=str(authority.certificate))
        farm.wait_for_printer("hidden", "idle")
        job = farm.pay(gcode)
        farm.wait_for_printer("hidden", "finished", "occupied")
        farm.coordinator.run("clear", "hidden")
        wait_until(
            lambda: farm.openfarm.job(job)["job_status"] == "completed", TIMEOUT_S, "the end"
        )
        farm.coordinator.close()
    assert gcode.marks_in(server.printer_log()) == [*gcode.marks, *gcode.marks_behind]
