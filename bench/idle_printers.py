"""A farm that has nothing to print, on simulated printers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench.bare_children import bare_child_mib
from bench.figures import Figure, Limit, Unit, at_most, figure
from bench.live_farm import launch, open_farm
from bench.scene import Scene
from bench.stopwatches import BusWatch
from bench.usage import cores_used, pss_mib
from pms.domain.liveness import HEARTBEAT_TIMEOUT_S
from pms.domain.states import PrinterState
from tests.support.farm import Farm
from tests.support.processes import process_tree
from tests.support.simulator import simulator

#: The budget is for so many.
BUDGET_PRINTERS = 500
READY_S, CORES, WORKER_MIB = 15.0, 0.25, 8.0


def run(scene: Scene, printers: int) -> Iterator[Figure]:
    """From the start of the coordinator on."""
    floor_mib = bare_child_mib(printers)

    def limits(*wanted: Limit) -> Sequence[Limit]:
        return wanted if printers == BUDGET_PRINTERS else ()

    with simulator(scene.folder, printers=printers) as simulated, open_farm(scene) as farm:
        for server in simulated.printers:
            farm.add_printer(f"idle{server.number}", server, autostart=True)
        yield figure(
            "start of the coordinator → all printers idle",
            Unit.SECONDS,
            [launch(farm, printers, PrinterState.IDLE)],
            *limits(at_most(READY_S)),
            printers=printers,
        )
        time.sleep(scene.scale.pick(5.0, 1.0, 0.2))
        cores = cores_used(lambda: _processes(farm), scene.scale.pick(15.0, 3.0, 0.5))
        yield figure(
            "idle printers, in all", Unit.CORES, [cores], *limits(at_most(CORES)), printers=printers
        )
        yield from _memory(farm, printers, floor_mib, limits(at_most(WORKER_MIB)))
        yield _heartbeats(farm, printers, scene.scale.pick(8.0, 2.0, 1.5))


def _processes(farm: Farm) -> list[int]:
    return process_tree(farm.coordinator.pid)


def _memory(
    farm: Farm, printers: int, floor_mib: float, limits: Sequence[Limit]
) -> Iterator[Figure]:
    workers = [printer["worker_pid"] for printer in farm.status()["printers"]]
    yield figure(
        "idle printers, memory of a worker",
        Unit.MEBIBYTES,
        [pss_mib(workers) / printers],
        *limits,
        printers=printers,
        floor=floor_mib,
        floor_is="a bare child of a fork server with the same imports",
    )
    yield figure(
        "idle printers, memory in all",
        Unit.MEBIBYTES,
        [pss_mib(_processes(farm))],
        printers=printers,
        note=f"coordinator {pss_mib([farm.coordinator.pid]):.0f} MiB",
    )


def _heartbeats(farm: Farm, printers: int, seconds: float) -> Figure:
    """Of the whole row, and how long any process was silent at most in the last `seconds`."""
    bus = BusWatch(farm)
    time.sleep(seconds)
    silences = bus.longest_silences()
    bus.close()
    missed = sum(silence > HEARTBEAT_TIMEOUT_S for silence in silences)
    missed += printers - len(silences) + len(farm.log_lines("worker_hangs"))
    return figure(
        "idle printers, missed heartbeats",
        Unit.COUNT,
        [missed],
        at_most(0),
        printers=printers,
        note=f"longest silence {max(silences, default=seconds):.1f} s, hung from "
        f"{HEARTBEAT_TIMEOUT_S:g} s on",
    )
