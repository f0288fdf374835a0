from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, delete, insert, inspect, text

from pms.errors import SchemaError
from pms.store import tables
from pms.store.database import Database
from pms.store.schema import VERSION_TABLE, check_openfarm, create_openfarm, is_ours, migrate
from tests.support.postgres import Database as PostgreSQL


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database without any table."""
    database = Database(database_url)
    yield database
    database.close()


def same(database: Database) -> Database:
    """A second process's way to the same database."""
    return Database(database._writers.url.render_as_string(hide_password=False))


def shape(connection: Connection, prefix: str) -> Any:
    """Everything that the database says about the tables whose names begin so."""
    if connection.dialect.name == "sqlite":
        return _sqlite_shape(connection, prefix)
    return {name: _rows(connection, query, prefix) for name, query in POSTGRESQL_SHAPE.items()}


def _sqlite_shape(connection: Connection, prefix: str) -> dict[str, Any]:
    """Constraints may be written in any order, so CREATE statements are compared by their lines."""
    statement = "SELECT name, sql FROM sqlite_master WHERE tbl_name LIKE :p AND sql IS NOT NULL"
    found = connection.execute(text(statement), {"p": f"{prefix}%"})
    return {
        name: sorted(line.strip(" \t,") for line in re.sub(" +", " ", sql).splitlines())
        for name, sql in found
    }


def _rows(connection: Connection, query: str, prefix: str) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, connection.execute(text(query), {"p": f"{prefix}%"})), key=repr)


