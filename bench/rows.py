"""The rows of a run: what each measures, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench import (
    dead_printers,
    end_of_print,
    gcode_cache,
    idle_printers,
    intake,
    load,
    printing_printers,
    recovery,
    scheduling,
    start_of_print,
    streaming,
)
from bench.figures import Figure
from bench.scene import Scale, Scene

#: In how large farms the rows about numbers of printers are measured.
SIZES = {Scale.FULL: (10, 50, 200, 500), Scale.QUICK: (10, 50), Scale.SMOKE: (2,)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measures in a process of its own; figures count as soon as they are given."""

    name: str
    measure: Callable[[Scene], Iterator[Figure]]
    #: After which the row is given up.
    limit_s: float


def rows(scale: Scale) -> list[Row]:
    """All of them, in the order in which they are measured."""

    def row(name: str, measure: Callable[[Scene], Iterator[Figure]], *limits_s: float) -> Row:
        full_s, quick_s = limits_s
        return Row(name=name, measure=measure, limit_s=scale.pick(full_s, quick_s, 60.0))

    sizes = SIZES[scale]
    return [
        row("scheduling", scheduling.run, 30, 15),
        row("gcode-cache", gcode_cache.run, 60, 15),
        row("intake", intake.run, 60, 20),
        row("start", start_of_print.run, 150, 40),
        row("streaming", streaming.run, 60, 30),
        row("end", end_of_print.run, 120, 30),
        row("dead", dead_printers.run, 280, 60),
        row("recovery", recovery.run, 180, 60),
        *(row(f"idle-{n}", partial(idle_printers.run, printers=n), 90, 30) for n in sizes),
        *(row(f"printing-{n}", partial(printing_printers.run, printers=n), 150, 45) for n in sizes),
        row("load", load.run, 380, 60),
    ]


def chosen(scale: Scale, names: Sequence[str]) -> list[Row]:
    """Those that are named, in all sizes where none is given; all of them without a name.

    Raises ValueError for a name that is none.
    """
    every = rows(scale)
    unknown = [name for name in names if not any(_is_named(row, name) for row in every)]
    if unknown:
        known = ", ".join(row.name for row in every)
        raise ValueError(f"there is no row {unknown[0]}; there are {known}")
    return [row for row in every if not names or any(_is_named(row, name) for name in names)]


def _is_named(row: Row, name: str) -> bool:
    return row.name == name or row.name.rpartition("-")[0] == name
