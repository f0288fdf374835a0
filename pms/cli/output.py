"""What commands print: JSON for programs, tables and plain words for people."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

#: Wide enough that nothing is cut in a file or for grep.
WIDTH_WITHOUT_TERMINAL = 200
UNIT_BYTES = 1024
#: Added before rounding down, because shares such as 0.29 are stored a little smaller.
ROUNDING = 1e-9
#: How often a print is told to have come further until it is done.
STEPS = 10

#: Blanks at the end of a line, also where a style ends there.
_BLANKS = re.compile(r" +(?=(?:\x1b\[0m| )*$)")


def console(stream: TextIO | None = None) -> Console:
    """Where people read (stdout); a terminal's width and NO_COLOR are respected."""
    stream = stream or sys.stdout
    known = stream.isatty() or os.environ.get("COLUMNS")
    return Console(
        file=stream,
        width=None if known else WIDTH_WITHOUT_TERMINAL,
        highlight=False,
        markup=False,
        emoji=False,
    )


def can_animate(stream: TextIO | None = None) -> bool:
    """Whether what was printed there (stdout) can be drawn anew in place."""
    stream = stream or sys.stdout
    return stream.isatty() and not console(stream).is_dumb_terminal


def show(*renderables: RenderableType) -> None:
    """Print for people."""
    target = console()
    with target.capture() as printed:
        for renderable in renderables:
            target.print(renderable)
    # Tables fill their last column up with blanks, which only get into the way of what is copied.
    for line in printed.get().splitlines():
        print(_BLANKS.sub("", line))
    sys.stdout.flush()


def show_line(text: str) -> None:
    """Print one line as it is, at once, whatever the width."""
    print(visible(text), flush=True)


def show_json(data: Any) -> None:
    """Print one JSON value over several lines."""
    print(json.dumps(data, indent=2, default=plain))


def show_json_line(data: Any) -> None:
    """Print one JSON value of several, on a line of its own, at once."""
    print(json.dumps(data, default=plain), flush=True)


def warn(text: str) -> None:
    """Print a line beside the data, on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def table(*columns: str, right: Iterable[str] = (), title: str = "") -> Table:
    """An empty table without lines around it; the columns in `right` hold numbers."""
    made = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        title_style="",
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def facts(rows: Iterable[tuple[str, RenderableType | int | None]]) -> Table:
    """A table of names and what there is to say of each."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        add_row(made, name, value)
    return made


def add_row(target: Table, *values: RenderableType | int | float | None, style: str = "") -> None:
    """Add a row; texts are shown as they are, and None as a dash."""
    target.add_row(*(_cell(value) for value in values), style=style)


def _cell(value: RenderableType | int | float | None) -> RenderableType:
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, str | int | float):
        return Text(visible(str(value)))
    return value


def visible(text: str) -> str:
    """The text with control characters escaped: other programs' words must not steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def moment(at: datetime | str | None) -> str:
    """A time in the zone of the reader; a dash when there is none."""
    if at is None:
        return "-"
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """A length of time in words, in one or two units; a dash when it is not known."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    if minutes:
        return f"{minutes} min"
    return f"{whole} s"


def percent(share: float | None) -> str:
    """A share from 0 to 1; a dash when it is not known. 100 % only when nothing is left."""
    if share is None:
        return "-"
    return f"{int(share * 100 + ROUNDING)} %"


def rough_percent(share: float) -> str:
    """A share in steps of ten, for lines that should not follow each other too closely."""
    return percent(int(share * STEPS + ROUNDING) / STEPS)


def data_size(size_bytes: float) -> str:
    """A number of bytes, in the largest unit of which it has one."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < UNIT_BYTES:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= UNIT_BYTES
    return f"{size_bytes:.1f} GiB"


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 copy`, `2 copies`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def plain(value: Any) -> Any:
    """What `json.dumps` cannot write by itself."""
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON")
