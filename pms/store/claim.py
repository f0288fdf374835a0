"""What makes a coordinator the only one on its database: a lock that ends with its holder."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, text

from pms.errors import DatabaseUnavailableError
from pms.store.engines import lives

#: Any number will do, as long as it stays the same and nobody else in the database uses it.
_LOCK = 0x504D5302

#: Lets the server find out within half a minute that our host is gone, lock included.
_TAKE = text(
    "SELECT set_config('tcp_keepalives_idle', '10', false),"
    " set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false),"
    " pg_try_advisory_lock(:lock) AS taken"
)


class Claim(Protocol):
    """A lock that one process at a time can hold."""

    def hold(self) -> bool:
        """Take it, or make sure that it is still held; False: another process has it."""

    def release(self) -> None:
        """Let others take it."""


def make_claim(engine: Engine) -> Claim:
    """The claim to the database of an engine; nothing is taken yet."""
    if engine.dialect.name == "sqlite":
        return _FileClaim(Path(f"{engine.url.database}.lock"))
    return _SessionClaim(engine)


class _FileClaim:
    """A lock on a file beside the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def hold(self) -> bool:
        """Raises DatabaseUnavailableError when the file cannot be made."""
        if self._file is None:
            try:
                self._file = self._take()
            except OSError as error:
                raise DatabaseUnavailableError(
                    f"the lock {self._path} of the SQLite database cannot be made: {error.strerror}"
                ) from error
        return self._file is not None

    def _take(self) -> FileIO | None:
        with ExitStack() as stack:
            file = stack.enter_context(FileIO(self._path, "a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            stack.pop_all()
            return file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None


class _SessionClaim:
    """An advisory lock of PostgreSQL on a connection of its own, with which it ends."""

    def __init__(self, engine: Engine) -> None:
        # No transaction may stay open: the lock is the session's.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None

    def hold(self) -> bool:
        """Cheap while the server has nothing to say; raises SQLAlchemyError when it is away."""
        if self._connection is not None and not lives(_driver(self._connection)):
            # Nothing more can be said to the server, not even good-bye.
            _driver(self._connection).close()
            self._connection.invalidate()
            self.release()
        if self._connection is None:
            self._connection = self._take()
        return self._connection is not None

    def _take(self) -> Connection | None:
        with ExitStack() as stack:
            connection = stack.enter_context(self._engine.connect())
            # Closed at the end, and not put back into the pool with the lock.
            connection.detach()
            if not connection.execute(_TAKE, {"lock": _LOCK}).one().taken:
                return None
            stack.pop_all()
            return connection

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
