"""Runs every benchmark and prints a table; `--json` for programs, `--quick` for a short run."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench import dead_printers, gcode_cache, scheduling
from bench.figures import Figure

BENCHMARKS = (scheduling, gcode_cache, dead_printers)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller files")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    figures = [figure for module in BENCHMARKS for figure in module.run(quick=options.quick)]
    machine = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "python": platform.python_version(),
    }
    if options.json:
        json.dump({**machine, "figures": [asdict(figure) for figure in figures]}, sys.stdout)
        print()
    else:
        _print_table(machine, figures)
    return 0


def _print_table(machine: dict[str, str], figures: list[Figure]) -> None:
    table = Table(title=", ".join(machine.values()))
    for heading in ("what", "PMS, median", "PMS, 99th", "floor, median", "ratio", "budget", "note"):
        table.add_column(heading, justify="left" if heading in ("what", "note") else "right")
    for figure in figures:
        table.add_row(
            figure.what,
            f"{figure.median_s * 1000:.2f} ms",
            f"{figure.p99_s * 1000:.2f} ms",
            f"{figure.floor_s * 1000:.2f} ms",
            f"{figure.ratio:.2f}",
            figure.budget,
            figure.note,
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
