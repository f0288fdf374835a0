"""Fixtures: real servers, made by the test run itself and gone with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pms.demo.octoprint_server import OctoPrintServerError, find_octoprint
from tests.support.broker import Broker
from tests.support.file_server import FileServer
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database, PostgresServer
from tests.support.printers import OctoPrintFactory
from tests.support.programs import MissingProgramError
from tests.support.rabbitmq import RabbitServer

# No test says how fast the machine is.
hypothesis.settings.register_profile("pms", deadline=None)
hypothesis.settings.load_profile("pms")

_report = pytest.StashKey[dict[str, str]]()
#: Under which a process of pytest-xdist hands its figures to the one that prints them.
_HANDED_OVER = "measured"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_report] = {}
    # A run that is ended from outside takes its servers and their folders along, as at a Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A run in the background of a script ignores Ctrl-C, and so would the commands under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    handed_over = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over[_HANDED_OVER] = session.config.stash[_report]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    figures = getattr(node, "workeroutput", {}).get(_HANDED_OVER, {})
    node.config.stash[_report].update(figures)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if lines := config.stash[_report]:
        terminalreporter.section("measured")
        for name, value in lines.items():
            terminalreporter.line(f"{name}: {value}")


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> dict[str, str]:
    """Figures for the end of the run: what was measured → the figure with its unit."""
    return pytestconfig.stash[_report]


@pytest.fixture(scope="session")
def postgres_server(report: dict[str, str]) -> Iterator[PostgresServer]:
    """The one PostgreSQL of the run; a test that ends it need not start it again."""
    server = PostgresServer()
    try:
        server.start()
        report["PostgreSQL, made and started"] = f"{server.ready_s:.1f} s"
        yield server
    finally:
        server.close()


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh database with OpenFarm's tables."""
    postgres_server.ensure_running()
    database = postgres_server.create_database()
    yield database
    if postgres_server.running:
        postgres_server.drop_database(database)


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh database without any table."""
    postgres_server.ensure_running()
    database = postgres_server.create_database(empty=True)
    yield database
    if postgres_server.running:
        postgres_server.drop_database(database)


@pytest.fixture
def openfarm(database: Database) -> Iterator[OpenFarm]:
    """OpenFarm's other services, at work in `database`."""
    with OpenFarm(database) as openfarm:
        yield openfarm


@pytest.fixture(scope="session")
def rabbitmq_server(report: dict[str, str]) -> Iterator[RabbitServer]:
    """The one RabbitMQ of the run; a test that ends it need not start it again."""
    server = RabbitServer()
    try:
        server.start()
        report["RabbitMQ, made and started"] = f"{server.ready_s:.1f} s"
        yield server
    finally:
        server.close()


@pytest.fixture
def empty_broker(rabbitmq_server: RabbitServer) -> Iterator[Broker]:
    """A fresh virtual host in which nothing is declared."""
    rabbitmq_server.ensure_running()
    broker = rabbitmq_server.create_host()
    yield broker
    if rabbitmq_server.running:
        rabbitmq_server.delete_host(broker)


@pytest.fixture
def broker(rabbitmq_server: RabbitServer) -> Iterator[Broker]:
    """A fresh virtual host with OpenFarm's exchanges, queues and bindings."""
    rabbitmq_server.ensure_running()
    broker = rabbitmq_server.create_host()
    broker.declare_openfarm_topology()
    yield broker
    if rabbitmq_server.running:
        rabbitmq_server.delete_host(broker)


@pytest.fixture
def octoprint_factory(tmp_path: Path) -> Iterator[OctoPrintFactory]:
    """Makes OctoPrints with virtual printers: `octoprint_factory(3, autoconnect=True)`."""
    try:
        program = find_octoprint()
    except OctoPrintServerError as error:
        raise MissingProgramError(f"{error}; `make test` installs it") from error
    factory = OctoPrintFactory(program, tmp_path)
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """OpenFarm's file server, with no files yet."""
    server = FileServer()
    server.start()
    yield server
    server.stop()
