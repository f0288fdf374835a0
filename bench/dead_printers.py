"""What 54 dead printers cost 2 live ones; the floor is the same without the dead ones.

Both are measured in turns, first without, twice with, then without them again, so that whatever
else happens on the machine meanwhile hits both alike.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.figures import Figure, Unit, at_most, figure, quantile, ratio_interval
from bench.live_farm import Latencies, lanes_on, octoprints, open_farm
from bench.scene import Scene
from bench.stopwatches import TIMEOUT_S
from bench.usage import cores_used
from pms.bus import control
from pms.demo.octoprint_server import OctoPrintServer
from pms.errors import CoordinatorNotRunningError
from tests.support.farm import Farm
from tests.support.ports import HOST, free_port
from tests.support.processes import process_tree
from tests.support.waiting import wait_until

LIVE = 2
BUDGET = 1.10


@dataclass
class Arm:
    """What was measured with the dead printers, or without them."""

    #: Of each turn.
    turns: list[list[Latencies]] = field(default_factory=list)
    #: Processor cores that PMS used while it had nothing to print.
    cores: list[float] = field(default_factory=list)

    def of(self, what: Callable[[Latencies], float]) -> list[list[float]]:
        """One of the latencies, turn by turn."""
        return [[what(copy) for copy in turn] for turn in self.turns]


def run(scene: Scene) -> Iterator[Figure]:
    """Live printers are real, dead ones are addresses."""
    turns, rounds = scene.scale.pick((6, 4), (1, 2), (1, 1))
    dead = scene.scale.pick(54, 54, 4)
    rest_s = scene.scale.pick(2.0, 1.0, 0.2)
    without, beside = Arm(), Arm()
    with open_farm(scene) as farm, octoprints(scene, LIVE) as servers, _addresses(dead) as dead_at:
        farm.start()
        with lanes_on(farm, servers) as lanes:
            lanes.print_all(1)
            for _ in range(turns):
                without.turns.append(lanes.print_all(rounds))
                with _dead_printers(farm, servers[0], dead_at):
                    beside.turns.append(lanes.print_all(2 * rounds))
                    beside.cores.append(_cores_at_rest(farm, rest_s))
                without.turns[-1] += lanes.print_all(rounds)
                without.cores.append(_cores_at_rest(farm, rest_s))
    yield _figure("JobPaid → printing", lambda copy: copy.start_s, without, beside)
    yield _figure("end of print → row and message", lambda copy: copy.end_s, without, beside)
    yield _cores(dead, without, beside)


def _figure(name: str, what: Callable[[Latencies], float], without: Arm, beside: Arm) -> Figure:
    taken, floor = (sorted(itertools.chain(*arm.of(what))) for arm in (beside, without))
    return Figure(
        what=f"{name}: with dead printers ÷ without",
        unit=Unit.TIMES,
        median=median(taken) / median(floor),
        interval=ratio_interval(beside.of(what), without.of(what)),
        samples=len(taken),
        limits=(at_most(BUDGET),),
        note=f"medians {median(taken) * 1000:.0f} and {median(floor) * 1000:.0f} ms, 99th "
        f"{quantile(taken, 0.99) * 1000:.0f} and {quantile(floor, 0.99) * 1000:.0f} ms",
    )


def _cores(dead: int, without: Arm, beside: Arm) -> Figure:
    return figure(
        f"at rest with {dead} dead printers",
        Unit.CORES,
        beside.cores,
        floor=median(without.cores),
        floor_is="without them",
    )


def _cores_at_rest(farm: Farm, seconds: float) -> float:
    return cores_used(lambda: process_tree(farm.coordinator.pid), seconds)


@contextmanager
def _addresses(count: int) -> Iterator[list[str]]:
    """Half refuse a connection; of the rest, half take it and stay silent, half do not answer."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(count // 2)]
        for number in range(count - len(ports)):
            listener = stack.enter_context(socket.socket())
            listener.bind((HOST, 0))
            listener.listen(0 if number % 2 else 1000)
            ports.append(listener.getsockname()[1])
            for _ in range(4 if number % 2 else 0):
                # Fills the queue, after which nothing is answered.
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        yield [f"http://{HOST}:{port}" for port in ports]


@contextmanager
def _dead_printers(farm: Farm, like: OctoPrintServer, addresses: list[str]) -> Iterator[None]:
    """In the table and tried by their processes for the time of the block."""
    before = len(process_tree(farm.coordinator.pid))
    ids = [
        # Of a live one's model: they have to be passed over for every copy.
        farm.add_printer(f"dead{number}", like, address=address, model="lane0", autostart=True)
        for number, address in enumerate(addresses)
    ]
    _wait_for_dead(farm, len(ids))
    yield
    for printer_id in ids:
        farm.openfarm.delete("printers", printer_id)
    _wait_for_dead(farm, 0)
    wait_until(
        lambda: len(process_tree(farm.coordinator.pid)) == before, TIMEOUT_S, "the processes' end"
    )


def _wait_for_dead(farm: Farm, count: int) -> None:
    """Until the coordinator has so many beside the live ones, and knows that they are dead."""
    farm.ask(control.Wake())

    def all_known() -> bool:
        printers = farm.status()["printers"]
        dead = [printer for printer in printers if printer["state"] == "unreachable"]
        return (len(printers), len(dead)) == (count + LIVE, count)

    # While it starts so many processes at once, the coordinator may not answer in time.
    ignoring = (CoordinatorNotRunningError,)
    wait_until(all_known, TIMEOUT_S, f"{count} dead printers", interval_s=0.2, ignoring=ignoring)
