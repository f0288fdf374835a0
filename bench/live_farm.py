"""A coordinator with everything real around it, and printers that print one copy after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.figures import Figure, Limit, Unit, figure
from bench.scene import Scene
from bench.stopwatches import TIMEOUT_S, BusWatch, CommitWatch, PushWatch
from pms.bus import control
from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from pms.domain.states import PrinterState
from pms.errors import CoordinatorNotRunningError, RefusedError
from tests.support.coordinator import Coordinator
from tests.support.farm import Farm, Reachable
from tests.support.file_server import FileServer
from tests.support.gcode import dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

#: What PMS does by itself, not what the tests make it do.
SETTINGS = {"PMS_POLL_INTERVAL": "10", "PMS_LOG_LEVEL": "INFO"}
#: Often enough for figures of seconds; every question costs the coordinator something.
LOOK_INTERVAL_S = 0.1
PRINT_S = 0.3
DONE = "PrintFinished"


@dataclass(frozen=True)
class Latencies:
    """Of one copy, in seconds."""

    #: `JobPaid` published → OctoPrint says that it prints.
    start_s: float
    #: OctoPrint says that the print is done → the row is committed.
    row_s: float
    #: The same → the broker has confirmed `PrintFinished`, and that is committed too.
    told_s: float
    #: The same → OctoPrint says that it has written its history.
    history_s: float

    @property
    def end_s(self) -> float:
        """Until the last of what PMS has to do."""
        return max(self.row_s, self.told_s)


class Lanes:
    """Printers `lane0`, `lane1` ... of a model each, which eject their parts."""

    def __init__(self, farm: Farm, servers: Sequence[Reachable], stack: ExitStack) -> None:
        """The coordinator runs; gives the printers to it and waits for them."""
        self._farm = farm
        self._models = [farm.model(f"lane{number}") for number in range(len(servers))]
        self._ids = [
            farm.add_printer(f"lane{number}", server, model=f"lane{number}", autostart=True)
            for number, server in enumerate(servers)
        ]
        self._bus = BusWatch(farm)
        stack.callback(self._bus.close)
        self._commits = CommitWatch(farm.database)
        stack.callback(self._commits.close)
        self._pushes = [PushWatch(server) for server in servers]
        for push in self._pushes:
            stack.callback(push.close)
        farm.ask(control.Wake())
        for number in range(len(servers)):
            farm.wait_for_printer(f"lane{number}", "idle", "clear")

    def print_all(self, rounds: int) -> list[Latencies]:
        """So many copies on each, one after the other, on all of them at once."""
        numbers = range(len(self._ids))
        with ThreadPoolExecutor(max_workers=len(numbers)) as pool:
            taken = pool.map(lambda number: self._print_some(number, rounds), numbers)
            return [latencies for lane in taken for latencies in lane]

    def _print_some(self, number: int, rounds: int) -> list[Latencies]:
        return [self._print_one(number) for _ in range(rounds)]

    def _print_one(self, number: int) -> Latencies:
        """Print a copy, from its payment until the printer is free again."""
        push = self._pushes[number]
        gcode = dwelling_gcode(seconds=PRINT_S, m0=False)
        job = self._farm.add_job(gcode, model=self._models[number])
        push.times.clear()
        paid_at = publish_paid(self._farm, job)
        started_at = push.wait_for("PrintStarted")
        done_at = push.wait_for("PrintDone")
        row_at = self._commits.wait_for(f"job {job} print completed")
        told_at = self._commits.wait_for(f"job {job} told {DONE}")
        history_at = push.wait_for("MetadataStatisticsUpdated")
        self._commits.wait_for(f"job {job} completed")
        self._bus.wait_for(self._ids[number], PrinterState.IDLE, since=done_at)
        return Latencies(
            started_at - paid_at, row_at - done_at, told_at - done_at, history_at - done_at
        )


def publish_paid(farm: Farm, job: int) -> float:
    """Publish a job's `JobPaid`; gives the moment at which it is sent, monotonic seconds."""
    with farm.broker.channel() as channel:
        paid_at = time.monotonic()
        channel.basic_publish("JobPaid", "", b'{"JobId": %d}' % job)
    return paid_at


def end_figure(taken: Sequence[Latencies], *limits: Limit, printers: int | None = None) -> Figure:
    """How late PMS is at the end of a print."""
    return figure(
        "end of print → row committed and message confirmed",
        Unit.SECONDS,
        [latencies.end_s for latencies in taken],
        *limits,
        printers=printers,
        floor=figure("", Unit.SECONDS, [latencies.history_s for latencies in taken]).median,
        floor_is="OctoPrint's own event that its history is written",
    )


@contextmanager
def open_farm(scene: Scene, **settings: str) -> Iterator[Farm]:
    """OpenFarm without printers, and a coordinator that is not started yet."""
    with ExitStack() as stack:
        files = FileServer()
        files.start()
        stack.callback(files.stop)
        openfarm = stack.enter_context(OpenFarm(scene.database))
        environment = {**scene.database.environment, **scene.broker.environment}
        coordinator = Coordinator(scene.folder, {**environment, **files.environment})
        stack.callback(coordinator.close)
        farm = Farm(coordinator, scene.database, openfarm, scene.broker, files)
        coordinator.environment.update(SETTINGS | settings)
        yield farm


@contextmanager
def octoprints(scene: Scene, count: int) -> Iterator[list[OctoPrintServer]]:
    """So many real OctoPrints, whose printers are ready."""
    factory = OctoPrintFactory(find_octoprint(), scene.folder)
    try:
        yield factory(count)
    finally:
        factory.close()


@contextmanager
def lanes_on(farm: Farm, servers: Sequence[Reachable]) -> Iterator[Lanes]:
    """Lanes on these servers; the coordinator runs."""
    with ExitStack() as stack:
        yield Lanes(farm, servers, stack)


def cancel(farm: Farm, job: int, printer: str) -> None:
    """End a job's only print, and take what there is of it off the bed."""
    (copy,) = farm.openfarm.prints(job)
    farm.ask(control.Cancel(print_id=copy["id"]))
    farm.wait_for_prints(job, "cancelled")
    wait_until(
        lambda: bool(farm.ask(control.Clear(printer=printer))),
        TIMEOUT_S,
        f"{printer} to be cleared",
        interval_s=LOOK_INTERVAL_S,
        # The print has not quite ended yet.
        ignoring=(RefusedError,),
    )
    farm.wait_for_printer(printer, "idle", "clear")


def launch(farm: Farm, printers: int, state: PrinterState) -> float:
    """Start the coordinator; gives the seconds until all printers are known to be in `state`."""
    began = time.monotonic()
    farm.coordinator.launch()
    wait_for_states(farm, printers, state)
    return time.monotonic() - began


def wait_for_states(farm: Farm, printers: int, state: PrinterState) -> None:
    """Until so many printers are shown to be in this state."""

    def reached() -> bool:
        shown = farm.status()["printers"]
        return [printer["state"] for printer in shown].count(state) >= printers

    # A coordinator that starts many processes at once may not answer in time.
    ignoring = (CoordinatorNotRunningError,)
    what = f"{printers} printers {state}"
    wait_until(reached, TIMEOUT_S, what, interval_s=LOOK_INTERVAL_S, ignoring=ignoring)
