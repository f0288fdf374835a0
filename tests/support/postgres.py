"""A real PostgreSQL of the test run's own: its folder, its port, its end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pms.demo.children import kill_child, log_tail, start_child, stop_child
from tests.support.ports import HOST, free_port
from tests.support.processes import end, freeze, process_tree, thaw
from tests.support.programs import debian_folders, find_program
from tests.support.waiting import wait_until

OWNER = "openfarm"
PASSWORD = "database-secret"
SUPERUSER = "postgres"
TEMPLATE = "openfarm_template"
SCHEMA = Path(__file__).with_name("openfarm.sql")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Database:
    """How to reach one database as OpenFarm's services do: over TCP, with a password."""

    name: str
    port: int
    host: str = HOST
    user: str = OWNER
    password: str = PASSWORD

    @property
    def npgsql(self) -> str:
        """The connection string in the form of Npgsql."""
        return (
            f"Host={self.host};Port={self.port};Database={self.name};"
            f"Username={self.user};Password={self.password}"
        )

    @property
    def url(self) -> str:
        """The SQLAlchemy URL."""
        return (
            f"postgresql+psycopg://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_CONNECTION_STRING": self.npgsql}

    def connect(self) -> psycopg.Connection[Row]:
        """A connection in autocommit mode whose rows are dicts."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=self.name,
            user=self.user,
            password=self.password,
            connect_timeout=10,
            autocommit=True,
            row_factory=dict_row,
        )


class PostgresServer:
    """One server process. What was committed survives `stop` and `kill`, not `close`."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: commits wait for the disk, as on a real farm."""
        self._durable = durable
        self._folders = debian_folders("postgresql/*/bin")
        self._program = find_program("postgres", *self._folders)
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="pms-postgres-"))
        self._log = self._folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = free_port()
        self.ready_s = 0.0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and wait until it answers; the first time, make the cluster and the template."""
        began = time.monotonic()
        new = not self._data.exists()
        if new:
            self._initialize()
        self._process = start_child(
            self._command(),
            folder=self._folder,
            log=self._log,
            user=self._account.pw_uid if self._account else None,
            group=self._account.pw_gid if self._account else None,
            death_signal=signal.SIGQUIT,
        )
        wait_until(self._answers, 30.0, f"PostgreSQL on port {self.port}")
        if new:
            self._create_template()
        self.ready_s = time.monotonic() - began

    def ensure_running(self) -> None:
        """Repair what an earlier test left behind."""
        if not self.running:
            self.start()

    def stop(self) -> None:
        """End it in its regular way; open connections are closed."""
        if self._process is not None:
            stop_child(self._process, 10.0, signal.SIGINT)
        self._process = None

    def kill(self) -> None:
        """End it and its backends as a power cut would."""
        if self._process is None:
            return
        pids = process_tree(self._process.pid)
        kill_child(self._process)
        end(pids)
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It hangs: connections are accepted by the kernel, nothing answers."""
        assert self._process is not None
        pids = process_tree(self._process.pid)
        freeze(pids)
        try:
            yield
        finally:
            thaw(pids)

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_database(self, name: str | None = None, *, empty: bool = False) -> Database:
        """A new database with OpenFarm's tables, or without any."""
        self._databases += 1
        name = name or f"test_{self._databases}"
        template = "template1" if empty else TEMPLATE
        # Copying files costs a checkpoint each time; this does not, and both are small.
        self._execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY wal_log").format(
                sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
            )
        )
        return Database(name=name, port=self.port)

    def move_database(self, database: Database, folder: Path | None) -> None:
        """Put it, to which nobody is connected, into a folder of its own, or back: None."""
        space = sql.Identifier(f"space_{database.name}")
        if folder is not None:
            if self._account:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
            create = sql.SQL("CREATE TABLESPACE {} LOCATION {}")
            self._execute(create.format(space, sql.Literal(str(folder))))
        target = sql.Identifier("pg_default") if folder is None else space
        move = sql.SQL("ALTER DATABASE {} SET TABLESPACE {}")
        self._execute(move.format(sql.Identifier(database.name), target))
        if folder is None:
            self._execute(sql.SQL("DROP TABLESPACE {}").format(space))

    def drop_database(self, database: Database) -> None:
        """Remove it, whoever is still connected."""
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name))
        )

    def disconnect(self, database: Database) -> None:
        """Cut every connection to one database, as a restart of the server would."""
        statement = (
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {}"
        )
        self._execute(sql.SQL(statement).format(sql.Literal(database.name)))

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialize(self) -> None:
        if self._account:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        command = [str(find_program("initdb", *self._folders)), "--pgdata", str(self._data)]
        command += ["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8"]
        command += ["--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync"]
        done = subprocess.run(
            command,
            cwd=self._folder,
            user=self._account.pw_uid if self._account else None,
            group=self._account.pw_gid if self._account else None,
            extra_groups=[] if self._account else None,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, f"initdb: {done.stderr}"

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": self._folder,
            # Safe against the death of the process, which is all that tests do to it.
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        options = [f"{name}={value}" for name, value in settings.items()]
        return [str(self._program), "-D", str(self._data)] + [
            part for option in options for part in ("-c", option)
        ]

    def _answers(self) -> bool:
        assert self.running, f"PostgreSQL ended: {log_tail(self._log)}"
        try:
            self._execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _create_template(self) -> None:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        self._execute(create.format(sql.Identifier(OWNER), sql.Literal(PASSWORD)))
        template = self.create_database(TEMPLATE, empty=True)
        with template.connect() as connection:
            connection.execute(SCHEMA.read_bytes())

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(
            host=str(self._folder),
            port=self.port,
            dbname="postgres",
            user=SUPERUSER,
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            connection.execute(statement)


def _account() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]
