"""One coordinator at a time works on a database; the lock goes with its holder, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pms.config import Settings
from pms.coordinator.gate import CONTEST_PATIENCE_S, Gate
from pms.coordinator.startup import prepare_database
from pms.errors import (
    DatabaseClaimedError,
    DatabaseUnavailableError,
    RefusedError,
    SchemaError,
)
from pms.store import schema
from pms.store.database import Database
from tests.support.postgres import Database as PostgreSQL
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

TIMEOUT_S = 20.0

Pair = tuple[Database, Database]


def pair_of(url: str) -> Iterator[Pair]:
    first, second = Database(url), Database(url)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def both(database_url: str) -> Iterator[Pair]:
    yield from pair_of(database_url)


@pytest.fixture
def on_postgresql(empty_database: PostgreSQL) -> Iterator[Pair]:
    yield from pair_of(empty_database.url)


def is_refused(database: Database) -> bool:
    try:
        database.claim()
    except DatabaseClaimedError:
        return True
    return False


def test_one_has_it_until_it_closes(both: Pair) -> None:
    first, second = both
    for _ in range(2):
        first.claim()
        with pytest.raises(DatabaseClaimedError, match="another coordinator works on"):
            second.claim()
    first.close()
    wait_until(lambda: not is_refused(second), TIMEOUT_S, "the claim to be free")
    assert is_refused(first)


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/pms.sqlite3")
    with pytest.raises(DatabaseUnavailableError, match=r"the lock .*/nowhere/pms.sqlite3.lock"):
        database.claim()


def test_making_sure_costs_no_new_connection(
    on_postgresql: Pair, empty_database: PostgreSQL
) -> None:
    database, _ = on_postgresql
    sessions = set()
    with empty_database.connect() as looking:
        for _ in range(3):
            database.claim()
            held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
            sessions |= {row["pid"] for row in looking.execute(held)}
    assert len(sessions) == 1


def test_who_is_stopped_while_it_waits_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/pms.sqlite3"
    given = {"DATABASE_CONNECTION_STRING": url, "PMS_DATA_DIR": str(tmp_path)}
    stopping = iter([False, False, True])
    with closing(Database(url)) as first, closing(Database(url)) as second:
        schema.create_openfarm(first)
        first.claim()
        prepare_database(second, Settings.from_environment(given), lambda: next(stopping, True))
        with pytest.raises(SchemaError, match="has not been used with this version"):
            schema.check_migrated(first)


def test_it_is_taken_again_after_a_broken_connection(
    on_postgresql: Pair, empty_database: PostgreSQL, postgres_server: PostgresServer
) -> None:
    first, second = on_postgresql
    first.claim()
    postgres_server.disconnect(empty_database)
    wait_until(lambda: not is_refused(first), TIMEOUT_S, "the claim to be taken again")
    assert is_refused(second)


def test_it_is_taken_again_after_an_outage(
    on_postgresql: Pair, postgres_server: PostgresServer
) -> None:
    first, second = on_postgresql
    gate = Gate(first)
    now = time.monotonic()
    gate.make_sure(now)
    postgres_server.stop()
    gate.make_sure(now)
    assert not gate.is_open(now)
    assert "is not available" in gate.state
    postgres_server.start()

    gate.make_sure(gate.opens_at)
    assert is_refused(second)
    assert gate.transact(lambda _: True, gate.opens_at)
    assert gate.state == "connected"


def test_who_lost_it_to_another_works_no_more_and_ends(
    on_postgresql: Pair, empty_database: PostgreSQL, postgres_server: PostgresServer
) -> None:
    first, second = on_postgresql
    gate = Gate(first)
    now = time.monotonic()
    gate.make_sure(now)
    postgres_server.disconnect(empty_database)
    wait_until(lambda: not is_refused(second), TIMEOUT_S, "the claim to be free")

    gate.make_sure(now)
    assert gate.transact(lambda _: True, now) is None
    assert "another coordinator works on" in gate.state
    gate.make_sure(gate.opens_at)
    assert gate.transact(lambda _: True, gate.opens_at) is None
    later = now + CONTEST_PATIENCE_S
    with pytest.raises(RefusedError, match=r"another coordinator works on .* it took over"):
        gate.make_sure(later)


def test_who_gets_it_back_in_time_goes_on(
    on_postgresql: Pair, empty_database: PostgreSQL, postgres_server: PostgresServer
) -> None:
    first, second = on_postgresql
    gate = Gate(first)
    now = time.monotonic()
    gate.make_sure(now)
    postgres_server.disconnect(empty_database)
    wait_until(lambda: not is_refused(second), TIMEOUT_S, "the claim to be free")
    gate.make_sure(now)
    second.close()
    wait_until(lambda: not is_refused(first), TIMEOUT_S, "the claim to be free again")
    gate.make_sure(gate.opens_at)
    assert gate.transact(lambda _: True, gate.opens_at)
    # What was contested once is not held against it the next time.
    gate.make_sure(gate.opens_at + 2 * CONTEST_PATIENCE_S)
