"""Aligned columns of text, each row one line.

A table library lays out every cell several times, which is too slow for a farm of hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

GAP = 2
NARROWEST = 3


class Cell(NamedTuple):
    """What stands in one column of one row, on one line and without control characters."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """What stands above the cells, and on which side these are aligned."""

    title: str
    right: bool = False


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """The titles and a line for each row, none wider than `width`.

    Where there is too little room the widest columns give way; what is cut ends in an ellipsis.
    """
    natural = [
        max([cell_len(column.title), *(cell_len(row[index].text) for row in rows)])
        for index, column in enumerate(columns)
    ]
    widths = fit(natural, width - GAP * (len(columns) - 1))
    titles = [Cell(column.title, "bold") for column in columns]
    return [_line(columns, row, widths) for row in (titles, *rows)]


def fit(natural: Sequence[int], available: int) -> list[int]:
    """The widths of columns that share what is available: the widest ones give way."""
    limit = max(natural, default=0)
    while limit > NARROWEST and sum(min(each, limit) for each in natural) > available:
        limit -= 1
    return [min(each, limit) for each in natural]


def cut(text: str, width: int) -> str:
    """The text, with an ellipsis at its end if it is too long."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"[:width]


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for column, cell, width in zip(columns, row, widths, strict=True):
        text = cut(cell.text, width)
        padding = " " * (width - cell_len(text))
        line.append(padding + text if column.right else text, cell.style)
        line.append((" " * GAP) if column.right else padding + " " * GAP)
    line.rstrip()
    return line
