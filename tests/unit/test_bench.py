"""The figures of the benchmarks: statistics, verdicts, growth, tables."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.figures import (
    Figure,
    Limit,
    Unit,
    Verdict,
    at_least,
    at_most,
    figure,
    quantile,
    ratio_interval,
)
from bench.growth import growth
from bench.report import BEGIN, END, PAGE, Results, cells, merge, shown, write
from bench.rows import chosen, rows
from bench.run import Measured
from bench.scene import Scale

FRAME = f"above\n{BEGIN}\n{END}\nbelow\n"
S, M, C = Unit.SECONDS, Unit.MEBIBYTES, Unit.CORES


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        (at_most(2.0), Verdict.MET),
        (at_most(1.9), Verdict.MISSED),
        (at_least(2.0), Verdict.MET),
        (at_least(2.1), Verdict.MISSED),
        (at_most(9.0, "p99"), Verdict.MET),
        (at_most(8.9, "p99"), Verdict.MISSED),
        (at_most(8.9, "highest"), Verdict.MISSED),
        (at_most(0.5, "ratio"), Verdict.MET),
        (at_most(0.4, "ratio"), Verdict.MISSED),
    ],
)
def test_one_limit(limit: Limit, verdict: Verdict) -> None:
    assert figure("x", S, [9.0, 1.0, 2.0], limit, floor=4.0).verdict is verdict


def test_the_worst_of_several_limits_counts() -> None:
    limits = (at_most(3.0), at_most(5.0, "p99"))
    assert figure("x", S, [1.0, 2.0, 9.0], *limits).verdict is Verdict.MISSED


def test_no_limit_no_verdict() -> None:
    assert figure("x", S, [1.0]).verdict is Verdict.NONE


def test_a_limit_about_what_was_not_measured_is_missed() -> None:
    assert figure("x", S, [1.0], at_most(9.0, "ratio")).verdict is Verdict.MISSED


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.9, 1.1), Verdict.MET),
        ((0.9, 1.2), Verdict.OPEN),
        ((1.2, 1.3), Verdict.MISSED),
    ],
)
def test_an_interval_has_to_be_within_the_limit(
    interval: tuple[float, float], verdict: Verdict
) -> None:
    taken = figure("x", Unit.TIMES, [1.0], at_most(1.1), interval=interval)
    assert taken.verdict is verdict


def test_quantiles_are_values_that_were_measured() -> None:
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1, 3, 4]


def test_the_interval_holds_the_ratio_and_narrows_with_more_samples() -> None:
    few = ratio_interval([[2.0, 2.4, 1.8]] * 2, [[1.0, 1.2, 0.9]] * 2)
    many = ratio_interval([[2.0, 2.4, 1.8] * 20] * 10, [[1.0, 1.2, 0.9] * 20] * 10)
    assert few[0] < many[0] <= 2.0 <= many[1] < few[1]


def sized(what: str, unit: Unit, **medians: float) -> list[Figure]:
    """Figures of farms of some sizes: `of50=1.0`."""
    return [
        figure(what, unit, [median], printers=int(size.removeprefix("of")))
        for size, median in medians.items()
    ]


@pytest.mark.parametrize(
    ("figures", "grown"),
    [
        (sized("all", C, of10=0.1, of50=0.2, of500=2.0), 1.0),
        (sized("all", M, of50=100.0, of500=500.0), 0.5),
        (sized("memory of a worker", M, of50=10.0, of500=8.0), 0.8),
        (sized("late", S, of50=0.1, of500=0.2), 2.0),
        # A shorter run.
        (sized("all", C, of10=0.1, of50=0.6), 1.2),
    ],
)
def test_growth(figures: list[Figure], grown: float) -> None:
    (found,) = growth(figures)
    assert found.median == pytest.approx(grown)


def test_a_growth_is_told_beside_that_of_its_floor() -> None:
    few = figure("late", S, [0.1], printers=50, floor=0.05, floor_is="by hand")
    many = figure("late", S, [0.2], printers=500, floor=0.06, floor_is="by hand")
    (found,) = growth([few, many])
    assert found.note == "from 50 to 500 printers; that of the floor is 1.20"


def test_growth_needs_two_sizes_and_a_cost_or_a_latency() -> None:
    assert growth(sized("all", C, of50=1.0)) == []
    assert growth(sized("missed", Unit.COUNT, of50=0.0, of500=0.0)) == []
    assert growth([figure("all", C, [1.0])]) == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, S, ""),
        (0.0123, S, "12.3 ms"),
        (12.3456, S, "12.3 s"),
        (1234.5, Unit.PER_SECOND, "1,234 a second"),
        (7.891, M, "7.89 MiB"),
        (3.0, Unit.COUNT, "3"),
        (1.234, Unit.TIMES, "1.23"),
    ],
)
def test_values_in_words(value: float | None, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text


def test_a_row_of_the_table() -> None:
    limits = (at_most(0.5), at_most(1.5, "ratio"))
    taken = figure("late", S, [0.1, 0.2, 0.3], *limits, floor=0.1, floor_is="curl", printers=5)
    assert cells(taken) == [
        "late (3 samples)",
        "5",
        "200 ms",
        "300 ms",
        "100 ms (curl)",
        "2.00",
        "≤ 500 ms, ÷ floor ≤ 1.50",
        "missed",
    ]


def test_a_name_stands_for_all_its_sizes() -> None:
    assert [row.name for row in chosen(Scale.FULL, ["idle"])] == [
        "idle-10",
        "idle-50",
        "idle-200",
        "idle-500",
    ]
    assert [row.name for row in chosen(Scale.FULL, ["idle-50"])] == ["idle-50"]
    assert chosen(Scale.QUICK, []) != []


def test_an_unknown_row_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no row nothing; there are scheduling, "):
        chosen(Scale.FULL, ["nothing"])


@pytest.mark.parametrize("scale", Scale)
def test_names_are_unique(scale: Scale) -> None:
    names = [row.name for row in rows(scale)]
    assert len(names) == len(set(names))


def results(**rows: str) -> Results:
    """Of rows with these errors."""
    measured = [
        Measured(row=row, date="now", seconds=1.0, figures=[], error=error)
        for row, error in rows.items()
    ]
    return Results(scale=Scale.FULL, machine={"processor": "a computer"}, rows=measured)


def test_rows_measured_anew_are_laid_over_those_that_are_there(tmp_path: Path) -> None:
    write(results(start="gone", end=""), tmp_path, FRAME)
    assert merge(results(start="", load=""), tmp_path) == results(start="", end="", load="")


def test_rows_of_another_machine_are_not_kept(tmp_path: Path) -> None:
    other = msgspec.structs.replace(results(end=""), machine={"processor": "another"})
    write(other, tmp_path, FRAME)
    assert merge(results(start=""), tmp_path) == results(start="")


def test_the_page_keeps_its_frame(tmp_path: Path) -> None:
    write(results(start="gone"), tmp_path, FRAME)
    once = (tmp_path / PAGE).read_text(encoding="utf-8")
    write(results(start="gone"), tmp_path, once)

    assert (tmp_path / PAGE).read_text(encoding="utf-8") == once
    assert once.startswith("above\n")
    assert once.endswith("\nbelow\n")
    assert "| start | now | 1 s | gone |" in once
