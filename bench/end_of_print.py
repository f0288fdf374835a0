"""From the end of a print in a real OctoPrint to the row and the message."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, at_most
from bench.live_farm import end_figure, lanes_on, octoprints, open_farm
from bench.scene import Scene

LANES = 2
MEDIAN_S, P99_S = 0.100, 0.250


def run(scene: Scene) -> Iterator[Figure]:
    """Short prints on a few printers at once."""
    with open_farm(scene) as farm, octoprints(scene, LANES) as servers:
        farm.start()
        with lanes_on(farm, servers) as lanes:
            lanes.print_all(1)
            taken = lanes.print_all(scene.scale.pick(55, 5, 2))
            yield end_figure(taken, at_most(MEDIAN_S), at_most(P99_S, "p99"))
