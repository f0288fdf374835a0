"""The push listener against real OctoPrints."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from pms.demo.octoprint_setup import User
from tests.support.gcode import dwelling_gcode
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until
from workers.octoprint import OctoPrint, OctoPrintError, Session
from workers.push import (
    PushChanged,
    PushClosed,
    PushListener,
    PushOpened,
    PushSnapshot,
    PushStimulus,
    PushTiming,
)
from workers.push_connection import PushConnection
from workers.push_socket import PushSocket

#: Notices a server that hangs soon.
IMPATIENT = PushTiming(ping_interval_s=0.2, stale_s=4.0)


class Listening:
    """A listener whose reports are kept."""

    def __init__(
        self,
        server: OctoPrintServer,
        timing: PushTiming | None = None,
        api_key: str | None = None,
    ) -> None:
        self.reports: list[PushStimulus] = []
        self._listener = PushListener(
            server.url,
            api_key or server.api_key,
            self.reports.append,
            timing,
            random=lambda: 0.1,
        )

    def __enter__(self) -> Listening:
        self._listener.start()
        self.wait_for(PushOpened())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.stop()
        assert not self._listener.alive

    def kinds(self) -> list[str]:
        return [report.kind for report in self.reports if isinstance(report, PushChanged)]

    def wait_for(self, wanted: PushStimulus | type[PushStimulus] | str, times: int = 1) -> None:
        """Until that report, or one of that type or kind, has come so often."""
        wait_until(lambda: self._count(wanted) >= times, 30, f"{wanted}, {times} times")

    def wait_for_picture(self, condition: Callable[[PushSnapshot], bool]) -> PushSnapshot:
        def find() -> PushSnapshot | None:
            pictures = (report for report in self.reports if isinstance(report, PushSnapshot))
            return next(filter(condition, pictures), None)

        found = wait_until(find, 30, "a picture")
        assert found is not None
        return found

    def _count(self, wanted: PushStimulus | type[PushStimulus] | str) -> int:
        if isinstance(wanted, str):
            return self.kinds().count(wanted)
        if isinstance(wanted, type):
            return sum(isinstance(report, wanted) for report in self.reports)
        return self.reports.count(wanted)


@pytest.fixture
def server(octoprint_factory: OctoPrintFactory) -> OctoPrintServer:
    users = {"pms": User(api_key="PMSKEY", groups=("admins", "users"))}
    (server,) = octoprint_factory(users=users)
    return server


@pytest.fixture
def listening(server: OctoPrintServer) -> Iterator[Listening]:
    with Listening(server) as listening:
        yield listening


def test_a_print_from_its_start_to_its_end(server: OctoPrintServer, listening: Listening) -> None:
    gcode = dwelling_gcode(1.5)
    path = server.upload("pms/a.gcode", gcode.content)
    server.select_and_print(path)
    # Pictures come every 10 s while idle; now one comes soon.
    seen = listening.wait_for_picture(lambda picture: picture.printing)
    assert (seen.state_text, seen.path, seen.operational) == ("Printing", path, True)
    assert seen.progress is not None
    assert 0 <= seen.progress < 1

    listening.wait_for("PrintPaused")
    seen = listening.wait_for_picture(lambda picture: picture.paused)
    assert (seen.state_text, seen.filepos) == ("Paused", gcode.finished_byte_pos)
    server.request("POST", "/api/job", {"command": "pause", "action": "resume"})
    listening.wait_for("PrintDone")
    listening.wait_for("MetadataStatisticsUpdated")
    kinds = [kind for kind in listening.kinds() if kind.startswith("Print")]
    kinds = [kind for kind in kinds if kind != "PrinterStateChanged"]
    assert kinds == ["PrintStarted", "PrintPaused", "PrintResumed", "PrintDone"]

    heated = listening.wait_for_picture(lambda picture: bool(picture.heaters))
    assert heated.heaters["tool0"].actual == 300.0
    assert "chamber" not in heated.heaters


def test_a_cancelled_print_and_a_printer_that_is_disconnected(
    server: OctoPrintServer, listening: Listening
) -> None:
    path = server.upload("pms/a.gcode", dwelling_gcode(60.0, lines=600).content)
    server.select_and_print(path)
    listening.wait_for("PrintStarted")
    server.request("POST", "/api/job", {"command": "cancel"})
    listening.wait_for("PrintCancelled")
    listening.wait_for("PrintFailed")
    server.request("POST", "/api/connection", {"command": "disconnect"})
    listening.wait_for("Disconnected")
    server.connect_printer()
    listening.wait_for("Connected")


def test_an_error_of_the_firmware(server: OctoPrintServer, listening: Listening) -> None:
    server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
    listening.wait_for("Error")
    listening.wait_for("Disconnected")
    listening.wait_for_picture(lambda picture: not picture.operational)


def test_comes_back_after_a_restart(server: OctoPrintServer, listening: Listening) -> None:
    server.kill()
    listening.wait_for(PushClosed)
    closed = next(report for report in listening.reports if isinstance(report, PushClosed))
    assert closed.reason == f"{server.url} closed the push connection"
    server.start()
    server.wait_ready()
    listening.wait_for(PushOpened(), times=2)
    server.wait_state("Operational")
    server.select_and_print(server.upload("pms/a.gcode", b"G28\n"))
    listening.wait_for("PrintDone")


def test_a_print_that_runs_already_is_seen_at_once(server: OctoPrintServer) -> None:
    path = server.upload("pms/a.gcode", dwelling_gcode(60.0, lines=600).content)
    server.select_and_print(path)
    server.wait_state("Printing")
    with Listening(server) as listening:
        listening.wait_for_picture(lambda picture: picture.printing and picture.path == path)


def test_a_server_that_hangs_is_noticed(server: OctoPrintServer) -> None:
    with Listening(server, IMPATIENT) as listening:
        server.freeze()
        listening.wait_for(PushClosed)
        closed = next(report for report in listening.reports if isinstance(report, PushClosed))
        assert "sent nothing over the push connection" in closed.reason
        server.thaw()
        listening.wait_for(PushOpened(), times=2)


def test_pings_keep_a_silent_connection(server: OctoPrintServer) -> None:
    """Pictures come every 10 s at most here, and the limit is 4 s."""
    with Listening(server, IMPATIENT) as listening:
        listening.wait_for_picture(lambda picture: bool(picture.heaters))
        assert not any(isinstance(report, PushClosed) for report in listening.reports)


def test_logs_in_again_when_its_user_is_changed(server: OctoPrintServer) -> None:
    log = server.folder / "logs" / "octoprint.log"
    changed = {"groups": ["admins"], "permissions": [], "active": True}
    with Listening(server, api_key="PMSKEY") as listening:
        status, _ = server.request("PUT", "/api/access/users/pms", changed)
        assert status == 200
        logged_in = "User pms logged in on the socket"
        wait_until(lambda: log.read_text().count(logged_in) >= 2, 30, "another log-in")
        server.select_and_print(server.upload("pms/a.gcode", b"G28\n"))
        listening.wait_for("PrintDone")
        assert listening.reports.count(PushOpened()) == 1


def test_logs_in_again_when_its_session_is_lost(server: OctoPrintServer) -> None:
    logins = itertools.count()

    def login() -> Session:
        if next(logins) == 0:
            return Session(name="admin", session="lost")
        with OctoPrint(server.url, server.api_key) as octoprint:
            return octoprint.login()

    reports: list[PushStimulus] = []
    push_socket = PushSocket(server.url)

    def report(stimulus: PushStimulus) -> None:
        reports.append(stimulus)
        if isinstance(stimulus, PushSnapshot):
            push_socket.cut()

    with pytest.raises(OctoPrintError):
        PushConnection(push_socket, login, report, PushTiming()).listen()
    push_socket.close()
    assert reports[0] == PushOpened()
    assert next(logins) == 2


def test_a_user_who_may_not_see_the_status(octoprint_factory: OctoPrintFactory) -> None:
    users = {"blind": User(api_key="BLINDKEY", groups=())}
    (server,) = octoprint_factory(users=users)
    push_socket = PushSocket(server.url)

    def login() -> Session:
        with OctoPrint(server.url, "BLINDKEY") as octoprint:
            return octoprint.login()

    connection = PushConnection(
        push_socket, login, lambda stimulus: None, PushTiming(open_timeout_s=3.0)
    )
    with pytest.raises(OctoPrintError, match="see the printer's status"):
        connection.listen()
    push_socket.close()
