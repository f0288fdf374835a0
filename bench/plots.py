"""Pictures of the results: how figures grow with the farm, and how near their limits they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from bench.figures import Figure, Unit, Verdict
from bench.growth import sized
from bench.report import BUDGETS, GROWTH, Results

COLORS = {Verdict.MET: "tab:green", Verdict.OPEN: "tab:olive", Verdict.MISSED: "tab:red"}
AXES = ((Unit.CORES, "cores"), (Unit.MEBIBYTES, "MiB"), (Unit.SECONDS, "seconds"))


def draw(results: Results, folder: Path) -> None:
    """Write both pictures."""
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "pms"}):
        _growth(results.figures).savefig(folder / GROWTH, dpi=110)
        _budgets(results.judged).savefig(folder / BUDGETS, dpi=110)


def _growth(figures: Sequence[Figure]) -> Drawing:
    drawing = Drawing(figsize=(9, 11), layout="constrained")
    every = list(sized(figures))
    sizes = sorted({figure.printers or 0 for _, found in every for figure in found})
    for axes, (unit, name) in zip(drawing.subplots(len(AXES)), AXES, strict=True):
        for what, found in every:
            if found[0].unit is unit:
                _line(axes, what, found)
        axes.set(xscale="log", yscale="log", xlabel="printers", ylabel=name)
        axes.set_xticks(sizes, labels=[str(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.grid(visible=True, which="both", alpha=0.2)
        if axes.lines:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return drawing


def _line(axes: Axes, what: str, found: Sequence[Figure]) -> None:
    (line,) = axes.plot(*_points(found, "median"), marker="o", label=what)
    color = line.get_color()
    axes.plot(*_points(found, "p99"), marker=".", ls=":", color=color, alpha=0.7)
    axes.plot(*_points(found, "floor"), ls="--", color=color, alpha=0.7)


def _points(found: Sequence[Figure], of: str) -> tuple[list[int], list[float]]:
    """Numbers of printers, and the values where there are any."""
    points = [(figure.printers or 0, getattr(figure, of)) for figure in found]
    known = [point for point in points if point[1] is not None]
    return [printers for printers, _ in known], [value for _, value in known]


def _budgets(figures: Sequence[Figure]) -> Drawing:
    """How much of its limit each figure takes; a limit from below is turned around."""
    bars = [
        (_name(figure, limit.of), _share(figure.value(limit.of), limit.most, limit.least), figure)
        for figure in figures
        for limit in figure.limits
        if limit.most != 0
    ]
    drawing = Drawing(figsize=(9, 1 + 0.22 * len(bars)), layout="constrained")
    axes = drawing.subplots()
    axes.barh(
        [name for name, _, _ in bars],
        [share for _, share, _ in bars],
        color=[COLORS.get(figure.verdict, "tab:gray") for _, _, figure in bars],
    )
    axes.axvline(1.0, color="black", lw=1)
    axes.set(xlabel="share of the budget")
    axes.invert_yaxis()
    return drawing


def _name(figure: Figure, of: str) -> str:
    size = "" if figure.printers is None else f", {figure.printers} printers"
    return f"{figure.what}{size}" + ("" if of == "median" else f" ({of})")


def _share(value: float | None, most: float | None, least: float | None) -> float:
    if value is None:
        return 0.0
    return value / most if most else (least or 0.0) / value if value else float("inf")
