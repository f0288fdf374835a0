"""One round of scheduling; its floor is one pass over the copies and the printers."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, Limit, at_most, compare
from bench.scene import Scene
from pms.domain.scheduling import Need, PrinterView, WaitingPrint, schedule
from pms.domain.states import Bed, PrinterState

MODELS = 5
MATERIALS = 7
BUDGET_S = 0.050


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


def run(scene: Scene) -> Iterator[Figure]:
    """The largest farm of the budget, and a tenth of it to see the growth."""
    rounds = scene.scale.pick(100, 20, 2)
    yield _measure(1_000, 100, rounds)
    yield _measure(10_000, 1_000, rounds, at_most(BUDGET_S))


def _measure(copies: int, printers: int, rounds: int, *limits: Limit) -> Figure:
    waiting, views = queue(copies), farm(printers)

    def pass_over() -> list[int]:
        return [copy.print_id for copy in waiting] + [view.printer_id for view in views]

    return compare(
        f"one scheduling round, {copies:,} waiting, {printers:,} printers",
        lambda: schedule(waiting, views),
        pass_over,
        *limits,
        rounds=rounds,
        floor_is="one pass over both",
    )
