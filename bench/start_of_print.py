"""From `JobPaid` to a real OctoPrint that prints; the floor is curl, on an OctoPrint of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import curl
from bench.figures import Figure, Unit, at_most, figure
from bench.live_farm import cancel, octoprints, open_farm, publish_paid
from bench.scene import Scene
from bench.stopwatches import PushWatch
from pms.demo.octoprint_server import OctoPrintServer
from tests.support.farm import Farm
from tests.support.gcode import GeneratedGcode

MEGABYTE = 1_000_000
PRINTER = "p0"
#: Of a usual and of a large file, against curl.
USUAL, LARGE = 1.5, 1.15


class Started:
    """An OctoPrint and its push socket, on which a start is told."""

    def __init__(self, farm: Farm, server: OctoPrintServer) -> None:
        self.farm = farm
        self.server = server
        self.push = PushWatch(server)

    def with_pms(self, size: int) -> float:
        """Seconds from the payment to the start; the print is ended again."""
        job = self.farm.add_job(GeneratedGcode(size))
        self.push.times.clear()
        began = publish_paid(self.farm, job)
        started_at = self.push.wait_for("PrintStarted")
        self.farm.wait_for_prints(job, "printing")
        cancel(self.farm, job, PRINTER)
        return started_at - began

    def with_curl(self, size: int, folder: Path) -> float:
        """Seconds for download, upload and start by hand; the print is ended again."""
        job = self.farm.openfarm.add_job(paid=False)
        self.farm.file_server.put(job, GeneratedGcode(size))
        self.push.times.clear()
        began = time.monotonic()
        name = f"curl-{job}.gcode"
        curl.start(self.server, f"{self.farm.file_server.base_url}/api/gcode/{job}", name, folder)
        started_at = self.push.wait_for("PrintStarted")
        self.server.request("POST", "/api/job", {"command": "cancel"})
        self.server.wait_state("Operational")
        self.server.request("DELETE", f"/api/files/local/{name}")
        return started_at - began


def run(scene: Scene) -> Iterator[Figure]:
    """PMS and curl in turns."""
    with open_farm(scene) as farm, octoprints(scene, 2) as servers:
        farm.add_printer(PRINTER, servers[0], autostart=True)
        farm.start()
        farm.wait_for_printer(PRINTER, "idle", "clear")
        pms, by_hand = (Started(farm, server) for server in servers)
        yield _compare(scene, pms, by_hand, 0.6, USUAL, scene.scale.pick(30, 4, 1))
        large = scene.scale.pick(100.0, 20.0, 2.0)
        yield _compare(scene, pms, by_hand, large, LARGE, scene.scale.pick(8, 2, 1))


def _compare(
    scene: Scene, pms: Started, by_hand: Started, megabytes: float, budget: float, rounds: int
) -> Figure:
    size = int(megabytes * MEGABYTE)
    pairs = [(pms.with_pms(size), by_hand.with_curl(size, scene.folder)) for _ in range(rounds + 1)]
    # The first ones pay for what is loaded once.
    taken, floor = zip(*pairs[1:], strict=True)
    return figure(
        f"JobPaid published → OctoPrint printing, {megabytes:g} MB",
        Unit.SECONDS,
        taken,
        at_most(budget, "ratio"),
        floor=median(floor),
        floor_is="download, upload and start with curl",
    )
