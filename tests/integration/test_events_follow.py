"""`events --follow` on a real PostgreSQL, which goes away and comes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pms.cli.events import LATE_S, REMEMBERED, Shown
from pms.store import events
from pms.store.database import Database
from pms.store.events import EventRow
from tests.support.commands import Commands
from tests.support.postgres import Database as PostgreSQL
from tests.support.postgres import PostgresServer

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def row(number: int) -> EventRow:
    return EventRow(number, NOW, "kind", None, None, None, None, "")


def note(database: Database, kind: str, job_id: int) -> None:
    with database.begin() as connection:
        events.record(connection, NOW, kind, job_id=job_id)


@pytest.fixture
def farm(tmp_path: Path, database: PostgreSQL) -> Commands:
    commands = Commands(tmp_path, database)
    commands.run("printer", "list")
    return commands


def test_the_diary_is_followed_through_an_outage(
    farm: Commands, postgres_server: PostgresServer
) -> None:
    with farm.database() as store:
        note(store, "before", 7)
        with farm.running("events", "--follow", "--job", 7, "--json") as following:
            following.wait_for("before")
            postgres_server.stop()
            following.wait_for("waiting for it")
            postgres_server.start()
            following.wait_for("the database is back")
            note(store, "other", 8)
            note(store, "after", 7)
            following.wait_for("after")
            assert following.interrupt() == 0
            lines = [line for line in following.lines() if line.startswith("{")]
            assert [json.loads(line)["kind"] for line in lines] == ["before", "after"]
            assert len(following.lines()) == 4


def test_an_entry_that_is_committed_late_is_not_left_out(farm: Commands) -> None:
    with farm.database() as store, farm.running("events", "--follow") as following:
        with store.begin() as slow:
            events.record(slow, NOW, "written_first", job_id=1)
            note(store, "committed_first", 2)
            following.wait_for("committed_first")
        following.wait_for("written_first")
        assert following.interrupt() == 0
        assert len(following.lines()) == 2


# -- what was shown already, without a database ------------------------------------------


def test_entries_are_shown_once_in_whatever_order_they_appear() -> None:
    shown = Shown([4, 6], 0.0, all_there_are=False)
    assert shown.floor == 3
    assert shown.new([row(4), row(6), row(7)], 1.0) == [row(7)]
    assert shown.new([row(n) for n in (4, 5, 6, 7)], 2.0) == [row(5)]
    assert shown.new([row(n) for n in (4, 5, 6, 7)], LATE_S) == []
    assert shown.floor == 6
    assert shown.new([row(7), row(8)], LATE_S + 1.5) == [row(8)]
    assert shown.floor == 7


def test_only_so_many_entries_are_read_again() -> None:
    shown = Shown(range(1, 2001), 0.0, all_there_are=True)
    assert shown.floor == 2000 - REMEMBERED
    assert Shown([8, 9], 0.0, all_there_are=True).floor == 0
