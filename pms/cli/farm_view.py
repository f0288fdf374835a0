"""The farm's status as people see it: tables that say the same with and without colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pms.cli.output import ROUNDING, add_row, count, duration, moment, percent, table, visible
from pms.domain.states import Bed, PrinterState

Status = dict[str, Any]
Printer = dict[str, Any]

#: Below this width, models and temperatures give way.
WIDE = 110
BAR_WIDTH = 16
#: How often a print is told to have come further until it is done.
STEPS = 10
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

#: What is worth seeing first when not all fits on the screen.
_FIRST = (
    PrinterState.PRINTING,
    PrinterState.TRANSFERRING,
    PrinterState.PAUSED,
    PrinterState.FINISHED,
    PrinterState.ERROR,
    PrinterState.SUSPENDED,
)


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


def live(status: Status, width: int, problem: str | None = None) -> RenderableType:
    """What `watch` shows: the most important first, since a screen may be too short for all."""
    printers = sorted(status["printers"], key=_urgency)
    warning = [Text(visible(problem), style="bold red")] if problem else []
    return Group(
        headline(status),
        *warning,
        *_attention_parts(status),
        Text(),
        Text(summary(printers), style="bold"),
        *printer_parts(printers, width, bars=True),
        *_queue_parts(status["queue"]),
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
    """A table of printers, and below it, where there is room for words, their details."""
    if not printers:
        return
    yield printer_table(printers, wide=width >= WIDE, bars=bars)
    for printer in printers:
        if printer["detail"]:
            yield Text(visible(f"{printer['name']}: {printer['detail']}"), style="dim")


def printer_table(printers: Sequence[Printer], *, wide: bool, bars: bool) -> Table:
    """A row for each printer."""
    model, heaters = (["Model"], ["Temperatures"]) if wide else ([], [])
    names = ["Id", "Printer", *model, "State", "Bed", "Print", "Done", "Left", *heaters]
    made = table(*names, right=() if bars else ("Done",))
    for printer in printers:
        cells: list[RenderableType | int | None] = [printer["id"], printer["name"]]
        cells += [printer["model"]] if wide else []
        cells += [
            _state(printer["state"]),
            _bed(printer["bed"]),
            _print(printer),
            _done(printer, bars=bars),
            duration(printer["eta_s"]),
        ]
        cells += [temperatures(printer["temperatures"])] if wide else []
        add_row(made, *cells)
    return made


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
    words = percent(int(share * STEPS + ROUNDING) / STEPS)
    return f"{words} sent" if printer["state"] == PrinterState.TRANSFERRING else words


def queue_lines(queue: Sequence[dict[str, Any]]) -> list[str]:
    """The waiting copies, grouped by why they wait."""
    if not queue:
        return ["queue: empty"]
    jobs: dict[str, list[int]] = {}
    for waiting in queue:
        jobs.setdefault(waiting["reason"], []).append(waiting["job_id"])
    lines = [f"queue: {count(len(queue), 'copy', 'copies')} waiting"]
    for reason, job_ids in list(jobs.items())[:REASONS_SHOWN]:
        copies = count(len(job_ids), "copy", "copies")
        lines.append(f"  {copies} of {_jobs(list(dict.fromkeys(job_ids)))}: {reason}")
    if len(jobs) > REASONS_SHOWN:
        left = sum(len(job_ids) for job_ids in list(jobs.values())[REASONS_SHOWN:])
        reasons = count(len(jobs) - REASONS_SHOWN, "more reason")
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


def _urgency(printer: Printer) -> tuple[int, int]:
    state = printer["state"]
    return (_FIRST.index(state) if state in _FIRST else len(_FIRST), printer["id"])


def _state(state: str) -> Text:
    return Text(state, style=_STYLES.get(state, ""))


def _bed(bed: str) -> Text:
    return Text(bed, style="yellow" if bed == Bed.OCCUPIED else "")


def _print(printer: Printer) -> str | None:
    if printer["print_id"] is None:
        return None
    job = "" if printer["job_id"] is None else f" (job {printer['job_id']})"
    return f"{printer['print_id']}{job}"


def _done(printer: Printer, *, bars: bool) -> RenderableType:
    share = share_done(printer)
    words = percent(share)
    if printer["state"] == PrinterState.TRANSFERRING and share is not None:
        words = f"{words} sent"
    if not bars or share is None:
        return words
    row = Table.grid(padding=(0, 1))
    row.add_row(f"{words:>9}", ProgressBar(total=1.0, completed=share, width=BAR_WIDTH))
    return row


def _heater(heater: dict[str, float | None]) -> str:
    actual = "?" if heater["actual"] is None else f"{heater['actual']:.0f}"
    return f"{actual}/{heater['target']:.0f} °C" if heater["target"] else f"{actual} °C"
