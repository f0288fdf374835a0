"""Fixtures of the commands: a farm's folder, its database, and the sockets of a coordinator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pms.store.database import Database
from tests.support.commands import Commands
from tests.support.control_socket import CoordinatorSockets
from tests.support.postgres import Database as PostgreSQL


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """A farm of its own, embedded."""
    return Commands(tmp_path)


@pytest.fixture
def store(commands: Commands) -> Iterator[Database]:
    """The database of that farm, with all tables."""
    commands.run("printer", "list")
    with commands.database() as database:
        yield database


@pytest.fixture(params=["postgresql", "sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/pms.sqlite3"
    empty: PostgreSQL = request.getfixturevalue("empty_database")
    return empty.url


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Commands:
    """A farm on either database."""
    if request.param == "sqlite":
        return Commands(tmp_path)
    return Commands(tmp_path, request.getfixturevalue("database"))


@pytest.fixture
def coordinator(commands: Commands) -> Iterator[CoordinatorSockets]:
    coordinator = CoordinatorSockets(commands.data_dir / "run")
    yield coordinator
    coordinator.close()
