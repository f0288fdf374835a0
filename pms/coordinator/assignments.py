"""A round of scheduling: reads the queue and the printers, claims, and says why others wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pms.coordinator.farm import Farm, LivePrinter, view
from pms.domain.capacity import Limits, admit
from pms.domain.demands import ON_THE_WAY, Demands, Heater, Sight
from pms.domain.scheduling import MaterialMatch, PrinterView, schedule
from pms.domain.states import LIVE_STATES
from pms.store import attempts, printers, queue
from pms.store.attempts import Attempt, InHand
from pms.store.printers import PrinterRow


@dataclass(frozen=True, slots=True)
class Round:
    """New attempts, and for every other startable print why it waits.

    No reasons: nobody has looked for them.
    """

    claimed: list[Attempt]
    reasons: dict[int, str] | None


def views(
    rows: Iterable[PrinterRow], farm: Farm, in_hand: Iterable[InHand], at: datetime
) -> list[PrinterView]:
    """Printers as scheduling sees them; `in_hand` are the attempts that are not over."""
    busy = {attempt.printer_id for attempt in in_hand}
    return [view(row, farm[row.id], row.id in busy, at) for row in rows]


class Assigner:
    """Gives waiting copies to free printers; remembers between rounds how attempts get on."""

    def __init__(
        self, farm: Farm, material_match: MaterialMatch, limits: Limits, still_after_s: float
    ) -> None:
        """A transfer that has not moved for `still_after_s` holds up no other."""
        self._farm = farm
        self._material_match = material_match
        self._limits = limits
        self._demands = Demands(still_after_s)
        #: Attempts that may count against the limits.
        self._counted = ON_THE_WAY if limits.heating is None else LIVE_STATES

    def assign(
        self, connection: Connection, now: float, at: datetime, *, thorough: bool = True
    ) -> Round:
        """One round, in the caller's transaction; `now` in monotonic seconds, `at` is the same.

        Of the printers it reads those that are free, unless copies are left over and it is to be
        `thorough`: why they wait has to do with every printer.
        """
        free = printers.free(connection).intersection(self._farm.idle())
        if not (free or thorough):
            return Round([], None)
        waiting = queue.read(connection, at).startable
        if not waiting:
            return Round([], {})
        chosen = views(printers.some(connection, free), self._farm, (), at)
        plan = schedule(waiting, chosen, self._material_match)
        told = thorough or not plan.reasons
        if plan.reasons and thorough:
            plan = schedule(waiting, self._all_views(connection, at), self._material_match)
        counted = attempts.in_hand(connection, self._counted)
        demand = self._demands.follow(self._sights(counted, at), now)
        admission = admit(plan.assignments, self._limits, demand)
        claimed = [attempts.claim(connection, one, at) for one in admission.admitted]
        return Round(claimed, admission.reasons | plan.reasons if told else None)

    def _all_views(self, connection: Connection, at: datetime) -> list[PrinterView]:
        rows, in_hand = printers.all_printers(connection), attempts.in_hand(connection)
        return views(rows, self._farm, in_hand, at)

    def _sights(self, in_hand: list[InHand], at: datetime) -> Iterator[Sight]:
        for attempt in in_hand:
            printer = self._farm[attempt.printer_id]
            began_at = attempt.starting_at or attempt.started_at
            yield Sight(
                attempt_id=attempt.id,
                job_id=attempt.job_id,
                state=attempt.state,
                bytes_moved=_bytes_moved(printer),
                age_s=(at - began_at).total_seconds() if began_at else 0.0,
                heaters=[
                    Heater(heater.actual, heater.target or 0.0)
                    for heater in printer.heaters.values()
                    if heater.actual is not None
                ],
            )


def _bytes_moved(printer: LivePrinter) -> int | None:
    moving = printer.transfer
    return None if moving is None else moving.bytes_fetched + moving.bytes_sent
