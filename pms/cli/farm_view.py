"""The farm's status as people see it: words that say the same with and without colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pms.cli.columns import Cell, Column, aligned
from pms.cli.output import ROUNDING, count, duration, moment, percent, rough_percent, visible
from pms.domain.states import Bed, PrinterState

Status = dict[str, Any]
Printer = dict[str, Any]

#: Below this width, models and temperatures give way.
WIDE = 110
BAR_WIDTH = 16
#: Reasons, and jobs within a reason, that are listed before the rest is only counted.
REASONS_SHOWN = 8
JOBS_SHOWN = 6

_STYLES: dict[str, str] = {
    PrinterState.STARTING: "dim",
    PrinterState.UNREACHABLE: "red",
    PrinterState.UNAUTHORIZED: "red",
    PrinterState.DISCONNECTED: "red",
    PrinterState.IDLE: "green",
    PrinterState.TRANSFERRING: "blue",
    PrinterState.PRINTING: "bold cyan",
    PrinterState.PAUSED: "yellow",
    PrinterState.FINISHED: "bold yellow",
    PrinterState.BUSY: "magenta",
    PrinterState.ERROR: "bold red",
    PrinterState.SUSPENDED: "bold red",
    PrinterState.DISABLED: "dim",
}


def overview(status: Status, width: int) -> RenderableType:
    """What `status` shows."""
    printers = status["printers"]
    return Group(
        headline(status),
        Text(),
        Text(summary(printers), style="bold"),
        *printer_parts(printers, width, bars=False),
        *_queue_parts(status["queue"]),
        *_attention_parts(status),
    )


def headline(status: Status) -> Text:
    """The coordinator in one line."""
    about = status["coordinator"]
    since = moment(about["started_at"])
    return Text(
        visible(
            f"coordinator {about['pid']}, version {about['version']}, since {since};"
            f" database {about['database']}; broker {about['broker']}"
        )
    )


def summary(printers: Sequence[Printer]) -> str:
    """How many printers are in which state."""
    if not printers:
        return "no printers; add one with `pms-coordinator printer add`"
    states = Counter(str(printer["state"]) for printer in printers)
    listed = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return f"{count(len(printers), 'printer')}: {listed}"


def printer_parts(
    printers: Sequence[Printer], width: int, *, bars: bool
) -> Iterable[RenderableType]:
    """A line for each printer, and below them, where there is room for words, their details."""
    if not printers:
        return
    model, heaters = (["Model"], ["Temperatures"]) if width >= WIDE else ([], [])
    titles = ["Id", "Printer", *model, "State", "Bed", "Print", "Done", "Left", *heaters]
    columns = [Column(title, right=title == "Done" and not bars) for title in titles]
    rows = [printer_cells(printer, bars=bars) for printer in printers]
    yield from aligned(columns, [[cells[title] for title in titles] for cells in rows], width)
    for printer in printers:
        if printer["detail"]:
            yield Text(visible(f"{printer['name']}: {printer['detail']}"), style="dim")


def printer_cells(printer: Printer, *, bars: bool) -> dict[str, Cell]:
    """What stands in each column of a printer's line."""
    return {
        "Id": Cell(str(printer["id"])),
        "Printer": Cell(visible(printer["name"])),
        "Model": Cell(visible(printer["model"])),
        "State": Cell(printer["state"], _STYLES.get(printer["state"], "")),
        "Bed": Cell(printer["bed"], "yellow" if printer["bed"] == Bed.OCCUPIED else ""),
        "Print": Cell(_print(printer)),
        "Done": Cell(_done(printer, bars=bars)),
        "Left": Cell(duration(printer["eta_s"])),
        "Temperatures": Cell(visible(temperatures(printer["temperatures"])) or "-"),
    }


def temperatures(heaters: dict[str, dict[str, float | None]]) -> str:
    """Each heater as `name actual/target °C`, the target only while it is on."""
    return ", ".join(f"{name} {_heater(heater)}" for name, heater in sorted(heaters.items()))


