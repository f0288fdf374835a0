"""What becomes of a figure when there are more printers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.figures import Figure, Unit, at_most, figure

#: Between these numbers of printers; in a shorter run, between the smallest and the largest.
FEW, MANY = 50, 500
BUDGET = 1.2
#: Costs grow with the number of printers, latencies are to stay as they are.
COSTS = frozenset({Unit.CORES, Unit.MEBIBYTES})
#: Takes longer with more printers by its nature, or is no latency.
PASSED_OVER = ("start of the coordinator", "→ a copy prints on every", "all known again", "status")


def sized(figures: Sequence[Figure]) -> Iterator[tuple[str, list[Figure]]]:
    """What was measured in farms of several sizes, with its figures by size."""
    several = [figure for figure in figures if figure.printers is not None]
    for what, group in groupby(sorted(several, key=_order), key=lambda figure: figure.what):
        found = list(group)
        if len(found) > 1:
            yield what, found


def growth(figures: Sequence[Figure]) -> list[Figure]:
    """How much more than in proportion costs grow, and how much latencies grow at all."""
    return [
        _growth(what, *_ends(found))
        for what, found in sized(figures)
        if found[0].unit in {*COSTS, Unit.SECONDS} and not any(w in what for w in PASSED_OVER)
    ]


def _order(figure: Figure) -> tuple[str, int]:
    return figure.what, figure.printers or 0


def _ends(found: Sequence[Figure]) -> tuple[Figure, Figure]:
    by_size = {figure.printers: figure for figure in found}
    return by_size.get(FEW, found[0]) if MANY in by_size else found[0], found[-1]


def _growth(what: str, few: Figure, many: Figure) -> Figure:
    grown = many.median / few.median
    if few.unit in COSTS and "of a worker" not in what:
        grown /= (many.printers or 1) / (few.printers or 1)
        name = f"{what}: growth ÷ growth of the farm"
    else:
        name = f"{what}: growth"
    note = f"from {few.printers} to {many.printers} printers"
    if few.floor and many.floor:
        note += f"; that of the floor is {many.floor / few.floor:.2f}"
    return figure(name, Unit.TIMES, [grown], at_most(BUDGET), note=note)
