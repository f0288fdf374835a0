"""A farm that prints, on simulated printers: what it costs, how late it is, how soon it is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median

from bench import curl
from bench.figures import Figure, Limit, Unit, at_most, figure
from bench.live_farm import (
    PRINT_S,
    end_figure,
    lanes_on,
    launch,
    open_farm,
    publish_paid,
)
from bench.scene import Scene
from bench.stopwatches import TIMEOUT_S, BusWatch, PushWatch
from bench.usage import cores_used, pss_mib
from pms.domain.states import PrinterState
from tests.support.farm import Farm
from tests.support.gcode import dwelling_gcode, moves
from tests.support.processes import process_tree
from tests.support.simulator import SimulatedPrinter, simulator
from tests.support.waiting import wait_until

#: Beside those that print all the time: so many for PMS, and so many for the floor.
LANES = 4
FILE_BYTES = 600_000
#: Bytes a second, so that the prints outlast the row.
SPEED = 1_000
#: The budgets are for so many.
BUDGET_PRINTERS = 50
CORES, MEMORY_MIB, WORKER_S, COORDINATOR_S, STATUS_S = 0.2, 450.0, 1.0, 5.0, 0.2


def run(scene: Scene, printers: int) -> Iterator[Figure]:
    """One job prints on all of them but the lanes, which come later, for the latencies."""
    options = ("--speed", str(SPEED))
    with (
        simulator(scene.folder, *options, printers=printers + 2 * LANES) as simulated,
        open_farm(scene) as farm,
    ):
        crowd, spare = simulated.printers[:printers], simulated.printers[printers:]
        ids = [farm.add_printer(f"busy{server.number}", server) for server in crowd]
        launch(farm, printers, PrinterState.IDLE)
        yield _started(farm, printers)
        yield from _usage(scene, farm, printers)
        yield from _latencies(scene, farm, spare, printers)
        yield _answers(farm, scene.scale.pick(50, 10, 2), printers)
        yield _worker_killed(farm, ids[: scene.scale.pick(30, 5, 1)], printers)
        rounds = scene.scale.pick(2, 1, 1)
        yield _coordinator_killed(farm, rounds, printers)


def _limits(printers: int, *wanted: Limit) -> Sequence[Limit]:
    return wanted if printers == BUDGET_PRINTERS else ()


def _started(farm: Farm, printers: int) -> Figure:
    job = farm.add_job(moves(FILE_BYTES), copies=printers)
    began = publish_paid(farm, job)
    wait_until(
        lambda: farm.openfarm.print_statuses(job) == ["printing"] * printers,
        TIMEOUT_S,
        f"{printers} printers printing",
        interval_s=0.05,
    )
    seconds = time.monotonic() - began
    what = "JobPaid published → a copy prints on every printer"
    return figure(what, Unit.SECONDS, [seconds], printers=printers)


def _usage(scene: Scene, farm: Farm, printers: int) -> Iterator[Figure]:
    def processes() -> list[int]:
        return process_tree(farm.coordinator.pid)

    time.sleep(scene.scale.pick(4.0, 1.0, 0.2))
    cores = cores_used(processes, scene.scale.pick(15.0, 3.0, 0.5))
    limits = _limits(printers, at_most(CORES))
    yield figure("printing printers, in all", Unit.CORES, [cores], *limits, printers=printers)
    yield figure(
        "printing printers, memory in all",
        Unit.MEBIBYTES,
        [pss_mib(processes())],
        *_limits(printers, at_most(MEMORY_MIB)),
        printers=printers,
        note=f"coordinator {pss_mib([farm.coordinator.pid]):.0f} MiB",
    )


def _latencies(
    scene: Scene, farm: Farm, servers: Sequence[SimulatedPrinter], printers: int
) -> Iterator[Figure]:
    floor = _by_hand(scene, farm, servers[LANES:])
    with lanes_on(farm, servers[:LANES]) as lanes:
        lanes.print_all(1)
        taken = lanes.print_all(scene.scale.pick(25, 3, 1))
    starts = [latencies.start_s for latencies in taken]
    what = "JobPaid published → printing, beside those that print"
    yield figure(
        what,
        Unit.SECONDS,
        starts,
        printers=printers,
        floor=median(floor),
        floor_is="download, upload and start with three calls of curl",
    )
    yield end_figure(taken, printers=printers)


def _by_hand(scene: Scene, farm: Farm, servers: Sequence[SimulatedPrinter]) -> list[float]:
    """The same beside the same crowd, on all of these at once, without PMS: seconds until told."""
    job = farm.openfarm.add_job(paid=False)
    farm.file_server.put(job, dwelling_gcode(seconds=PRINT_S, m0=False))
    url = f"{farm.file_server.base_url}/api/gcode/{job}"
    # The first one pays for what is loaded once.
    rounds = 1 + scene.scale.pick(5, 3, 1)

    def print_some(server: SimulatedPrinter) -> list[float]:
        with closing(PushWatch(server)) as push:
            return [
                _start_by_hand(
                    server, push, url, f"by-hand-{server.number}-{turn}.gcode", scene.folder
                )
                for turn in range(rounds)
            ]

    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        return [taken for lane in pool.map(print_some, servers) for taken in lane[1:]]


def _start_by_hand(
    server: SimulatedPrinter, push: PushWatch, url: str, name: str, folder: Path
) -> float:
    push.times.clear()
    began = time.monotonic()
    curl.start(server, url, name, folder)
    started_at = push.wait_for("PrintStarted")
    push.wait_for("PrintDone")
    server.wait_state("Operational")
    return started_at - began


def _answers(farm: Farm, rounds: int, printers: int) -> Figure:
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        farm.status()
        taken.append(time.monotonic() - began)
    return figure(
        "answer to `status`", Unit.SECONDS, taken, at_most(STATUS_S, "highest"), printers=printers
    )


def _worker_killed(farm: Farm, ids: Sequence[int], printers: int) -> Figure:
    pids = {printer["id"]: printer["worker_pid"] for printer in farm.status()["printers"]}
    bus = BusWatch(farm)
    # From here on it hears everybody.
    wait_until(lambda: len(bus.longest_silences()) >= printers, TIMEOUT_S, "all heartbeats")
    taken = []
    for printer_id in ids:
        began = time.monotonic()
        os.kill(pids[printer_id], signal.SIGKILL)
        taken.append(bus.wait_for(printer_id, PrinterState.PRINTING, since=began) - began)
    bus.close()
    what = "worker SIGKILL while printing → state known again"
    return figure(
        what, Unit.SECONDS, taken, *_limits(printers, at_most(WORKER_S)), printers=printers
    )


def _coordinator_killed(farm: Farm, rounds: int, printers: int) -> Figure:
    taken = []
    for _ in range(rounds):
        farm.coordinator.kill()
        taken.append(launch(farm, printers, PrinterState.PRINTING))
    return figure(
        "coordinator SIGKILL while all print → all known again after its start",
        Unit.SECONDS,
        taken,
        *_limits(printers, at_most(COORDINATOR_S, "highest")),
        printers=printers,
    )
