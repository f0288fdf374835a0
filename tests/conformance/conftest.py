"""Every test here runs against a real OctoPrint and against the simulator.

What only one of them passes is a defect: of the simulator, or of what the test expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pms.demo.octoprint_client import OctoPrintClient
from pms.demo.octoprint_server import find_octoprint
from tests.conformance.listener import Listener
from tests.support.octoprint_pool import VIEWER, make_like_new
from tests.support.printers import OctoPrintFactory
from tests.support.simulator import Simulator


@dataclass(frozen=True)
class Server:
    """An OctoPrint, real or not."""

    octoprint: OctoPrintClient
    #: Kills the server in whatever it does, and starts it again.
    restart: Callable[[], None]


@pytest.fixture(scope="session", params=["real", "simulator"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One of each for all tests."""
    start = _real if request.param == "real" else _simulator
    with start(tmp_path_factory.mktemp("octoprint")) as server:
        yield server


@pytest.fixture
def octoprint(server: Server) -> OctoPrintClient:
    """Without files, and with an operational printer."""
    make_like_new(server.octoprint)
    return server.octoprint


@pytest.fixture
def viewer(octoprint: OctoPrintClient) -> OctoPrintClient:
    """The same, for a user who may only look."""
    return OctoPrintClient(octoprint.url, VIEWER.api_key)


@pytest.fixture
def listen(octoprint: OctoPrintClient) -> Iterator[Callable[[], Listener]]:
    """Opens connections to the push socket."""
    opened: list[Listener] = []

    def open_one() -> Listener:
        opened.append(Listener(octoprint))
        return opened[-1]

    yield open_one
    for listener in opened:
        listener.close()


@pytest.fixture
def events(listen: Callable[[], Listener]) -> Listener:
    """Somebody who hears all events from now on."""
    listener = listen()
    listener.subscribe(events=True)
    listener.log_in()
    listener.until_kind("timelapse")
    listener.heard.clear()
    return listener


@contextmanager
def _real(folder: Path) -> Iterator[Server]:
    factory = OctoPrintFactory(find_octoprint(), folder)
    try:
        (octoprint,) = factory(users={"viewer": VIEWER})

        def restart() -> None:
            octoprint.kill()
            octoprint.start()
            octoprint.wait_ready()

        yield Server(octoprint, restart)
    finally:
        factory.close()


@contextmanager
def _simulator(folder: Path) -> Iterator[Server]:
    simulator = Simulator(folder)
    try:
        simulator.act("viewer", api_key=VIEWER.api_key)

        def restart() -> None:
            simulator.act("stop")
            simulator.act("start")

        yield Server(simulator.printers[0], restart)
    finally:
        simulator.stop()
