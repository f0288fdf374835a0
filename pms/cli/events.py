"""`events`: the farm's diary."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from pms.cli.output import moment, show_json, show_json_line, show_line
from pms.cli.session import read_settings
from pms.cli.storage import open_database
from pms.store import events as diary
from pms.store import printers as known_printers
from pms.store.database import Database
from pms.store.events import EventRow

FOLLOW_INTERVAL_S = 0.5
#: Read at once while following.
_FOLLOW_LIMIT = 1000


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
            _follow(database, options, printer_id, rows[-1].id if rows else 0)
    return 0


def _follow(
    database: Database, options: argparse.Namespace, printer_id: int | None, last_id: int
) -> None:
    try:
        while True:
            time.sleep(FOLLOW_INTERVAL_S)
            with database.read() as connection:
                rows = diary.recent(
                    connection,
                    after_id=last_id,
                    printer_id=printer_id,
                    job_id=options.job_id,
                    limit=_FOLLOW_LIMIT,
                )
                names = known_printers.names(connection) if rows else {}
            _show(rows, names, as_json=options.json)
            last_id = rows[-1].id if rows else last_id
    except KeyboardInterrupt:
        return


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
