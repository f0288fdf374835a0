"""Brings the tables into the shape that PMS needs: its own always, OpenFarm's only on request."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, String, Table, column, exc, inspect, select, table, text

from pms.errors import SchemaError
from pms.store.database import Database
from pms.store.tables import openfarm

if TYPE_CHECKING:
    from alembic.config import Config

logger = logging.getLogger(__name__)

VERSION_TABLE = "pms_alembic_version"

_version = table(VERSION_TABLE, column("version_num", String))

_MIGRATIONS = Path(__file__).with_name("migrations")

#: Any number will do, as long as it stays the same: processes that change tables take turns on it.
_TURN = 0x504D53


def migrate(database: Database) -> None:
    """Create PMS's own tables, or bring them up to date; safe when several do it at once.

    Raises SchemaError when a newer PMS made them or this user may not, and
    DatabaseUnavailableError.
    """
    # Alembic takes a tenth of a second to import and nothing else needs it.
    from alembic import command
    from alembic.util import CommandError

    try:
        with database.begin() as connection:
            _take_turn(connection)
            before = _revision(connection)
            command.upgrade(alembic_config(connection), "head")
            after = _revision(connection)
    except CommandError as error:
        raise SchemaError(f"{database.description} was made by a newer PMS: {error}") from error
    except exc.ProgrammingError as error:
        raise _refused(database, error) from error
    if after != before:
        logger.info("schema_migrated", extra={"fields": {"from": before, "to": after}})


def check_migrated(database: Database) -> None:
    """Raise SchemaError when PMS's own tables are missing or another version's.

    Raises DatabaseUnavailableError.
    """
    from alembic.script import ScriptDirectory

    with database.read() as connection:
        revision = _revision(connection)
        newest = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
    if revision != newest:
        raise SchemaError(
            f"{database.description} has not been used with this version of PMS: "
            "`pms-coordinator start` brings it up to date"
        )


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's settings for working on PMS's own tables through `connection`."""
    from alembic.config import Config

    # Its own lines would tell an operator nothing that `schema_migrated` does not.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Tell Alembic to look at PMS's own tables alone."""
    return kind != "table" or (name is not None and name.startswith("pms_"))


def check_openfarm(database: Database) -> None:
    """Raise SchemaError naming what is missing of OpenFarm's tables, else return.

    Raises DatabaseUnavailableError.
    """
    with database.read() as connection:
        missing = _missing_tables(connection)
        if missing:
            raise SchemaError(
                f"{database.description} lacks OpenFarm's tables {_names(missing)}: "
                "check that it is OpenFarm's database, or create them with "
                "`pms-coordinator init-db`"
            )
        columns = _missing_columns(connection)
    if columns:
        raise SchemaError(
            f"{database.description} lacks the columns {', '.join(columns)}: "
            "PMS does not alter OpenFarm's tables; update OpenFarm's database"
        )


def create_openfarm(database: Database) -> list[str]:
    """Create those of OpenFarm's tables that are missing and return their names.

    Tables that exist stay as they are. Raises SchemaError when this user may not, and
    DatabaseUnavailableError.
    """
    try:
        with database.begin() as connection:
            _take_turn(connection)
            missing = _missing_tables(connection)
            openfarm.create_all(connection, tables=missing, checkfirst=False)
    except exc.ProgrammingError as error:
        raise _refused(database, error) from error
    return [each.name for each in missing]


def _take_turn(connection: Connection) -> None:
    # SQLite's transactions take turns by themselves.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(_version.c.version_num))


def _missing_tables(connection: Connection) -> list[Table]:
    present = set(inspect(connection).get_table_names())
    return [each for each in openfarm.sorted_tables if each.name not in present]


def _missing_columns(connection: Connection) -> list[str]:
    names = [each.name for each in openfarm.sorted_tables]
    found = inspect(connection).get_multi_columns(filter_names=names)
    present = {f"{name}.{each['name']}" for (_, name), columns in found.items() for each in columns}
    wanted = (str(each) for described in openfarm.sorted_tables for each in described.columns)
    return [each for each in wanted if each not in present]


def _names(tables: Iterable[Table]) -> str:
    return ", ".join(sorted(each.name for each in tables))


def _refused(database: Database, error: exc.ProgrammingError) -> Exception:
    if isinstance(error.orig, InsufficientPrivilege):
        return SchemaError(
            f"{database.description}: PMS's user may not create tables; "
            "grant it CREATE on the schema public"
        )
    return error
