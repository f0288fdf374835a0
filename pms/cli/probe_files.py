"""`pms-probe files`: the files on an OctoPrint as a tree, and the removal of those of PMS."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from pms.cli.output import (
    add_row,
    count,
    data_size,
    duration,
    moment,
    show,
    show_json,
    show_line,
    table,
    visible,
)
from pms.cli.probe_cleaning import clean
from pms.cli.probe_session import open_session
from pms.domain.reconciliation import is_ours
from workers.octoprint_answers import StoredFile
from workers.octoprint_console import Storage


def files(options: argparse.Namespace) -> int:
    """Show the files, or delete those that PMS does not need any more."""
    with open_session(options) as session:
        if options.clean:
            return clean(session, yes=options.yes, as_json=options.json)
        storage = session.octoprint.storage()
        selected = session.octoprint.look().path
    shown = [file for file in storage.all_files() if is_ours(file.path) or not options.ours]
    if options.json:
        show_json(
            {
                "free_bytes": storage.free,
                "total_bytes": storage.total,
                "files": [as_json(file, selected) for file in shown],
            }
        )
    else:
        show(_tree(storage.files, {file.path for file in shown}, selected))
        show_line(_summary(shown, storage))
    return 0


def as_json(file: StoredFile, selected: str | None) -> dict[str, Any]:
    """A file for programs."""
    facts = file.facts()
    last = file.prints.last if file.prints else None
    return {
        "path": file.path,
        "size": file.size,
        "stored_at": _time(file.date),
        "ours": is_ours(file.path),
        "selected": file.path == selected,
        "successes": facts.successes if facts else 0,
        "failures": facts.failures if facts else 0,
        "last_success": last.success if last else None,
        "last_printed_at": _time(last.date) if last else None,
        "last_print_time_s": last.print_time if last else None,
    }


def _tree(entries: Iterable[StoredFile], shown: set[str], selected: str | None) -> Table:
    made = table("File", "Size", "Stored", "Prints", right=("Size",))
    for depth, entry in walk(entries, shown):
        name = "  " * depth + entry.path.rpartition("/")[2]
        if entry.type == "folder":
            made.add_row(Text(visible(f"{name}/"), style="bold"))
        else:
            marked = f"{name} (selected)" if entry.path == selected else name
            stored = moment(_time(entry.date))
            add_row(made, marked, data_size(entry.size or 0), stored, _history(entry))
    return made


def walk(
    entries: Iterable[StoredFile], shown: set[str], depth: int = 0
) -> Iterator[tuple[int, StoredFile]]:
    """The tree's entries with their depth, folders first; folders without a file are left out."""
    for entry in sorted(entries, key=lambda entry: (entry.type != "folder", entry.path)):
        below = list(walk(entry.children, shown, depth + 1))
        if below or entry.path in shown:
            yield depth, entry
            yield from below


def _history(file: StoredFile) -> str:
    prints = file.prints
    if prints is None:
        return "never"
    words = [f"{count(prints.success, 'success', 'successes')}"] if prints.success else []
    words += [count(prints.failure, "failure")] if prints.failure else []
    if prints.last is not None:
        words.append(f"last {moment(_time(prints.last.date))}")
    if prints.last is not None and prints.last.print_time is not None:
        words.append(duration(prints.last.print_time))
    return ", ".join(words)


def _summary(shown: list[StoredFile], storage: Storage) -> str:
    size = data_size(sum(file.size or 0 for file in shown))
    free = ""
    if storage.free is not None and storage.total is not None:
        free = f"; {data_size(storage.free)} of {data_size(storage.total)} free"
    return f"{count(len(shown), 'file')}, {size}{free}"


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
