"""Rows that nothing reads before the commit, inserted together at the end of a transaction.

An event of a print adds a line or two to the diary and a message to the outbox. One by one they
would be a third of all statements of a busy farm.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, insert

_waiting: WeakKeyDictionary[Connection, dict[Table, list[dict[str, Any]]]] = WeakKeyDictionary()


def append(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert this row at the end of the transaction, behind those of the same table before it."""
    _waiting.setdefault(connection, {}).setdefault(table, []).append(row)


def write(connection: Connection) -> None:
    """Insert what was appended; whoever began the transaction calls this at its end."""
    for table, rows in _waiting.pop(connection, {}).items():
        connection.execute(insert(table), rows)
