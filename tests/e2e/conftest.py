"""Fixtures of the whole: a coordinator with everything real around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.postgres import Database

CoordinatorFactory = Callable[[Mapping[str, str]], Coordinator]


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
    coordinator_factory: CoordinatorFactory,
    database: Database,
    broker: Broker,
    file_server: FileServer,
) -> Coordinator:
    """A coordinator, not started yet, as one service of OpenFarm."""
    return coordinator_factory(
        {**database.environment, **broker.environment, **file_server.environment}
    )


@pytest.fixture
def alone(coordinator_factory: CoordinatorFactory) -> Coordinator:
    """A coordinator, not started yet, in embedded mode."""
    return coordinator_factory({})
