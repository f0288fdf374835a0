"""One round of scheduling; its floor is one pass over the copies and the printers."""

from __future__ import annotations

from bench.figures import Figure, compare
from pms.domain.scheduling import Need, PrinterView, WaitingPrint, schedule
from pms.domain.states import Bed, PrinterState

MODELS = 5
MATERIALS = 7


def farm(printers: int) -> list[PrinterView]:
    """Half of the beds are free."""
    return [
        PrinterView(
            printer_id=number,
            model_id=number % MODELS,
            model=f"model {number % MODELS}",
            materials=frozenset({number % MATERIALS}),
            state=PrinterState.IDLE,
            bed=Bed.CLEAR if number % 2 else Bed.OCCUPIED,
        )
        for number in range(printers)
    ]


def queue(copies: int) -> list[WaitingPrint]:
    """Jobs of three copies, for all models and materials."""
    return [
        WaitingPrint(
            print_id=number,
            job_id=number // 3,
            need=Need((number // 3) % MODELS, (number // 3) % MATERIALS),
        )
        for number in range(copies)
    ]


def run(*, quick: bool) -> list[Figure]:
    """The largest farm of the budget, and a tenth of it to see the growth."""
    rounds = 10 if quick else 50
    return [_measure(1_000, 100, rounds, ""), _measure(10_000, 1_000, rounds, "50 ms")]


def _measure(copies: int, printers: int, rounds: int, budget: str) -> Figure:
    waiting, views = queue(copies), farm(printers)

    def pass_over() -> list[int]:
        return [copy.print_id for copy in waiting] + [view.printer_id for view in views]

    return compare(
        f"scheduling, {copies} waiting, {printers} printers",
        lambda: schedule(waiting, views),
        pass_over,
        rounds=rounds,
        budget=budget,
    )
