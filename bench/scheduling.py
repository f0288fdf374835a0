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
    figures = []
    for copies, printers in ((1_000, 100), (10_000, 1_000)):
        waiting, views = queue(copies), farm(printers)
        figure = compare(
            f"scheduling, {copies} waiting, {printers} printers",
            lambda waiting=waiting, views=views: schedule(waiting, views),
            lambda waiting=waiting, views=views: (
                [w.print_id for w in waiting] + [v.printer_id for v in views]
            ),
            rounds=10 if quick else 50,
            budget="50 ms" if printers == 1_000 else "",
        )
        figures.append(figure)
    return figures
