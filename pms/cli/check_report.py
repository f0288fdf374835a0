"""A check as it is printed: a few lines for each step, or one JSON value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.table import Table
from rich.text import Text

from pms.cli.output import show, visible
from pms.cli.probe_target import Target
from pms.probe.findings import WRONG, Result
from pms.probe.steps import StepResult
from pms.redaction import MASK

_STYLES = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.FAILED: "bold red",
    Result.SKIPPED: "dim",
}
_RESULT_WIDTH, _NAME_WIDTH, _TIME_WIDTH = 7, 24, 8


def is_well(results: Iterable[StepResult]) -> bool:
    """Whether nothing is wrong."""
    return not any(result.result in WRONG for result in results)


def as_json(target: Target, results: Sequence[StepResult]) -> dict[str, Any]:
    """The check for programs; this shape stays."""
    return {
        "printer": target.name,
        "address": _address(target),
        "ok": is_well(results),
        "steps": [asdict(result) for result in results],
    }


def show_check(target: Target, results: Iterable[StepResult]) -> list[StepResult]:
    """Show the steps as they come, with a verdict at the end, and give them."""
    name = f"{target.name}, " if target.name else ""
    show(Text(visible(f"{name}{_address(target) or 'no address'}"), style="bold"))
    shown: list[StepResult] = []
    for because, group in groupby(results, _left_out_because):
        if because is None:
            for result in group:
                _show_step(result)
                shown.append(result)
        else:
            left_out = list(group)
            _show_left_out(because, left_out)
            shown += left_out
    _show_verdict(shown)
    return shown


def _address(target: Target) -> str:
    """As it was entered, but for the user and the password that somebody may have put into it."""
    _, at, rest = target.address.rpartition("@")
    return f"{MASK}@{rest}" if at else rest


def _left_out_because(result: StepResult) -> str | None:
    """None: the step was taken."""
    return result.detail if result.duration_s is None else None


def _show_step(result: StepResult) -> None:
    """One step; what is wrong comes with its cause and its remedy."""
    assert result.duration_s is not None
    line = _grid(_RESULT_WIDTH, _NAME_WIDTH, _TIME_WIDTH)
    style, time = _STYLES[result.result], f"{result.duration_s * 1000:.0f} ms".rjust(_TIME_WIDTH)
    line.add_row(Text(result.result, style), result.name, time, visible(result.detail))
    show(line)
    if result.result in WRONG:
        reason = _grid(_RESULT_WIDTH, len("remedy"))
        reason.add_row("", Text("cause", "bold"), visible(result.cause))
        reason.add_row("", Text("remedy", "bold"), visible(result.remedy))
        show(reason)


def _show_left_out(because: str, results: Sequence[StepResult]) -> None:
    """In few lines, lest what has failed leaves the screen."""
    line = _grid(_RESULT_WIDTH)
    names = ", ".join(result.name for result in results)
    line.add_row(Text(Result.SKIPPED, "dim"), Text(f"{because}: {names}", "dim"))
    show(line)


def _show_verdict(results: Sequence[StepResult]) -> None:
    wrong = [result.name for result in results if result.result in WRONG]
    if wrong:
        show(Text(f"something is wrong: {', '.join(wrong)}", style="bold red"))
    else:
        show(Text("all is well", style="bold green"))


def _grid(*widths: int) -> Table:
    """Columns of fixed widths, and one for the rest of the line."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    for width in widths:
        grid.add_column(width=width)
    grid.add_column(overflow="fold")
    return grid
