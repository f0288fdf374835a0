"""A round of scheduling: reads the queue and the printers, claims, and says why others wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pms.coordinator.farm import Farm, attempts_by_printer, view
from pms.domain.scheduling import MaterialMatch, PrinterView, schedule
from pms.store import attempts, printers, queue
from pms.store.attempts import Attempt


@dataclass(frozen=True, slots=True)
class Round:
    """New attempts, and for every other startable print why it waits."""

    claimed: list[Attempt]
    reasons: dict[int, str]


def assign(
    connection: Connection, farm: Farm, material_match: MaterialMatch, now: datetime
) -> Round:
    """Give waiting copies to free printers, in the caller's transaction."""
    waiting = queue.read(connection, now).startable
    if not waiting:
        return Round([], {})
    plan = schedule(waiting, views(connection, farm, now), material_match)
    claimed = [attempts.claim(connection, chosen, now) for chosen in plan.assignments]
    return Round(claimed, plan.reasons)


def views(connection: Connection, farm: Farm, now: datetime) -> list[PrinterView]:
    """Every printer as scheduling sees it."""
    busy = attempts_by_printer(attempts.live(connection))
    rows = printers.all_printers(connection)
    return [view(row, farm[row.id], row.id in busy, now) for row in rows]
