"""How soon PMS knows again what is, after something has died or hung; real OctoPrints."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence

from bench.figures import Figure, Unit, at_most, figure
from bench.live_farm import cancel, octoprints, open_farm
from bench.scene import Scene
from bench.stopwatches import BusWatch
from pms.bus import control
from pms.demo.octoprint_server import OctoPrintServer
from pms.domain.states import PrinterState
from tests.support.farm import Farm
from tests.support.gcode import GeneratedGcode

WORKER_S, BACK_S, HUNG_S = 1.0, 2.0, 10.0
GCODE = GeneratedGcode(600_000)


class Site:
    """Real printers `p0`, `p1` ... and what their processes say."""

    def __init__(self, farm: Farm, servers: Sequence[OctoPrintServer], bus: BusWatch) -> None:
        self.farm = farm
        self.servers = servers
        self.bus = bus
        self.ids = [
            farm.add_printer(f"p{n}", server, model=f"m{n}", autostart=True)
            for n, server in enumerate(servers)
        ]
        farm.ask(control.Wake())
        for n in range(len(servers)):
            farm.wait_for_printer(f"p{n}", "idle", "clear")

    def worker_killed(self, n: int) -> float:
        """Seconds from the SIGKILL of the process to the print's being known again."""
        farm, name = self.farm, f"p{n}"
        job = farm.pay(GCODE, model=farm.model(f"m{n}"))
        pid = int(farm.wait_for_printer(name, "printing")["worker_pid"])
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        known_at = self.bus.wait_for(self.ids[n], PrinterState.PRINTING, since=began)
        cancel(farm, job, name)
        return known_at - began

    def back(self, n: int, down_s: float) -> float:
        """Seconds from OctoPrint's first answer after a restart to a usable printer."""
        server = self.servers[n]
        began = time.monotonic()
        server.kill()
        self.bus.wait_for(self.ids[n], PrinterState.UNREACHABLE, since=began)
        time.sleep(down_s)
        restarted_at = time.monotonic()
        server.start()
        answers_at = restarted_at + server.wait_ready()
        usable_at = self.bus.wait_for(self.ids[n], PrinterState.IDLE, since=restarted_at)
        return max(0.0, usable_at - answers_at)

    def hung(self) -> list[float]:
        """Seconds from the freeze of each OctoPrint until it is noticed."""
        began = time.monotonic()
        for server in self.servers:
            server.freeze()
        noticed_at = [
            self.bus.wait_for(printer_id, PrinterState.UNREACHABLE, since=began)
            for printer_id in self.ids
        ]
        for server in self.servers:
            server.thaw()
        for n in range(len(self.servers)):
            self.farm.wait_for_printer(f"p{n}", "idle", "clear")
        return [at - began for at in noticed_at]


def run(scene: Scene) -> Iterator[Figure]:
    """A process is killed once only, as those that die again soon are started with a backoff."""
    servers = scene.scale.pick(4, 2, 1)
    downs_s = scene.scale.pick((0.0, 0.0, 5.0, 5.0, 15.0, 15.0), (0.0,), (0.0,))
    with open_farm(scene) as farm, octoprints(scene, servers) as octoprint:
        farm.start()
        bus = BusWatch(farm)
        try:
            site = Site(farm, octoprint, bus)
            yield _worker(site)
            yield _back(site, downs_s)
            yield _hung(site, scene.scale.pick(2, 1, 1))
        finally:
            bus.close()


def _worker(site: Site) -> Figure:
    taken = [site.worker_killed(n) for n in range(len(site.servers))]
    what = "worker SIGKILL while printing → state known again, real OctoPrint"
    return figure(what, Unit.SECONDS, taken, at_most(WORKER_S))


def _back(site: Site, downs_s: Sequence[float]) -> Figure:
    taken = [site.back(n % len(site.servers), down_s) for n, down_s in enumerate(downs_s)]
    return figure(
        "OctoPrint back after a restart → printer usable",
        Unit.SECONDS,
        taken,
        at_most(BACK_S),
        note="after "
        + ", ".join(f"{down_s:g} s: {s:.2f} s" for down_s, s in zip(downs_s, taken, strict=True)),
    )


def _hung(site: Site, rounds: int) -> Figure:
    taken = [seconds for _ in range(rounds) for seconds in site.hung()]
    return figure("hung OctoPrint noticed", Unit.SECONDS, taken, at_most(HUNG_S, "highest"))
