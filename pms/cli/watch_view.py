"""What `watch` draws on a terminal: a farm of any size on a screen of any size, and calmly.

What needs a person comes first, then what prints, by the time that it still needs. Printers
that are idle or disabled are only counted. Nothing moves unless the farm changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.text import Text

from pms.cli.columns import Cell, Column, aligned, cut
from pms.cli.farm_view import (
    WIDE,
    Printer,
    Status,
    attention_lines,
    bar,
    printer_cells,
    queue_lines,
    share_done,
    summary,
    temperatures,
)
from pms.cli.full_screen import Key
from pms.cli.output import duration, moment, percent, visible
from pms.cli.printer_order import Order, in_order
from pms.domain.states import Bed, PrinterState

#: Blocks other than the printers get at most this share of the height each.
BLOCK_SHARE = 5
FEWEST_BLOCK_LINES = 3
WIDE_BAR, NARROW_BAR = 20, 8
_TITLES = ("Printer", "State", "Print", "Progress, or what to do")
_END = 1 << 31


@dataclass(frozen=True, slots=True)
class View:
    """What a person has chosen to see."""

    order: Order = Order.URGENCY
    #: Rows that are scrolled away above the first one shown.
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: as many lines as the screen has."""

    lines: list[Text]
    #: What is really shown, where the view asked for rows that there are not.
    view: View
    #: Printers that fit at once.
    page: int


def pressed(view: View, key: Key, page: int) -> View:
    """What a person sees after a key."""
    match key:
        case Key.SORT:
            orders = list(Order)
            return View(order=orders[(orders.index(view.order) + 1) % len(orders)])
        case Key.UP:
            return replace(view, offset=view.offset - 1)
        case Key.DOWN:
            return replace(view, offset=view.offset + 1)
        case Key.PAGE_UP:
            return replace(view, offset=view.offset - page)
        case Key.PAGE_DOWN:
            return replace(view, offset=view.offset + page)
        case Key.HOME:
            return replace(view, offset=0)
        case Key.END:
            return replace(view, offset=_END)
        case _:
            return view


def frame(status: Status, width: int, height: int, view: View, problem: str | None = None) -> Frame:
    """Draw the farm on a screen of this size."""
    notes = _notes(status)
    listed = in_order(status["printers"], view.order, notes)
    above = [*_head(status, problem), *_attention(status, height), Text()]
    below = [*_calm(status["printers"], listed), *_queue(status, height)]
    page = max(1, height - len(above) - len(below) - 2)
    view = replace(view, offset=min(max(0, view.offset), max(0, len(listed) - page)))
    columns = [Column(title) for title in _TITLES]
    titles, *rows = aligned(columns, [_row(p, notes, width >= WIDE) for p in listed], width)
    shown = rows[view.offset : view.offset + page]
    room = [Text()] * (page - len(shown))
    lines = [*above, titles, *shown, *room, *below][: height - 1]
    footer = _footer(view, len(shown), len(listed))
    return Frame([_fitted(line, width) for line in (*lines, footer)], view, page)


def _head(status: Status, problem: str | None) -> list[Text]:
    lines = [_health(status["coordinator"]), Text(summary(status["printers"]), style="bold")]
    return [*lines, Text(visible(problem), style="bold red")] if problem else lines


def _health(about: dict[str, Any]) -> Text:
    """What may be wrong comes first, since a narrow screen cuts the rest."""
    health = f"database {about['database']}; broker {about['broker']}"
    about_itself = f"coordinator {about['pid']}, version {about['version']}"
    return Text(visible(f"{health}; {about_itself}, since {moment(about['started_at'])}"))


def _attention(status: Status, height: int) -> list[Text]:
    """What is said of jobs; what is said of printers stands in their rows."""
    jobs = [item for item in status["attention"] if item.get("job_id") is not None]
    lines = attention_lines({**status, "attention": jobs})
    most = _block(height)
    if len(lines) > most:
        rest = len(lines) - most + 1
        lines = [*lines[: most - 1], f"{rest} more jobs need attention: see `status`"]
    return [Text(visible(line), style="bold red") for line in lines]


def _queue(status: Status, height: int) -> list[Text]:
    """How many copies wait, a few of the reasons, and how many more there are."""
    return [Text(visible(line)) for line in queue_lines(status["queue"], _block(height) - 2)]


def _block(height: int) -> int:
    return max(FEWEST_BLOCK_LINES, height // BLOCK_SHARE)


def _calm(printers: Sequence[Printer], listed: Sequence[Printer]) -> list[Text]:
    """The printers that have no row of their own, in one line."""
    rows = {printer["id"] for printer in listed}
    left = Counter(str(p["state"]) for p in printers if p["id"] not in rows)
    if not left:
        return []
    return [Text("not listed: " + ", ".join(f"{n} {state}" for state, n in left.most_common()))]


def _footer(view: View, shown: int, total: int) -> Text:
    rows = f"{view.offset + 1}-{view.offset + shown} of {total}" if shown else "none"
    return Text(f"rows {rows}  q quit  s order: {view.order}  ↑ ↓ PgUp PgDn", style="reverse")


def _fitted(line: Text, width: int) -> Text:
    if line.cell_len <= width:
        return line
    return Text(cut(line.plain, width), style=line.style, no_wrap=True, overflow="crop")


def _notes(status: Status) -> dict[int, str]:
    """What a person has to see to, by printer."""
    items = status["attention"]
    return {item["printer_id"]: item["text"] for item in items if item.get("printer_id")}


def _row(printer: Printer, notes: dict[int, str], wide: bool) -> list[Cell]:
    cells = printer_cells(printer, bars=False)
    progress = _progress(printer, WIDE_BAR if wide else NARROW_BAR)
    note = printer["detail"] or _chore(printer)
    if wide and not note:
        note = temperatures(printer["temperatures"])
    # What needs a person must not be cut for the sake of a bar.
    story = (notes.get(printer["id"]) or "", progress, note)
    shown = "  ".join(visible(part) for part in dict.fromkeys(story) if part)
    return [cells["Printer"], cells["State"], cells["Print"], Cell(shown)]


def _progress(printer: Printer, bar_width: int) -> str:
    """How far the print is, and how long it still takes; empty where nothing goes on."""
    share = share_done(printer)
    if share is None or printer["state"] == PrinterState.FINISHED:
        return ""
    words = f"{percent(share):>5} {bar(share, bar_width)}"
    return words if printer["eta_s"] is None else f"{words} {duration(printer['eta_s']):>11}"


def _chore(printer: Printer) -> str:
    if printer["state"] == PrinterState.FINISHED:
        return "take the part off, then clear it"
    if printer["state"] == PrinterState.IDLE and printer["bed"] == Bed.OCCUPIED:
        return "bed occupied: empty it, then clear it"
    return ""
