"""In which order `watch` lists printers, and which of them it only counts."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from enum import StrEnum

from pms.cli.farm_view import Printer
from pms.domain.states import Bed, PrinterState

#: Behind every number and every known time.
_LAST = 1 << 31


class Order(StrEnum):
    """In which order printers are listed; the value says it to a person."""

    URGENCY = "what needs attention first"
    TIME_LEFT = "time left"
    NAME = "name, idle ones too"


def in_order(
    printers: Sequence[Printer], order: Order, needs_attention: Container[int]
) -> list[Printer]:
    """The printers that are listed; those that are idle or disabled only by name."""
    if order is Order.NAME:
        return sorted(printers, key=natural)
    listed = [p for p in printers if p["id"] in needs_attention or not _is_calm(p)]
    if order is Order.TIME_LEFT:
        return sorted(listed, key=lambda p: (_minutes_left(p), natural(p)))
    return sorted(
        listed,
        key=lambda p: (urgency(p, p["id"] in needs_attention), _minutes_left(p), natural(p)),
    )


def _is_calm(printer: Printer) -> bool:
    if printer["state"] == PrinterState.DISABLED:
        return True
    return bool(printer["state"] == PrinterState.IDLE and printer["bed"] == Bed.CLEAR)


#: The lower, the sooner a person should look; what is not here prints or is about to.
_URGENCY = {
    PrinterState.ERROR: 0,
    PrinterState.SUSPENDED: 0,
    PrinterState.UNAUTHORIZED: 0,
    PrinterState.FINISHED: 1,
    PrinterState.IDLE: 1,
    PrinterState.PAUSED: 1,
    PrinterState.UNREACHABLE: 2,
    PrinterState.DISCONNECTED: 2,
    PrinterState.PRINTING: 3,
}


def urgency(printer: Printer, needs_attention: bool) -> int:
    """How soon a person should look; 0 is now."""
    return 0 if needs_attention else _URGENCY.get(printer["state"], 4)


def _minutes_left(printer: Printer) -> float:
    """Estimates jitter by seconds, and rows should not change places for that."""
    left: float | None = printer["eta_s"]
    return float("inf") if left is None else left // 60


def natural(printer: Printer) -> list[tuple[int, str]]:
    """A key that puts mk4-2 before mk4-10."""
    parts = re.findall(r"\d+|\D+", printer["name"])
    return [(int(part), "") if part.isdecimal() else (_LAST, part) for part in parts]
