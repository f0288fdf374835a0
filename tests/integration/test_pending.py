"""Statements that are sent together, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, exc, func, insert, select, update

from pms.errors import DatabaseUnavailableError
from pms.store import events, pending, tables
from pms.store.database import Database
from pms.store.schema import create_openfarm, migrate
from tests.support.postgres import Database as PostgreSQL
from tests.support.postgres import PostgresServer

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
JOBS = tables.pms_jobs


@pytest.fixture
def store(database_url: str) -> Iterator[Database]:
    """A database with one job of PMS's own."""
    database = Database(database_url, statement_timeout_s=2.0)
    create_openfarm(database)
    migrate(database)
    with database.begin() as connection:
        connection.execute(insert(JOBS).values(job_id=1, paid_at=NOW, reprints_left=0))
    yield database
    database.close()


def set_priority(connection: Connection, priority: int, reprints_left: int | None = None) -> None:
    values = {"priority": priority}
    if reprints_left is not None:
        values["reprints_left"] = reprints_left
    pending.later(connection, update(JOBS).where(JOBS.c.job_id == 1).values(values))


def priority(connection: Connection) -> int:
    return connection.execute(select(JOBS.c.priority)).scalar_one()


def test_nothing_overtakes_what_was_to_be_executed_later(store: Database) -> None:
    with store.begin() as connection:
        set_priority(connection, 1)
        set_priority(connection, 2, reprints_left=5)
        assert priority(connection) == 2
        set_priority(connection, 3)
        doubled = update(JOBS).values(priority=JOBS.c.priority * 2)
        assert connection.execute(doubled).rowcount == 1
        assert priority(connection) == 6
        set_priority(connection, 7)
    with store.read() as connection:
        assert priority(connection) == 7
        assert connection.execute(select(JOBS.c.reprints_left)).scalar_one() == 5


def test_rows_are_inserted_at_the_end_and_in_their_order(store: Database) -> None:
    kinds = ["first", "second", "third"]
    with store.begin() as connection:
        for kind in kinds:
            events.record(connection, NOW, kind)
            set_priority(connection, 1)
            # Only a statement that could be overtaken makes them come earlier.
            count = select(func.count()).select_from(tables.pms_events)
            assert connection.execute(count).scalar_one() == 0
    with store.read() as connection:
        recorded = connection.execute(
            select(tables.pms_events.c.kind).order_by(tables.pms_events.c.id)
        )
        assert list(recorded.scalars()) == kinds


def test_nothing_is_left_of_a_transaction_that_fails(store: Database) -> None:
    def fail() -> None:
        with store.begin() as connection:
            set_priority(connection, 1)
            events.record(connection, NOW, "lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.begin() as connection:
        assert priority(connection) == 0
    with store.read() as connection:
        assert connection.execute(select(tables.pms_events)).all() == []


@pytest.mark.parametrize("asks", [True, False])
def test_an_error_is_that_of_the_statement_and_spoils_all(store: Database, asks: bool) -> None:
    def insert_twice() -> None:
        with store.begin() as connection:
            set_priority(connection, 1)
            again = {"job_id": 1, "paid_at": NOW, "reprints_left": 0}
            pending.later(connection, insert(JOBS).inline(), again)
            set_priority(connection, 2)
            if asks:
                priority(connection)

    with pytest.raises(exc.IntegrityError):
        insert_twice()
    with store.begin() as connection:
        assert priority(connection) == 0
        set_priority(connection, 3)
    with store.read() as connection:
        assert priority(connection) == 3


def test_a_server_that_goes_meanwhile_is_away(
    empty_database: PostgreSQL, postgres_server: PostgresServer
) -> None:
    store = Database(empty_database.url, statement_timeout_s=2.0)
    create_openfarm(store)
    migrate(store)

    def lose() -> None:
        with store.begin() as connection:
            assert connection.execute(select(JOBS)).all() == []
            for number in range(3):
                set_priority(connection, number)
            postgres_server.disconnect(empty_database)

    with pytest.raises(
        DatabaseUnavailableError, match=r"closed the connection|terminating connection"
    ):
        lose()
    with store.begin() as connection:
        assert connection.execute(select(JOBS)).all() == []
    store.close()
