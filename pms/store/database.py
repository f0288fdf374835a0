"""The database as the rest of PMS sees it: transactions, and one error when it is away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, Select, Table, exc, make_url

from pms.errors import (
    DatabaseClaimedError,
    DatabaseFullError,
    DatabaseUnavailableError,
    SettingsError,
)
from pms.store import pending
from pms.store.claim import make_claim
from pms.store.engines import ANSWER_GRACE_S, Patience, make_engine, readers

#: SQLite's primary result codes that are no mistake of ours, in words.
_SQLITE_FAULTS = {
    sqlite3.SQLITE_PERM: "access is denied; check the permissions of the file",
    sqlite3.SQLITE_BUSY: "another process keeps it locked",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the permissions of file and folder",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_PROTOCOL: "another process keeps it locked",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database",
}

_Row = TypeVar("_Row", bound=tuple[Any, ...])


class Database:
    """Transactions on PostgreSQL or SQLite, whichever `url` names.

    Connects when first used and again after the server was away. May be used from several
    threads; a connection that it hands out belongs to one.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float = 5.0, statement_timeout_s: float = 10.0
    ) -> None:
        """Raise SettingsError if `url` is no SQLAlchemy URL of PostgreSQL or SQLite."""
        parsed = _parse(url)
        self.kind = parsed.get_backend_name()
        #: Fit for people: names the server and the database, never a user or a password.
        self.description = _describe(parsed)
        self._password = parsed.password or parsed.query.get("password")
        # Longer than the server's own limit, which it may still report.
        self._patience = Patience(statement_timeout_s + ANSWER_GRACE_S)
        self._writers = make_engine(
            parsed,
            connect_timeout_s=connect_timeout_s,
            statement_timeout_s=statement_timeout_s,
            patience=self._patience,
        )
        pending.watch(self._writers)
        self._readers = readers(self._writers)
        self._claim = make_claim(self._writers)

    def __repr__(self) -> str:
        return f"Database({self.description})"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that may write; commits at the end, rolls back on an error.

        On SQLite it holds the write lock from its start. Raises DatabaseUnavailableError,
        after which the transaction may or may not be committed if it was at its end.
        """
        with self._transaction(self._writers) as connection, pending.collected(connection):
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees the database as of one moment and must not write.

        Raises DatabaseUnavailableError.
        """
        with self._transaction(self._readers) as connection:
            yield connection

    def claim(self) -> None:
        """Be the only coordinator on this database until `close`; call it again to make sure.

        Raises DatabaseClaimedError when another one is, and DatabaseUnavailableError.
        """
        with self._translated():
            if not self._claim.hold():
                raise DatabaseClaimedError(f"another coordinator works on {self.description}")

    def hurry(self, limit_s: float) -> None:
        """From now on wait no longer than this for a silent server; safe in a signal handler."""
        self._patience.shorten(limit_s)

    def close(self) -> None:
        """Give up the claim and close the connections that nobody uses."""
        self._claim.release()
        self._writers.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._translated(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            reason = _reason_away(error)
            if reason is None:
                raise
            kind = DatabaseFullError if _is_full(error) else DatabaseUnavailableError
            raise kind(self._say(reason)) from error

    def _say(self, reason: str) -> str:
        if isinstance(self._password, str) and self._password:
            reason = reason.replace(self._password, "***")
        return f"{self.description} is not available: {reason}"


def locked(statement: Select[_Row], *of: Table) -> Select[_Row]:
    """Let `statement` lock the rows that it reads, or those of some tables, until the commit.

    Other services may still add rows that refer to them. On SQLite the whole database is
    locked already, so nothing is added there.
    """
    return statement.with_for_update(of=of or None, key_share=True)


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise SettingsError("the database's URL cannot be read") from error


def _describe(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"SQLite database {url.database}"
    host = url.host or url.query.get("host", "localhost")
    return f"PostgreSQL database {url.database} at {host}:{url.port or 5432}"


def _reason_away(error: exc.SQLAlchemyError) -> str | None:
    """Say why the database is away; None when `error` is about the statement instead."""
    if isinstance(error, exc.TimeoutError):
        return "all connections are in use"
    if not isinstance(error, exc.DBAPIError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_reason(error.orig)
    if isinstance(error.orig, psycopg.Error) and _is_away(error, error.orig):
        return _first_line(error.orig)
    return None


def _sqlite_reason(error: sqlite3.Error) -> str | None:
    return _SQLITE_FAULTS.get(_sqlite_code(error))


def _sqlite_code(error: sqlite3.Error) -> int:
    """The primary result code; 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_full(error: exc.SQLAlchemyError) -> bool:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) == sqlite3.SQLITE_FULL
    return isinstance(cause, psycopg.errors.DiskFull)


def _is_away(error: exc.DBAPIError, cause: psycopg.Error) -> bool:
    passing = (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.ReadOnlySqlTransaction,
    )
    return error.connection_invalidated or isinstance(cause, passing)


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