def share_done(printer: Printer) -> float | None:
    """How far the print is, or before it starts, its transfer; 0 to 1."""
    if printer["state"] == PrinterState.TRANSFERRING:
        return printer.get("transfer")
    if printer["state"] == PrinterState.FINISHED:
        # OctoPrint counts what follows the end marker, too; the part is complete.
        return 1.0
    progress: float | None = printer["progress"]
    return progress


def percent_in_steps(printer: Printer) -> str:
    """How far the print is in steps, for lines that should not follow each other too closely."""
    share = share_done(printer)
    if share is None:
        return ""
    words = rough_percent(share)
    return f"{words} sent" if printer["state"] == PrinterState.TRANSFERRING else words


def queue_lines(queue: Sequence[dict[str, Any]], most: int = REASONS_SHOWN) -> list[str]:
    """The waiting copies, grouped by why they wait; at most so many reasons are listed."""
    if not queue:
        return ["queue: empty"]
    jobs: dict[str, list[int]] = {}
    for waiting in queue:
        jobs.setdefault(waiting["reason"], []).append(waiting["job_id"])
    lines = [f"queue: {count(len(queue), 'copy', 'copies')} waiting"]
    for reason, job_ids in list(jobs.items())[:most]:
        copies = count(len(job_ids), "copy", "copies")
        lines.append(f"  {copies} of {_jobs(list(dict.fromkeys(job_ids)))}: {reason}")
    if len(jobs) > most:
        left = sum(len(job_ids) for job_ids in list(jobs.values())[most:])
        reasons = count(len(jobs) - most, "more reason")
        lines.append(f"  {count(left, 'copy', 'copies')} for {reasons}: see `status --json`")
    return lines


def attention_lines(status: Status) -> list[str]:
    """What a person has to see to."""
    names = {printer["id"]: printer["name"] for printer in status["printers"]}
    return [_attention(item, names) for item in status["attention"]]


def _attention(item: dict[str, Any], names: dict[int, str]) -> str:
    if item.get("job_id") is not None:
        return f"job {item['job_id']}: {item['text']}"
    printer_id = item.get("printer_id")
    return f"printer {names.get(printer_id or 0, printer_id)}: {item['text']}"


def _queue_parts(queue: Sequence[dict[str, Any]]) -> Iterable[RenderableType]:
    yield Text()
    for line in queue_lines(queue):
        yield Text(visible(line))


def _attention_parts(status: Status) -> Iterable[RenderableType]:
    lines = attention_lines(status)
    if lines:
        yield Text()
        yield Text("needs attention:", style="bold red")
    for line in lines:
        yield Text(visible(f"  {line}"))


def _jobs(job_ids: Sequence[int]) -> str:
    if len(job_ids) == 1:
        return f"job {job_ids[0]}"
    listed = ", ".join(str(job_id) for job_id in job_ids[:JOBS_SHOWN])
    more = len(job_ids) - JOBS_SHOWN
    return f"jobs {listed}" + (f" and {more} more" if more > 0 else "")


def _print(printer: Printer) -> str:
    if printer["print_id"] is None:
        return "-"
    job = "" if printer["job_id"] is None else f" (job {printer['job_id']})"
    return f"{printer['print_id']}{job}"


def _done(printer: Printer, *, bars: bool) -> str:
    share = share_done(printer)
    words = percent(share)
    if share is None:
        return words
    if printer["state"] == PrinterState.TRANSFERRING:
        words = f"{words} sent"
    return f"{words:>9} {bar(share, BAR_WIDTH)}" if bars else words


def bar(share: float, width: int) -> str:
    """A share from 0 to 1, drawn."""
    full = int(min(1.0, max(0.0, share)) * width + ROUNDING)
    return "━" * full + "─" * (width - full)


def _heater(heater: dict[str, float | None]) -> str:
    actual = "?" if heater["actual"] is None else f"{heater['actual']:.0f}"
    return f"{actual}/{heater['target']:.0f} °C" if heater["target"] else f"{actual} °C"
