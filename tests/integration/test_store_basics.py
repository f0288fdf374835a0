from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection, exc, func, insert, select, text, update

from pms.domain.states import LIVE_STATES, TERMINAL_STATES, AttemptState
from pms.errors import DatabaseUnavailableError, SettingsError
from pms.store import events, outbox, tables
from pms.store.database import Database, locked
from pms.store.schema import create_openfarm, migrate
from tests.support.postgres import Database as PostgreSQL
from tests.support.postgres import PostgresServer
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def store(database_url: str) -> Iterator[Database]:
    """A database with all tables, whose locks are waited for but briefly."""
    database = Database(database_url, statement_timeout_s=2.0)
    create_openfarm(database)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def postgresql(empty_database: PostgreSQL) -> Iterator[Database]:
    database = Database(empty_database.url, connect_timeout_s=2.0, statement_timeout_s=1.0)
    yield database
    database.close()


def attempt(**values: Any) -> Any:
    number = values.get("number", 1)
    print_id = values.get("print_id", 1)
    given = {
        "print_id": 1,
        "job_id": 1,
        "printer_id": 1,
        "number": 1,
        "state": AttemptState.CLAIMED,
        "remote_path": f"pms/job-1_print-{print_id}_try-{number}.gcode",
        "claimed_at": NOW,
    }
    return insert(tables.pms_attempts).values(given | values)


def job(**values: Any) -> Any:
    return insert(tables.pms_jobs).values(
        {"job_id": 1, "paid_at": NOW, "reprints_left": 1} | values
    )


# Types


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_times_come_back_as_utc(store: Database, zone: timezone) -> None:
    with store.begin() as connection:
        connection.execute(job(paid_at=NOW.astimezone(zone)))
    with store.read() as connection:
        found = connection.execute(select(tables.pms_jobs.c.paid_at)).scalar_one()
    assert found == NOW
    assert found.tzinfo is UTC


def test_times_compare_across_zones(store: Database) -> None:
    later = (NOW + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-8)))
    with store.begin() as connection:
        connection.execute(job(paid_at=NOW))
        earlier = select(func.count()).where(tables.pms_jobs.c.paid_at < later)
        assert connection.execute(earlier).scalar_one() == 1


