"""Fixtures of the whole: a coordinator with everything real around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.support.broker import Broker
from tests.support.certificates import Authority
from tests.support.coordinator import Coordinator
from tests.support.farm import Farm
from tests.support.file_server import FileServer
from tests.support.octoprint_pool import OctoPrintPool
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database
from tests.support.print_shop import PrintShop
from tests.support.printers import OctoPrintFactory
from tests.support.probing import Probe

CoordinatorFactory = Callable[[Mapping[str, str]], Coordinator]
OctoPrints = Callable[[int], list[OctoPrintServer]]


@pytest.fixture
def coordinator_factory(tmp_path: Path) -> Iterator[CoordinatorFactory]:
    """Makes coordinators with exactly the given environment; none outlives the test."""
    made: list[Coordinator] = []

    def make(environment: Mapping[str, str]) -> Coordinator:
        folder = tmp_path / f"coordinator{len(made)}"
        folder.mkdir()
        made.append(Coordinator(folder, environment))
        return made[-1]

    try:
        yield make
    finally:
        for coordinator in made:
            coordinator.close()


@pytest.fixture
def in_openfarm(
    database: Database,
    broker: Broker,
    file_server: FileServer,
    # The last to come is the first to go: the coordinator ends before its servers.
    coordinator_factory: CoordinatorFactory,
) -> Coordinator:
    """A coordinator, not started yet, as one service of OpenFarm."""
    return coordinator_factory(
        {**database.environment, **broker.environment, **file_server.environment}
    )


@pytest.fixture
def alone(coordinator_factory: CoordinatorFactory) -> Coordinator:
    """A coordinator, not started yet, in embedded mode."""
    return coordinator_factory({})


@pytest.fixture
def shop(
    in_openfarm: Coordinator,
    database: Database,
    broker: Broker,
    file_server: FileServer,
    octoprints: OctoPrints,
) -> Iterator[PrintShop]:
    """Two printers of a model each, and a coordinator that is not started yet."""
    shop = PrintShop(in_openfarm, database, broker, file_server, octoprints(2))
    yield shop
    shop.close()


@pytest.fixture
def farm(
    in_openfarm: Coordinator,
    database: Database,
    openfarm: OpenFarm,
    broker: Broker,
    file_server: FileServer,
) -> Iterator[Farm]:
    """A coordinator, not started yet, and all of OpenFarm around it."""
    yield Farm(in_openfarm, database, openfarm, broker, file_server)
    # Before what it works with goes away.
    in_openfarm.close()


@pytest.fixture(scope="session")
def octoprint_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OctoPrintPool]:
    """OctoPrints that the tests share."""
    factory = OctoPrintFactory(find_octoprint(), tmp_path_factory.mktemp("octoprints"))
    try:
        yield OctoPrintPool(factory)
    finally:
        factory.close()


@pytest.fixture
def octoprints(octoprint_pool: OctoPrintPool) -> OctoPrints:
    """So many shared OctoPrints, made like new: `octoprints(2)`."""
    return octoprint_pool.take


@pytest.fixture
def server(octoprints: OctoPrints) -> OctoPrintServer:
    """One shared OctoPrint, made like new."""
    (server,) = octoprints(1)
    return server


@pytest.fixture
def probe(tmp_path: Path, server: OctoPrintServer) -> Probe:
    """`pms-probe` on that OctoPrint, with nothing else around it."""
    return Probe(tmp_path, server)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Vouches for servers; tests make it trusted."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")
