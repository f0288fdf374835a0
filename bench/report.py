"""The results of runs as JSON, and as the tables of `docs/performance.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.figures import Figure, Limit, Unit
from bench.growth import growth
from bench.run import Measured
from bench.scene import Scale

RESULTS, PAGE = "performance.json", "performance.md"
#: Drawn by bench.plots.
GROWTH, BUDGETS = "performance-growth.png", "performance-budgets.png"
PICTURES = {BUDGETS: "Shares of the budgets", GROWTH: "Growth with the number of printers"}
#: The page's generated part is between these.
BEGIN, END = "<!-- figures -->", "<!-- end of the figures -->"
HEADINGS = ("what", "printers", "median", "99th", "floor", "÷ floor", "budget", "")
_HEAD = f"| {' | '.join(HEADINGS)} |\n|---|--:|--:|--:|--:|--:|---|---|\n"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run, perhaps with some rows measured anew."""

    scale: Scale
    machine: dict[str, str]
    rows: list[Measured]

    @property
    def figures(self) -> list[Figure]:
        """Of all rows."""
        return [figure for row in self.rows for figure in row.figures]

    @property
    def judged(self) -> list[Figure]:
        """Those that have to keep limits, what becomes of them in larger farms included."""
        return [figure for figure in self.figures if figure.limits] + growth(self.figures)


def merge(new: Results, folder: Path) -> Results:
    """Lay new rows over those that were measured earlier on the same kind of machine."""
    path = folder / RESULTS
    if not path.exists():
        return new
    old = msgspec.json.decode(path.read_bytes(), type=Results)
    if (old.scale, old.machine["processor"]) != (new.scale, new.machine["processor"]):
        return new
    rows = {row.row: row for row in (*old.rows, *new.rows)}
    return Results(scale=new.scale, machine=new.machine, rows=list(rows.values()))


def write(results: Results, folder: Path, frame: str) -> None:
    """Write both; `frame` is the page as it is, of which the generated part is replaced."""
    encoded = msgspec.json.format(msgspec.json.encode(results), indent=1)
    (folder / RESULTS).write_bytes(encoded + b"\n")
    before, _, rest = frame.partition(BEGIN)
    behind = rest.partition(END)[2]
    page = f"{before}{BEGIN}\n\n{_page(results)}\n{END}{behind}"
    (folder / PAGE).write_text(page, encoding="utf-8")


def _page(results: Results) -> str:
    parts = [
        *(f"![{title}]({name})" for name, title in PICTURES.items()),
        _machine(results),
        "### Budgets",
        table(results.judged),
        "### All figures",
        table(results.figures),
        "### Rows",
        _rows(results.rows),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    facts = {"measured": f"{results.scale}, {results.rows[0].date}", **results.machine}
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _rows(rows: Sequence[Measured]) -> str:
    lines = [f"| {row.row} | {row.date} | {row.seconds:.0f} s | {row.error} |" for row in rows]
    return "| row | when | took | failed with |\n|---|---|--:|---|\n" + "\n".join(lines)


def table(figures: Sequence[Figure]) -> str:
    """Figures as a table in Markdown."""
    return _HEAD + "\n".join(f"| {' | '.join(cells(figure))} |" for figure in figures)


def cells(figure: Figure) -> list[str]:
    """What stands in a table about a figure."""
    note = "; ".join(filter(None, [_samples(figure), figure.note]))
    return [
        f"{figure.what} ({note})" if note else figure.what,
        "" if figure.printers is None else str(figure.printers),
        _with_interval(figure),
        shown(figure.p99, figure.unit),
        shown(figure.floor, figure.unit) + (f" ({figure.floor_is})" if figure.floor_is else ""),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        ", ".join(_limit(limit, figure.unit) for limit in figure.limits),
        figure.verdict.value,
    ]


def shown(value: float | None, unit: Unit) -> str:
    """A value with its unit, in as many digits as mean something."""
    match unit:
        case _ if value is None:
            return ""
        case Unit.SECONDS if value < 1:
            return f"{value * 1000:.3g} ms"
        case Unit.PER_SECOND:
            return f"{value:,.0f} a second"
        case Unit.COUNT:
            return f"{value:.0f}"
        case Unit.TIMES:
            return f"{value:.2f}"
        case _:
            return f"{value:.3g} {unit.value}"


def _with_interval(figure: Figure) -> str:
    if figure.interval is None:
        return shown(figure.median, figure.unit)
    low, high = (shown(end, figure.unit) for end in figure.interval)
    return f"{shown(figure.median, figure.unit)} ({low}-{high})"


def _samples(figure: Figure) -> str:
    return f"{figure.samples} samples" if figure.samples > 1 else ""


def _limit(limit: Limit, unit: Unit) -> str:
    names = {"median": "", "p99": "99th ", "highest": "all ", "ratio": "÷ floor "}
    unit = Unit.TIMES if limit.of == "ratio" else unit
    sign, value = ("≤", limit.most) if limit.least is None else ("≥", limit.least)
    return f"{names[limit.of]}{sign} {shown(value, unit)}"