POSTGRESQL_SHAPE = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length,
               numeric_precision, numeric_scale, is_nullable, column_default,
               is_identity, identity_generation
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name LIKE :p AND table_name <> 'pms_alembic_version'
    """,
    "column order": """
        SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position)
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name LIKE :p AND table_name <> 'pms_alembic_version'
        GROUP BY table_name
    """,
    "keys": """
        SELECT t.constraint_name, t.table_name, t.constraint_type, r.delete_rule, r.update_rule,
               r.unique_constraint_name,
               (SELECT string_agg(k.column_name, ' ' ORDER BY k.ordinal_position)
                FROM information_schema.key_column_usage k
                WHERE k.constraint_schema = 'public' AND k.constraint_name = t.constraint_name)
        FROM information_schema.table_constraints t
        LEFT JOIN information_schema.referential_constraints r
               ON r.constraint_schema = 'public' AND r.constraint_name = t.constraint_name
        WHERE t.table_schema = 'public' AND t.table_name LIKE :p
          AND t.table_name <> 'pms_alembic_version' AND t.constraint_type <> 'CHECK'
    """,
    "checks": """
        SELECT c.conname, pg_get_constraintdef(c.oid)
        FROM pg_constraint c
        WHERE c.contype = 'c' AND c.conrelid::regclass::text LIKE :p
    """,
    "indexes": """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename LIKE :p AND tablename <> 'pms_alembic_version'
    """,
}


# PMS's own tables


def test_alembic_finds_no_difference_from_the_described_tables(empty: Database) -> None:
    create_openfarm(empty)
    migrate(empty)
    with empty.read() as connection:
        options = {"version_table": VERSION_TABLE, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.pms) == []


def test_the_migrations_make_what_the_described_tables_make(
    empty: Database, tmp_path: Path
) -> None:
    migrate(empty)
    with empty.begin() as connection:
        migrated = shape(connection, "pms_")
        migrated.pop(VERSION_TABLE, None)
        _drop_everything(connection)
        tables.pms.create_all(connection)
        assert migrated == shape(connection, "pms_")


def _drop_everything(connection: Connection) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)


def test_migrating_again_changes_nothing(empty: Database) -> None:
    migrate(empty)
    with empty.read() as connection:
        before = shape(connection, "pms_")
    migrate(empty)
    with empty.read() as connection:
        assert shape(connection, "pms_") == before


def test_several_may_migrate_at_once(empty: Database) -> None:
    starters = [same(empty) for _ in range(4)]
    with ThreadPoolExecutor(len(starters)) as pool:
        list(pool.map(migrate, starters))
    with empty.read() as connection:
        assert inspect(connection).has_table("pms_events")
    for starter in starters:
        starter.close()


def test_migrating_touches_none_of_openfarms_tables(empty: Database) -> None:
    create_openfarm(empty)
    with empty.read() as connection:
        before = {name: shape(connection, name) for name in tables.openfarm.tables}
    migrate(empty)
    with empty.read() as connection:
        assert {name: shape(connection, name) for name in tables.openfarm.tables} == before


def test_the_tables_of_a_newer_pms_are_refused(empty: Database) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=r"newer PMS.*9999") as caught:
        migrate(empty)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [migrate, create_openfarm])
def test_a_user_who_may_not_create_tables_is_told_so(
    empty_database: PostgreSQL, change: Callable[[Database], object]
) -> None:
    database = Database(empty_database.url)
    with database.begin() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM pg_database_owner"))
    with pytest.raises(SchemaError, match="grant it CREATE on the schema public"):
        change(database)
    database.close()


def test_other_services_delete_printers_and_jobs_and_our_records_stay(empty: Database) -> None:
    create_openfarm(empty)
    migrate(empty)
    with empty.begin() as connection:
        _add_a_live_attempt(connection)
    with empty.begin() as connection:
        for table in (tables.prints, tables.print_jobs, tables.printers):
            connection.execute(delete(table))
    with empty.read() as connection:
        assert connection.execute(tables.pms_attempts.select()).one().print_id == 1


def _add_a_live_attempt(connection: Connection) -> None:
    connection.execute(text("INSERT INTO printer_models (model, autostart) VALUES ('MK4', false)"))
    connection.execute(
        text("INSERT INTO printers (printer, printer_model_id, enabled) VALUES ('a', 1, true)")
    )
    connection.execute(text("INSERT INTO print_jobs (submitted_at) VALUES (CURRENT_TIMESTAMP)"))
    connection.execute(text("INSERT INTO prints (print_job_id, printer_id) VALUES (1, 1)"))
    connection.execute(
        text(
            "INSERT INTO pms_attempts"
            " (print_id, job_id, printer_id, number, state, remote_path, claimed_at)"
            " VALUES (1, 1, 1, 1, 'printing', 'pms/a.gcode', CURRENT_TIMESTAMP)"
        )
    )


# OpenFarm's tables


def test_missing_tables_are_named_with_the_remedy(empty: Database) -> None:
    with empty.begin() as connection:
        tables.colors.create(connection)
    with pytest.raises(SchemaError, match=r"`pms-coordinator init-db`") as caught:
        check_openfarm(empty)
    named = str(caught.value)
    assert "\n" not in named
    assert all(name in named for name in set(tables.openfarm.tables) - {"colors"})
    assert "colors" not in named


def test_missing_columns_are_named(empty: Database) -> None:
    create_openfarm(empty)
    with empty.begin() as connection:
        connection.execute(text("ALTER TABLE print_jobs DROP COLUMN finished_byte_pos"))
    with pytest.raises(SchemaError, match=r"print_jobs\.finished_byte_pos"):
        check_openfarm(empty)


def test_further_tables_and_columns_of_others_do_no_harm(empty: Database) -> None:
    create_openfarm(empty)
    with empty.begin() as connection:
        connection.execute(text("ALTER TABLE print_jobs ADD COLUMN novelty text"))
        connection.execute(text("CREATE TABLE novelties (id integer)"))
    check_openfarm(empty)
    migrate(empty)


def test_openfarms_tables_are_created_once(empty: Database) -> None:
    assert sorted(create_openfarm(empty)) == sorted(tables.openfarm.tables)
    assert create_openfarm(empty) == []
    check_openfarm(empty)


def test_an_existing_table_stays_as_it_is(empty: Database) -> None:
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE colors (id integer PRIMARY KEY, hue text)"))
        before = shape(connection, "colors")
    assert "colors" not in create_openfarm(empty)
    with empty.read() as connection:
        assert shape(connection, "colors") == before


def test_several_may_create_openfarms_tables_at_once(empty: Database) -> None:
    starters = [same(empty) for _ in range(4)]
    with ThreadPoolExecutor(len(starters)) as pool:
        created = [name for names in pool.map(create_openfarm, starters) for name in names]
    assert sorted(created) == sorted(tables.openfarm.tables)
    for starter in starters:
        starter.close()


def test_they_are_the_contracts_tables(database: PostgreSQL, empty_database: PostgreSQL) -> None:
    contract, ours = Database(database.url), Database(empty_database.url)
    create_openfarm(ours)
    with ours.read() as one, contract.read() as other:
        made, wanted = shape(one, ""), shape(other, "")
    for part in POSTGRESQL_SHAPE:
        assert made[part] == wanted[part], part
    assert len(wanted["column order"]) == len(tables.openfarm.tables)
    ours.close()
    contract.close()


def test_the_contracts_tables_are_found_complete(database: PostgreSQL) -> None:
    contract = Database(database.url)
    check_openfarm(contract)
    assert create_openfarm(contract) == []
    contract.close()


def test_identities_are_never_given_out_again(empty: Database) -> None:
    create_openfarm(empty)
    with empty.begin() as connection:
        first = connection.execute(insert(tables.colors).values(color="red"))
        connection.execute(delete(tables.colors))
        second = connection.execute(insert(tables.colors).values(color="red"))
        assert second.inserted_primary_key != first.inserted_primary_key
