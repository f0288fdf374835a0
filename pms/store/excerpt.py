"""What a bug report tells of the database: the newest rows of PMS's own tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from pms.store.tables import pms, users


def newest_rows(connection: Connection, limit: int) -> dict[str, list[dict[str, Any]]]:
    """By table, up to `limit` rows each, the newest first."""
    return {name: _newest(connection, name, limit) for name in sorted(pms.tables)}


def _newest(connection: Connection, name: str, limit: int) -> list[dict[str, Any]]:
    table = pms.tables[name]
    (key,) = table.primary_key
    rows = connection.execute(select(table).order_by(key.desc()).limit(limit)).mappings()
    return [{column: _readable(value) for column, value in row.items()} for row in rows]


def _readable(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def people(connection: Connection) -> set[str]:
    """Names and numbers by which OpenFarm's users can be known."""
    rows = connection.execute(select(users.c.name, users.c.org_id))
    return {text for row in rows for text in row if text}
