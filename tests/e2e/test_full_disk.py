"""The disk of the database is full while a printer prints: facts are kept and written later."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from tests.e2e.conftest import OctoPrints
from tests.support.coordinator import Coordinator
from tests.support.gcode import Gcode, dwelling_gcode
from tests.support.postgres import Database, PostgresServer
from tests.support.print_shop import PrintShop
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(150)

TIMEOUT_S = 60.0


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as disk:
        yield disk


@pytest.fixture
def database(
    database: Database, postgres_server: PostgresServer, disk: SmallDisk
) -> Iterator[Database]:
    """A fresh database with OpenFarm's tables, alone on the small disk."""
    folder = disk.path / "postgresql"
    folder.mkdir()
    postgres_server.move_database(database, folder)
    yield database
    postgres_server.disconnect(database)
    postgres_server.move_database(database, None)


def fill_pages(database: Database) -> None:
    """What is left within the pages of the tables, too."""
    with database.connect() as connection, suppress(psycopg.errors.DiskFull):
        while True:
            connection.execute("INSERT INTO pms_events (at, kind) VALUES (now(), 'filling')")


def log_lines(coordinator: Coordinator, event: str) -> list[str]:
    lines = coordinator.log.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if f": {event}" in line]


def assert_told_once(coordinator: Coordinator, words: str) -> None:
    (away,) = log_lines(coordinator, "database_away")
    assert words in away
    assert len(log_lines(coordinator, "database_back")) == 1
    assert not coordinator.logged("Traceback")


def test_full_under_postgresql(shop: PrintShop, database: Database, disk: SmallDisk) -> None:
    shop.start()
    work = shop.order(0, 2.0)
    shop.wait_printing(work)
    disk.fill()
    fill_pages(database)
    paid_meanwhile = shop.order(1, 0.3, job_status="received")
    shop.servers[0].wait_state("Paused")
    wait_until(
        lambda: "No space left" in shop.coordinator.status()["coordinator"]["database"],
        TIMEOUT_S,
        "the full disk in the status",
    )
    assert shop.statuses(work) == ["printing"]
    assert shop.statuses(paid_meanwhile) == []

    disk.free()
    shop.check(work)
    wait_until(lambda: shop.statuses(paid_meanwhile), TIMEOUT_S, "the job paid meanwhile")
    wait_until(
        lambda: log_lines(shop.coordinator, "database_back"), TIMEOUT_S, "the end of the outage"
    )
    assert_told_once(shop.coordinator, "No space left")


def test_full_under_sqlite(alone: Coordinator, octoprints: OctoPrints, disk: SmallDisk) -> None:
    (server,) = octoprints(1)
    alone.environment |= {"PMS_DATA_DIR": str(disk.path), "PMS_POLL_INTERVAL": "0.5"}
    alone.start()
    options = ["--url", server.url, "--api-key", server.api_key, "--model", "MK4", "--autostart"]
    alone.run("printer", "add", "printer", *options)
    gcode = dwelling_gcode(seconds=3.0)
    submit(alone, gcode)
    alone.wait_for_printer("printer", "printing", timeout_s=TIMEOUT_S)
    disk.fill()
    assert "No space left" in submit(alone, gcode)
    server.wait_state("Paused")
    wait_until(
        lambda: "the disk is full" in alone.status()["coordinator"]["database"],
        TIMEOUT_S,
        "the full disk in the status",
    )

    disk.free()
    wait_until(lambda: job_statuses(disk) == ["completed"], TIMEOUT_S, "the job's completion")
    assert gcode.marks_in(server.printer_log()) == [*gcode.marks, *gcode.marks_behind]
    wait_until(lambda: log_lines(alone, "database_back"), TIMEOUT_S, "the end of the outage")
    assert_told_once(alone, "the disk is full")


def submit(coordinator: Coordinator, gcode: Gcode) -> str:
    """The job's number, or the one line with which it was refused."""
    file = coordinator.folder / "part.gcode"
    file.write_bytes(gcode.content)
    done = coordinator.run("submit", str(file), check=False)
    (line,) = (done.stdout or done.stderr).splitlines()
    return line


def job_statuses(disk: SmallDisk) -> list[str]:
    with closing(sqlite3.connect(disk.path / "pms.sqlite3")) as connection:
        return [row[0] for row in connection.execute("SELECT job_status FROM print_jobs")]