def test_the_databases_own_clock_gives_utc_too(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(insert(tables.print_jobs).values(submitted_at=NOW))
        created = connection.execute(select(tables.print_jobs.c.created_at)).scalar_one()
    assert created.tzinfo is UTC
    assert abs(created - datetime.now(UTC)) < timedelta(hours=1)


def test_a_time_without_a_zone_is_refused(store: Database) -> None:
    with pytest.raises(exc.StatementError, match="without a zone"), store.begin() as connection:
        connection.execute(job(paid_at=NOW.replace(tzinfo=None)))


def test_words_survive_whatever_a_printer_says(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(job(attention="a\0b \ud800 ü 😀" + "x" * 1000))
        found = connection.execute(select(tables.pms_jobs.c.attention)).scalar_one()
    assert found == "ab ? ü 😀" + "x" * 1000


def test_numbers_beyond_32_bits_fit(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(attempt(print_id=2**40, job_id=2**62, size=2**40, finish_marker=2**40))
        found = connection.execute(select(tables.pms_attempts)).one()
    assert (found.print_id, found.job_id, found.size) == (2**40, 2**62, 2**40)


def test_new_rows_have_their_defaults(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(
            insert(tables.pms_printers).values(printer_id=1, state="starting", state_since=NOW)
        )
        connection.execute(job())
        connection.execute(attempt())
        printer = connection.execute(select(tables.pms_printers)).one()
        assert (printer.bed, printer.suspended, printer.detail) == ("clear", False, "")
        assert (printer.consecutive_failures, printer.incarnation) == (0, 0)
        assert connection.execute(select(tables.pms_jobs.c.priority)).scalar_one() == 0
        assert connection.execute(select(tables.pms_attempts.c.progress)).scalar_one() == 0.0


# At most one live attempt


@pytest.mark.parametrize("state", sorted(LIVE_STATES))
@pytest.mark.parametrize(
    "second", [{"printer_id": 2, "number": 2}, {"print_id": 2}], ids=["print", "printer"]
)
def test_a_second_live_attempt_is_refused(
    store: Database, state: AttemptState, second: dict[str, Any]
) -> None:
    with store.begin() as connection:
        connection.execute(attempt(state=state))
    with pytest.raises(exc.IntegrityError), store.begin() as connection:
        connection.execute(attempt(**second))


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_an_attempt_that_is_over_is_no_hindrance(store: Database, state: AttemptState) -> None:
    with store.begin() as connection:
        connection.execute(attempt(state=state))
        connection.execute(attempt(number=2))
        live = select(tables.pms_attempts.c.number).where(tables.attempt_is_live)
        assert connection.execute(live).scalars().all() == [2]


def test_a_remote_path_is_used_once(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(attempt(state=AttemptState.FAILED, remote_path="pms/a.gcode"))
    with pytest.raises(exc.IntegrityError), store.begin() as connection:
        connection.execute(attempt(number=2, remote_path="pms/a.gcode"))


def test_the_live_attempts_are_found_by_their_index(store: Database) -> None:
    live = select(tables.pms_attempts.c.id).where(
        tables.attempt_is_live, tables.pms_attempts.c.printer_id == 7
    )
    plan = live.compile(store._writers, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if store.kind == "sqlite" else "EXPLAIN"
    with store.begin() as connection:
        if store.kind == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        lines = connection.execute(text(f"{explain} {plan}")).all()
    assert "pms_attempts_live_printer" in str(lines)


# Transactions


def test_an_error_undoes_the_whole_transaction(store: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        _add_a_job_and_fail(store)
    with store.read() as connection:
        assert connection.execute(select(tables.pms_jobs)).all() == []


def _add_a_job_and_fail(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(job())
        raise ZeroDivisionError


def test_a_reader_sees_one_moment(store: Database) -> None:
    count = select(func.count()).select_from(tables.pms_jobs)
    with store.read() as reader:
        assert reader.execute(count).scalar_one() == 0
        with store.begin() as writer:
            writer.execute(job())
        assert reader.execute(count).scalar_one() == 0
    with store.read() as reader:
        assert reader.execute(count).scalar_one() == 1


def test_a_locked_row_is_changed_by_one_at_a_time(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(job(priority=0))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _raise_priority(store), range(40)))
    with store.read() as connection:
        assert connection.execute(select(tables.pms_jobs.c.priority)).scalar_one() == 40


def _raise_priority(store: Database) -> None:
    with store.begin() as connection:
        found = connection.execute(locked(select(tables.pms_jobs.c.priority))).scalar_one()
        connection.execute(update(tables.pms_jobs).values(priority=found + 1))


def test_a_lock_is_not_waited_for_without_end(store: Database) -> None:
    with store.begin() as connection:
        connection.execute(job())
    with store.begin() as holder:
        holder.execute(locked(select(tables.pms_jobs)))
        with (
            pytest.raises(DatabaseUnavailableError, match="lock"),
            store.begin() as connection,
        ):
            connection.execute(locked(select(tables.pms_jobs)))
    _raise_priority(store)


def test_a_locked_job_may_still_get_prints_from_others(postgresql: Database) -> None:
    create_openfarm(postgresql)
    with postgresql.begin() as connection:
        connection.execute(insert(tables.print_jobs).values(submitted_at=NOW))
    with postgresql.begin() as holder:
        holder.execute(locked(select(tables.print_jobs)))
        with postgresql.begin() as other:
            other.execute(insert(tables.prints).values(print_job_id=1))


# When the database is away


def run(database: Database, statement: str = "SELECT 1") -> None:
    with database.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("query", ["", "?password=hunter2"])
def test_a_refused_connection_is_told_in_one_line_without_the_password(query: str) -> None:
    database = Database(f"postgresql+psycopg://pms:hunter2@127.0.0.1:1/farm{query}")
    with pytest.raises(
        DatabaseUnavailableError, match=r"farm at 127\.0\.0\.1:1.*refused"
    ) as caught:
        run(database)
    for shown in (str(caught.value), repr(database), database.description):
        assert "hunter2" not in shown
        assert "\n" not in shown


def test_a_wrong_password_is_not_repeated(postgresql: Database) -> None:
    url = postgresql._writers.url.set(username="nobody", password="hunter2")
    stranger = Database(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailableError) as caught:
        run(stranger)
    assert "hunter2" not in str(caught.value)


def test_after_the_server_dropped_all_connections_the_next_use_works(postgresql: Database) -> None:
    with postgresql.begin(), postgresql.begin():
        pass
    dropped = (
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with postgresql.begin() as connection:
        pids = [row.pid for row in connection.execute(text(dropped))]
    wait_until(lambda: not any(map(is_alive, pids)), 10.0, "the end of the dropped connections")
    run(postgresql)
    with pytest.raises(DatabaseUnavailableError, match="terminat"):
        run(postgresql, "SELECT pg_terminate_backend(pg_backend_pid())")
    run(postgresql)


def test_a_statement_that_takes_too_long_is_ended(postgresql: Database) -> None:
    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        run(postgresql, "SELECT pg_sleep(60)")


def test_a_frozen_server_is_given_up_by_old_and_new_connections(
    postgres_server: PostgresServer, postgresql: Database
) -> None:
    with (
        pytest.raises(DatabaseUnavailableError, match="not answered"),
        postgresql.begin() as connection,
        postgres_server.frozen(),
    ):
        connection.execute(text("SELECT 1"))
    run(postgresql)
    postgresql.close()
    with postgres_server.frozen(), pytest.raises(DatabaseUnavailableError, match="timeout"):
        run(postgresql)
    run(postgresql)


def test_a_restarted_server_is_used_again_at_once(
    postgres_server: PostgresServer, postgresql: Database
) -> None:
    run(postgresql, "CREATE TABLE kept (id integer)")
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseUnavailableError):
            run(postgresql)
    finally:
        postgres_server.start()
    run(postgresql, "INSERT INTO kept VALUES (1)")


def test_a_mistake_of_ours_is_not_taken_for_an_absence(store: Database) -> None:
    with pytest.raises(exc.DBAPIError):
        run(store, "SELECT nothing FROM nowhere")


def test_parameters_do_not_get_into_errors(store: Database) -> None:
    with pytest.raises(exc.DBAPIError) as caught, store.begin() as connection:
        connection.execute(text("SELECT nothing FROM nowhere WHERE k = :k"), {"k": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_sessions_are_named_and_in_utc(postgresql: Database) -> None:
    with postgresql.read() as connection:
        settings = ("application_name", "TimeZone", "statement_timeout", "lock_timeout")
        found = [connection.scalar(text(f"SHOW {name}")) for name in settings]
    assert found == ["pms-coordinator", "UTC", "1s", "500ms"]


def test_options_in_the_url_are_kept(postgresql: Database) -> None:
    url = postgresql._writers.url.update_query_dict({"options": "-c work_mem=3MB"})
    database = Database(url.render_as_string(hide_password=False))
    with database.read() as connection:
        assert connection.scalar(text("SHOW work_mem")) == "3MB"
        assert connection.scalar(text("SHOW statement_timeout")) == "10s"
    database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://pms:hunter2@db/farm", "not mysql"),
        ("no url, hunter2", "cannot be read"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("postgresql://pms:hunter2@db/farm?colour=red", "colour"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sqlite_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="folder exists"):
        run(Database(f"sqlite:///{tmp_path}/nowhere/pms.sqlite3"))


def test_sqlite_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "pms.sqlite3").write_text("; a file of another kind\n" * 100)
    with pytest.raises(DatabaseUnavailableError, match="not an SQLite database"):
        run(Database(f"sqlite:///{tmp_path}/pms.sqlite3"))


def test_sqlite_on_a_full_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/pms.sqlite3")
    with pytest.raises(DatabaseUnavailableError, match="disk is full"):
        _outgrow_two_pages(database)
    run(database)
    database.close()


def _outgrow_two_pages(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("PRAGMA max_page_count = 2"))
        connection.execute(text("CREATE TABLE big (content)"))
        connection.execute(text("INSERT INTO big VALUES (zeroblob(100000))"))


def test_sqlite_is_set_up_for_durable_commits_and_for_readers_beside_a_writer(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path}/pms.sqlite3")
    with database.read() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.scalar(text(f"PRAGMA {name}")) for name in names]
    assert found == ["wal", 2, 1]
    database.close()


@pytest.mark.parametrize("attempt_at_the_race", range(40))
def test_sqlite_new_file_may_be_opened_by_several_at_once(
    tmp_path: Path, attempt_at_the_race: int
) -> None:
    together = Barrier(8)

    def open_it(_: int) -> None:
        database = Database(f"sqlite:///{tmp_path}/pms.sqlite3")
        together.wait()
        run(database, "CREATE TABLE IF NOT EXISTS a (id integer)")
        database.close()

    with ThreadPoolExecutor(together.parties) as pool:
        list(pool.map(open_it, range(together.parties)))


# Outbox


def test_messages_wait_in_order_until_they_are_published(store: Database) -> None:
    with store.begin() as connection:
        ids = [outbox.add(connection, "PrintStarted", job, b"{}", NOW) for job in (5, 3, 4)]
    with store.begin() as connection:
        waiting = outbox.unpublished(connection, 2)
        assert [(row.job_id, row.message_id) for row in waiting] == [(5, ids[0]), (3, ids[1])]
        assert waiting[0][1:] == ("PrintStarted", 5, b"{}", ids[0], NOW)
        outbox.mark_published(connection, [row.id for row in waiting], NOW)
        assert outbox.depth(connection) == 1
        assert [row.job_id for row in outbox.unpublished(connection, 10)] == [4]


def test_marking_nothing_is_nothing(store: Database) -> None:
    with store.begin() as connection:
        outbox.add(connection, "PrintStarted", 1, b"{}", NOW)
    with store.begin() as connection:
        outbox.mark_published(connection, [], NOW)
        assert outbox.depth(connection) == 1


def test_a_message_id_is_used_once(store: Database) -> None:
    with store.begin() as connection:
        assert outbox.add(connection, "A", 1, b"", NOW, message_id="m-1") == "m-1"
    with pytest.raises(exc.IntegrityError), store.begin() as connection:
        outbox.add(connection, "A", 1, b"", NOW, message_id="m-1")


def test_only_old_published_messages_are_pruned(store: Database) -> None:
    old = NOW - timedelta(days=2)
    with store.begin() as connection:
        for job_id in (1, 2, 3):
            outbox.add(connection, "A", job_id, b"", old)
    with store.begin() as connection:
        first, second, _ = outbox.unpublished(connection, 3)
        outbox.mark_published(connection, [first.id], old)
        outbox.mark_published(connection, [second.id], NOW)
        assert outbox.prune(connection, NOW - timedelta(days=1)) == 1
        left = connection.execute(select(tables.pms_outbox.c.job_id)).scalars()
        assert sorted(left) == [2, 3]


# Diary


def _fill_the_diary(connection: Connection) -> None:
    events.record(connection, NOW, "printer_added", printer_id=1)
    events.record(connection, NOW, "job_paid", job_id=7, detail="3 copies")
    events.record(
        connection, NOW, "print_started", printer_id=1, job_id=7, print_id=9, attempt_id=11
    )
    events.record(connection, NOW, "printer_added", printer_id=2)


def test_an_entry_comes_back_as_written(store: Database) -> None:
    with store.begin() as connection:
        _fill_the_diary(connection)
    with store.begin() as connection:
        started = events.recent(connection)[2]
    assert started[1:] == (NOW, "print_started", 1, 7, 9, 11, "")


@pytest.mark.parametrize(
    ("chosen", "kinds"),
    [
        ({}, ["printer_added", "job_paid", "print_started", "printer_added"]),
        ({"limit": 2}, ["print_started", "printer_added"]),
        ({"printer_id": 1}, ["printer_added", "print_started"]),
        ({"job_id": 7}, ["job_paid", "print_started"]),
        ({"printer_id": 2, "job_id": 7}, []),
        ({"after_id": 0, "limit": 2}, ["printer_added", "job_paid"]),
        ({"after_id": 2}, ["print_started", "printer_added"]),
        ({"after_id": 2, "job_id": 7}, ["print_started"]),
        ({"after_id": 4}, []),
    ],
)
def test_the_diary_is_read_oldest_first(
    store: Database, chosen: dict[str, int], kinds: list[str]
) -> None:
    with store.begin() as connection:
        _fill_the_diary(connection)
    with store.read() as connection:
        assert [entry.kind for entry in events.recent(connection, **chosen)] == kinds


def test_old_entries_are_pruned_a_part_at_a_time(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PRUNE_LIMIT", 2)
    with store.begin() as connection:
        for days in (3, 2, 1, 0):
            events.record(connection, NOW - timedelta(days=days), "tick", detail=str(days))
    with store.begin() as connection:
        assert [events.prune(connection, NOW) for _ in range(3)] == [2, 1, 0]
        assert [entry.detail for entry in events.recent(connection)] == ["0"]
