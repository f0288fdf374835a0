"""The push socket is a hint and never a fact: with one that lies, a finish is noticed all the same.

Where push tells nothing, the poll interval is short; where polling alone would be too slow, it is
longer than the test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from tests.e2e.conftest import OctoPrints
from tests.support.farm import TIMEOUT_S, Farm
from tests.support.gcode import dwelling_gcode
from tests.support.lying_push import Lie, LyingPush
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

SHORT, LONG = {"PMS_POLL_INTERVAL": "1"}, {"PMS_POLL_INTERVAL": "300"}
#: Well below the time after which a silent push socket is given up.
NOTICED_S = 20.0


@pytest.fixture
def server(octoprints: OctoPrints) -> OctoPrintServer:
    (server,) = octoprints(1)
    return server


@pytest.fixture
def push(server: OctoPrintServer, farm: Farm) -> Iterator[LyingPush]:
    """Between the printer `lied-about` and its OctoPrint."""
    with LyingPush(server.url) as push:
        farm.add_printer("lied-about", server, address=push.url)
        yield push
        farm.coordinator.close()


def start(farm: Farm, push: LyingPush, settings: dict[str, str]) -> None:
    """Until push works."""
    farm.start(**settings)
    farm.wait_for_printer("lied-about", "idle")
    wait_until(lambda: push.picture, TIMEOUT_S, "a picture over the push socket")


def order(farm: Farm, server: OctoPrintServer) -> int:
    """A copy that prints now."""
    job = farm.pay(dwelling_gcode(seconds=2.5))
    farm.wait_for_prints(job, "printing")
    assert server.state() in ("Printing", "Pausing", "Paused")
    return job


def finish(farm: Farm, server: OctoPrintServer, job: int) -> None:
    """The part is complete, and then taken away; both are noticed."""
    server.wait_state("Paused")
    wait_until(
        lambda: farm.attempts(job)[0]["state"] == "finished", NOTICED_S, "the finish to be noticed"
    )
    farm.wait_for_printer("lied-about", "finished", "occupied")
    farm.coordinator.run("clear", "lied-about")
    server.wait_state("Operational")
    wait_until(
        lambda: farm.openfarm.job(job)["job_status"] == "completed",
        NOTICED_S,
        "the end to be noticed",
    )
    farm.wait_for_printer("lied-about", "idle", "clear")
    assert [row["state"] for row in farm.attempts(job)] == ["cleared"]


def test_push_that_always_shows_an_idle_printer(
    farm: Farm, server: OctoPrintServer, push: LyingPush
) -> None:
    start(farm, push, SHORT)
    push.lie(Lie.OLD_PICTURES)
    finish(farm, server, order(farm, server))
    assert all(map(push.has_withheld, ("PrintStarted", "PrintPaused", "PrintDone")))


@pytest.mark.parametrize("lie", [Lie.SILENT, Lie.OLD_PICTURES], ids=["silent", "always printing"])
def test_push_that_does_not_tell_of_the_end(
    farm: Farm, server: OctoPrintServer, push: LyingPush, lie: Lie
) -> None:
    start(farm, push, SHORT)
    job = order(farm, server)
    wait_until(lambda: push.has_shown_a_print, TIMEOUT_S, "a picture of the print")
    push.lie(lie)
    finish(farm, server, job)
    assert all(map(push.has_withheld, ("PrintPaused", "PrintDone")))
    assert not push.has_withheld("PrintStarted")


def test_push_that_is_refused(farm: Farm, server: OctoPrintServer, push: LyingPush) -> None:
    start(farm, push, SHORT)
    push.lie(Lie.REFUSED)
    finish(farm, server, order(farm, server))
    wait_until(lambda: push.refused, TIMEOUT_S, "another try to open the push socket")
    push.lie(Lie.NONE)
    push.picture = b""
    wait_until(lambda: push.picture, TIMEOUT_S, "an open push socket")


def test_silent_push_to_a_server_that_was_restarted(
    farm: Farm, server: OctoPrintServer, push: LyingPush
) -> None:
    """The old connection still looks open, with a session that no server knows any more."""
    start(farm, push, SHORT)
    push.lie(Lie.SILENT)
    _restart(server)
    finish(farm, server, order(farm, server))


def test_push_logs_in_again_after_a_restart(
    farm: Farm, server: OctoPrintServer, push: LyingPush
) -> None:
    start(farm, push, LONG)
    server.kill()
    farm.wait_for_printer("lied-about", "unreachable")
    push.picture = b""
    _restart(server)
    farm.wait_for_printer("lied-about", "idle")
    wait_until(lambda: push.picture, TIMEOUT_S, "a picture over the new push socket")
    finish(farm, server, order(farm, server))


def test_push_logs_in_again_when_its_session_has_expired(
    farm: Farm, server: OctoPrintServer, push: LyingPush
) -> None:
    start(farm, push, LONG)
    job = order(farm, server)
    log = server.folder / "logs" / "octoprint.log"
    before = log.read_text(encoding="utf-8").count("logged in on the socket")
    for groups in (["admins"], ["admins", "users"]):
        rights = {"groups": groups, "permissions": [], "active": True}
        status, _ = server.request("PUT", "/api/access/users/admin", rights)
        assert status == 200
    finish(farm, server, job)
    assert log.read_text(encoding="utf-8").count("logged in on the socket") > before


def _restart(server: OctoPrintServer) -> None:
    server.kill()
    server.start()
    server.wait_ready()
    server.wait_state("Operational")
