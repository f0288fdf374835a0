"""Statements whose results nobody reads: sent together, before anything else is asked.

What an event of a print changes is a dozen small statements. One by one, each would wait for the
database and the network, a hundred times a second on a busy farm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Table, event, insert
from sqlalchemy.sql.dml import UpdateBase

from pms.store.engines import pipeline

_Statement = tuple[UpdateBase, Mapping[str, Any]]


@dataclass(slots=True)
class _Pending:
    statements: list[_Statement] = field(default_factory=list)
    #: Behind the statements, those of each table together.
    rows: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)


_pending: WeakKeyDictionary[Connection, _Pending] = WeakKeyDictionary()


@contextmanager
def collected(connection: Connection) -> Iterator[None]:
    """For the time of a transaction, of which the end of the block is the last moment."""
    _pending[connection] = _Pending()
    yield
    _send(connection, _pending.pop(connection))


def later(
    connection: Connection, statement: UpdateBase, parameters: Mapping[str, Any] | None = None
) -> None:
    """Execute this before the next statement whose result is wanted, in the order of these calls.

    How many rows it changes cannot be known; an error comes with a later statement, or at the end.
    """
    _pending[connection].statements.append((statement, parameters or {}))


def append(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert this row at the end of the transaction, which must not have read it before."""
    _pending[connection].rows.setdefault(table, []).append(row)


def watch(engine: Engine) -> None:
    """From now on no statement on a connection of the engine overtakes what waits there."""

    @event.listens_for(engine, "before_execute")
    def send_first(connection: Connection, *_about_the_statement: Any) -> None:
        waiting = _pending.get(connection)
        if waiting is not None and waiting.statements:
            statements, waiting.statements = waiting.statements, []
            with pipeline(connection):
                _execute(connection, statements)


def _send(connection: Connection, waiting: _Pending) -> None:
    if not (waiting.statements or waiting.rows):
        return
    with pipeline(connection):
        _execute(connection, waiting.statements)
        for table, rows in waiting.rows.items():
            # Inline: without the ids of the new rows, which would have to be waited for.
            connection.execute(insert(table).inline(), rows)


def _execute(connection: Connection, statements: list[_Statement]) -> None:
    for statement, parameters in statements:
        connection.execute(statement, parameters)
