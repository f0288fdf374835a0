"""Measures every budget of the design and writes `docs/performance.md` with its pictures.

A quick run, or one of some rows, writes into build/performance unless it is told where to.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench import machine, plots, report
from bench.figures import Verdict
from bench.report import Results
from bench.rows import Row, chosen
from bench.run import ROOT, Measured, measure, servers
from bench.scene import Scale, Servers

DOCUMENTS, ELSEWHERE = ROOT / "docs", ROOT / "build" / "performance"
MINUTES = {Scale.FULL: 20.0, Scale.QUICK: 3.0, Scale.SMOKE: 5.0}
#: Of the table where there is no terminal.
WIDTH = 170
#: For what comes behind the last row.
REPORT_S = 10.0


def main() -> int:
    """Measure; 1 when a row failed or a budget is missed, 2 for wrong usage."""
    began = time.monotonic()
    parser = _parser()
    options = parser.parse_args()
    scale = Scale(options.scale)
    try:
        rows = chosen(scale, options.only)
    except ValueError as error:
        parser.error(str(error))
    output = options.output or (DOCUMENTS if _is_whole(options) else ELSEWHERE)
    minutes = options.minutes or MINUTES[scale]
    with servers() as ours:
        results = Results(scale=scale, machine=machine.describe(), rows=[])
        results = run(rows, results, ours, began + minutes * 60 - REPORT_S, output)
    _print_table(results)
    failed = any(row.error for row in results.rows)
    missed = any(figure.verdict is Verdict.MISSED for figure in results.judged)
    return 1 if failed or missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--scale", choices=[*Scale], default=Scale.FULL, help="how much to measure (full)")
    add(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="measure this row, such as start or idle-500, or idle for all of its sizes; "
        "may be repeated; the others are kept as they were",
    )
    add("--minutes", type=float, metavar="N", help="time for the run (20, else 3)")
    add("--output", type=Path, metavar="FOLDER", help="where to write, such as docs")
    return parser


def _is_whole(options: argparse.Namespace) -> bool:
    return options.scale == Scale.FULL and not options.only


def run(
    rows: Sequence[Row], results: Results, servers: Servers, deadline: float, output: Path
) -> Results:
    """Measure the rows; what came of them is written after each, in case that the run is ended."""
    output.mkdir(parents=True, exist_ok=True)
    frame = (DOCUMENTS / report.PAGE).read_text(encoding="utf-8")
    for row in _told(measure(rows, results.scale, servers, deadline)):
        results = report.merge(msgspec.structs.replace(results, rows=[row]), output)
        report.write(results, output, frame)
    plots.draw(results, output)
    return results


def _told(rows: Iterator[Measured]) -> Iterator[Measured]:
    for row in rows:
        outcome = f"failed: {row.error}" if row.error else f"{len(row.figures)} figures"
        print(f"{row.row}: {row.seconds:.1f} s, {outcome}", file=sys.stderr, flush=True)
        yield row


def _print_table(results: Results) -> None:
    table = Table()
    for heading in report.HEADINGS:
        table.add_column(heading, justify="left" if heading in ("what", "budget", "") else "right")
    for figure in results.figures:
        table.add_row(*report.cells(figure))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


if __name__ == "__main__":
    sys.exit(main())
