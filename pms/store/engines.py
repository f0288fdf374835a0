"""How PMS connects to each of its two databases, so that neither can make it wait for ever."""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from pms.errors import SettingsError

APPLICATION_NAME = "pms-coordinator"

#: The longest wait for another transaction's lock.
LOCK_WAIT_S = 5.0

#: PostgreSQL ends a transaction of ours that has been idle this long, so that a frozen
#: process of ours cannot keep other services from the rows that it has locked.
IDLE_TRANSACTION_S = 60.0

#: How much longer than its own time limit the server may take to say so.
ANSWER_GRACE_S = 5.0

#: Between tries to switch a new SQLite file to its write-ahead log.
WAL_RETRY_S = 0.01

_Result = TypeVar("_Result")


class Patience:
    """How long a server may be silent before it counts as away; can become shorter meanwhile."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s

    def shorten(self, limit_s: float) -> None:
        """Wait no longer than this, in a wait that is under way too."""
        self.limit_s = min(self.limit_s, limit_s)


def make_engine(
    url: URL, *, connect_timeout_s: float, statement_timeout_s: float, patience: Patience
) -> Engine:
    """Return an engine that has not connected yet; SettingsError for a database of another kind."""
    kind = url.get_backend_name()
    if kind == "postgresql":
        return _postgresql(url, connect_timeout_s, statement_timeout_s, patience)
    if kind == "sqlite":
        return _sqlite(url, statement_timeout_s)
    raise SettingsError(f"the database must be PostgreSQL or SQLite, not {kind}")


def readers(engine: Engine) -> Engine:
    """Return the same engine for transactions that see one moment and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(begin="BEGIN")
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _postgresql(
    url: URL, connect_timeout_s: float, statement_timeout_s: float, patience: Patience
) -> Engine:
    _check_options(url)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_timeout=connect_timeout_s,
        use_native_hstore=False,
        connect_args=_postgresql_arguments(url, statement_timeout_s),
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, keywords: Any) -> BoundedConnection:
        limit_s = _connect_timeout(min(connect_timeout_s, patience.limit_s))
        keywords["connect_timeout"] = limit_s
        connection = BoundedConnection.connect(*arguments, **keywords)
        connection.patience = patience
        return connection

    @event.listens_for(engine, "checkout")
    def look_at(connection: BoundedConnection, _record: Any, _proxy: Any) -> None:
        # What is wrong with a new one, its first statement tells.
        is_new, connection.is_new = connection.is_new, False
        if not is_new and not lives(connection):
            # The pool opens another one in its place.
            raise exc.DisconnectionError

    return engine


@contextmanager
def pipeline(connection: Connection) -> Iterator[None]:
    """What is executed in the block need not wait for answers, and its results must not be used.

    An error may come with a later statement than its own, or at the end of the block.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        yield
        return
    try:
        with driver.pipeline():
            yield
    except psycopg.Error as error:
        # Of the end of the block, which SQLAlchemy does not see.
        if driver.closed:
            connection.invalidate(error)
        raise exc.DBAPIError.instance(
            None,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=driver.closed,
            dialect=connection.dialect,
        ) from error


def lives(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has not closed this idle connection; asks it only when in doubt.

    The end of a session makes its socket readable, and so does a notice. A question each time
    would be one more round trip for every transaction.
    """
    if connection.closed:
        return False
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    if not poller.poll(0):
        return True
    try:
        connection.execute("SELECT 1")
        if not connection.autocommit:
            connection.rollback()
    except psycopg.Error:
        return False
    return True


def _check_options(url: URL) -> None:
    try:
        make_conninfo("", **dict.fromkeys(url.query, ""))
    except psycopg.ProgrammingError as error:
        raise SettingsError(f"the database's URL has an {str(error).strip()}") from error


def _postgresql_arguments(url: URL, statement_timeout_s: float) -> dict[str, Any]:
    limits = {
        "statement_timeout": statement_timeout_s,
        "lock_timeout": _lock_wait_s(statement_timeout_s),
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_S,
    }
    options = [f"-c {name}={_milliseconds(limit)}" for name, limit in limits.items()]
    given = url.query.get("options", ())
    return {
        "application_name": APPLICATION_NAME,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": _milliseconds(statement_timeout_s + ANSWER_GRACE_S),
        "options": " ".join([*_as_list(given), *options, "-c timezone=UTC"]),
    }


def _connect_timeout(seconds: float) -> int:
    # Whole seconds, and psycopg takes 1 for 2.
    return max(2, round(seconds))


def _lock_wait_s(statement_timeout_s: float) -> float:
    # Shorter than the whole statement may take, so that the error tells of the lock.
    return min(LOCK_WAIT_S, statement_timeout_s / 2)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _as_list(value: str | tuple[str, ...]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that is connected and silent.

    The server's own time limits do not help when the server is frozen or the network
    swallows its answers.
    """

    patience = Patience(15.0)
    #: Never taken out of the pool yet.
    is_new = True

    def wait(self, gen: PQGen[_Result], *args: Any, **keywords: Any) -> _Result:
        """Wait as psycopg does, within `patience`; then close and raise OperationalError."""
        try:
            return super().wait(_within(self.patience, gen), *args, **keywords)
        except _SilenceError:
            self.close()
            raise


class _SilenceError(psycopg.OperationalError):
    """The server did not answer in time."""


def _within(patience: Patience, work: PQGen[_Result]) -> Generator[Any, Any, _Result]:
    began = monotonic()
    try:
        wanted = next(work)
        while True:
            # psycopg comes back with nothing ten times a second.
            ready = yield wanted
            if monotonic() - began > patience.limit_s:
                raise _SilenceError(f"the server has not answered for {patience.limit_s:g} s")
            wanted = work.send(ready)
    except StopIteration as end:
        result: _Result = end.value
        return result


def _sqlite(url: URL, statement_timeout_s: float) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise SettingsError("an SQLite database needs a file: sqlite:///path/to/pms.sqlite3")
    lock_wait_s = _lock_wait_s(statement_timeout_s)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=lock_wait_s,
        # Transactions are begun below: the driver's own would begin too late to lock.
        connect_args={"isolation_level": None, "timeout": lock_wait_s},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _record: Any) -> None:
    cursor = connection.cursor()
    _switch_to_wal(cursor)
    # A commit is on the disk when it returns: a paid job must outlive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _switch_to_wal(cursor: DBAPICursor) -> None:
    # The driver's own waiting for locks does not cover this switch, which counts when two
    # processes open a new file at once.
    deadline = monotonic() + LOCK_WAIT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(WAL_RETRY_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once, as the first row lock does on PostgreSQL.
    statement = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    connection.exec_driver_sql(statement)
