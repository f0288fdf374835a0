"""The way to a database whose disk is full: reading works, and is no sign of an end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pms.coordinator.gate import FULL_SETTLING_S, Gate
from pms.errors import DatabaseFullError
from pms.store.database import Database

ROOM = "x" * 100_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/pms.sqlite3")
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE facts (fact TEXT)"))
    yield database
    database.close()


def read(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM facts")).scalar_one()


def write(connection: Connection) -> bool:
    connection.execute(text("INSERT INTO facts VALUES (:fact)"), {"fact": ROOM})
    return True


def write_in_vain(connection: Connection) -> bool:
    """SQLite itself lets the file grow no more; the limit is this connection's."""
    connection.execute(text("PRAGMA max_page_count = 1"))
    try:
        return write(connection)
    finally:
        connection.execute(text("PRAGMA max_page_count = 1000000"))


def test_an_error_says_that_the_disk_is_full(database: Database) -> None:
    words = "the disk is full; free some space"
    with pytest.raises(DatabaseFullError, match=words), database.begin() as connection:
        write_in_vain(connection)


def test_an_outage_is_over_once_nothing_has_failed_for_a_while(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pms.coordinator.gate")
    gate = Gate(database)
    for _ in range(3):
        assert gate.transact(write_in_vain, gate.opens_at) is None
        assert gate.transact(read, gate.opens_at) == 0
        assert "the disk is full" in gate.state
    assert caplog.messages == ["database_away"]

    assert gate.transact(write, gate.opens_at + FULL_SETTLING_S)
    assert gate.state == "connected"
    assert caplog.messages == ["database_away", "database_back"]
