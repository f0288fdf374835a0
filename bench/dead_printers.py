"""What 54 dead printers cost 2 live ones; the floor is the same without the dead ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from bench.figures import Figure, percentile_99
from bench.live_farm import TIMEOUT_S, Latencies, LiveFarm, live_farm
from pms.errors import CoordinatorNotRunningError
from tests.support.ports import HOST, free_port
from tests.support.waiting import wait_until

LIVE, DEAD = 2, 54
REST_S = 5.0
BUDGET = "1.10"


@dataclass
class Arm:
    """What was measured with the dead printers, or without them."""

    copies: list[Latencies] = field(default_factory=list)
    #: Processor cores that PMS used while it had nothing to print.
    cores: list[float] = field(default_factory=list)

    def seconds(self, what: Literal["start_s", "end_s"]) -> list[float]:
        """One of the latencies of all copies, sorted."""
        return sorted(getattr(copy, what) for copy in self.copies)


def run(*, quick: bool) -> list[Figure]:
    """With and without in turn, so that whatever else happens on the machine hits both alike."""
    turns, rounds = (3, 1) if quick else (4, 5)
    without, beside = Arm(), Arm()
    with live_farm(LIVE) as farm, _addresses() as addresses:
        _measure(farm, Arm(), rounds=1)
        for _ in range(turns):
            _measure(farm, without, rounds)
            with _dead_printers(farm, addresses):
                _measure(farm, beside, rounds)
    return [
        _figure("JobPaid published → printing", "start_s", without, beside),
        _figure("end of print → row committed", "end_s", without, beside),
    ]


def _measure(farm: LiveFarm, arm: Arm, rounds: int) -> None:
    for _ in range(rounds):
        arm.copies += [farm.print_one(number) for number in range(LIVE)]
    arm.cores.append(farm.cores_at_rest(REST_S))


def _figure(name: str, what: Literal["start_s", "end_s"], without: Arm, beside: Arm) -> Figure:
    taken, floor = beside.seconds(what), without.seconds(what)
    return Figure(
        what=f"{name}, {DEAD} dead printers",
        median_s=median(taken),
        p99_s=percentile_99(taken),
        floor_s=median(floor),
        budget=BUDGET,
        note=f"99th of the floor {percentile_99(floor) * 1000:.0f} ms; "
        f"{median(beside.cores):.2f} cores at rest, {median(without.cores):.2f} without; "
        f"{len(taken)} copies each",
    )


@contextmanager
def _addresses() -> Iterator[list[str]]:
    """Half refuse a connection; of the rest, half take it and stay silent, half do not answer."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(DEAD // 2)]
        for number in range(DEAD - len(ports)):
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
def _dead_printers(farm: LiveFarm, addresses: list[str]) -> Iterator[None]:
    """In the table and tried by their processes for the time of the block."""
    tables, server, processes = farm.farm, farm.servers[0], len(farm.processes())
    ids = [
        # Of a live one's model: they have to be passed over for every copy.
        tables.add_printer(f"dead{number}", server, address=address, model="model0")
        for number, address in enumerate(addresses)
    ]
    _wait_for_printers(farm, LIVE + DEAD)
    yield
    for printer_id in ids:
        tables.openfarm.delete("printers", printer_id)
    _wait_for_printers(farm, LIVE)
    wait_until(lambda: len(farm.processes()) == processes, TIMEOUT_S, "the processes' end")


def _wait_for_printers(farm: LiveFarm, count: int) -> None:
    """Until the coordinator has so many, and all but the live ones are known to be dead."""
    farm.wake()

    def all_known() -> bool:
        printers = farm.farm.status()["printers"]
        dead = [printer for printer in printers if printer["state"] == "unreachable"]
        return (len(printers), len(dead)) == (count, count - LIVE)

    # While it starts so many processes at once, the coordinator may not answer in time.
    ignoring = (CoordinatorNotRunningError,)
    wait_until(all_known, TIMEOUT_S, f"{count} printers", interval_s=0.2, ignoring=ignoring)
