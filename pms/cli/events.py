"""`events`: the farm's diary."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from pms.cli.output import moment, show_json, show_json_line, show_line, warn
from pms.cli.session import read_settings
from pms.cli.storage import open_database
from pms.errors import DatabaseUnavailableError
from pms.store import events as diary
from pms.store import printers as known_printers
from pms.store.database import Database
from pms.store.events import EventRow

FOLLOW_INTERVAL_S = 0.5
#: No transaction that writes an entry takes longer.
LATE_S = 30.0
#: Entries that are read again; fewer than are read at once, lest new ones be out of reach.
REMEMBERED = 500
_READ_AT_ONCE = 1000


def events(options: argparse.Namespace) -> int:
    """Show the newest entries, oldest first, and with `--follow` those that come."""
    with open_database(read_settings()) as database:
        with database.read() as connection:
            printer_id = _printer_id(connection, options.printer)
            rows = diary.recent(
                connection, printer_id=printer_id, job_id=options.job_id, limit=options.limit
            )
            names = known_printers.names(connection)
        if options.json and not options.follow:
            show_json([row._asdict() for row in rows])
            return 0
        _show(rows, names, as_json=options.json)
        if options.follow:
            _follow(database, options, printer_id, rows)
    return 0


def _follow(
    database: Database, options: argparse.Namespace, printer_id: int | None, rows: list[EventRow]
) -> None:
    ids = [row.id for row in rows]
    shown = Shown(ids, time.monotonic(), all_there_are=len(ids) < options.limit)
    away = False
    try:
        while True:
            time.sleep(FOLLOW_INTERVAL_S)
            try:
                rows, names = _following(database, options, printer_id, shown.floor)
            except DatabaseUnavailableError as error:
                if not away:
                    warn(f"{error}; waiting for it")
                away = True
                continue
            if away:
                warn("the database is back")
            away = False
            _show(shown.new(rows, time.monotonic()), names, as_json=options.json)
    except KeyboardInterrupt:
        return


def _following(
    database: Database, options: argparse.Namespace, printer_id: int | None, after_id: int
) -> tuple[list[EventRow], dict[int, str]]:
    with database.read() as connection:
        rows = diary.recent(
            connection,
            after_id=after_id,
            printer_id=printer_id,
            job_id=options.job_id,
            limit=_READ_AT_ONCE,
        )
        return rows, known_printers.names(connection) if rows else {}


class Shown:
    """Which entries have been shown, so that none is left out and none comes twice.

    An entry gets its number when it is written, but is seen when it is committed, and so it may
    appear behind a later one. Therefore those of the last while are read again.
    """

    def __init__(self, ids: Sequence[int], now: float, *, all_there_are: bool) -> None:
        self._seen_at = dict.fromkeys(ids, now)
        #: Nothing new can come up to and including this entry.
        self.floor = 0 if all_there_are else min(ids) - 1
        self._settle(now)

    def new(self, rows: Sequence[EventRow], now: float) -> list[EventRow]:
        """Those that have not been shown yet; `now` is in monotonic seconds."""
        fresh = [row for row in rows if row.id not in self._seen_at]
        self._seen_at |= dict.fromkeys((row.id for row in fresh), now)
        self._settle(now)
        return fresh

    def _settle(self, now: float) -> None:
        """Forget those behind which nothing can come any more, and those that are too many."""
        settled = [number for number, at in self._seen_at.items() if now - at >= LATE_S]
        surplus = sorted(self._seen_at)[:-REMEMBERED]
        self.floor = max([self.floor, *settled, *surplus])
        self._seen_at = {n: at for n, at in self._seen_at.items() if n > self.floor}


def _printer_id(connection: Connection, name_or_id: str | None) -> int | None:
    return None if name_or_id is None else known_printers.find(connection, name_or_id)


def _show(rows: Sequence[EventRow], names: Mapping[int, str], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            show_json_line(row._asdict())
        else:
            show_line(describe(row, names))


def describe(row: EventRow, names: Mapping[int, str]) -> str:
    """An entry as one line for people."""
    parts = [moment(row.at), f"{row.kind:<24}"]
    if row.printer_id is not None:
        parts.append(names.get(row.printer_id, f"printer {row.printer_id}"))
    if row.job_id is not None:
        parts.append(f"job {row.job_id}")
    if row.print_id is not None:
        parts.append(f"print {row.print_id}")
    return "  ".join([*parts, row.detail] if row.detail else parts).rstrip()
