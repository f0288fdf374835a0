"""The memory of a printer's process while a large file passes through it."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, Unit, at_most, figure
from bench.live_farm import cancel, octoprints, open_farm
from bench.scene import Scene
from bench.stopwatches import TIMEOUT_S
from tests.support.farm import Farm
from tests.support.gcode import GeneratedGcode
from tests.support.memory import Memory
from tests.support.waiting import wait_until

MIB = 1024 * 1024
BUDGET_MIB = 8.0


def run(scene: Scene) -> Iterator[Figure]:
    """A small file first, which pays for what is loaded once."""
    size_mib = scene.scale.pick(650, 100, 10)
    with open_farm(scene) as farm, octoprints(scene, 1) as servers:
        farm.add_printer("p0", servers[0], autostart=True)
        farm.start()
        pid = int(farm.wait_for_printer("p0", "idle", "clear")["worker_pid"])
        _stream(farm, MIB)
        memory = Memory(pid)
        with memory.watched():
            seconds = _stream(farm, size_mib * MIB)
        yield figure(
            f"growth of the worker while it streams {size_mib} MiB",
            Unit.MEBIBYTES,
            [memory.growth_bytes / MIB],
            at_most(BUDGET_MIB),
            note=f"resident peak + {memory.peak_growth_bytes / MIB:.1f} MiB; "
            f"from file server to OctoPrint in {seconds:.1f} s",
        )


def _stream(farm: Farm, size: int) -> float:
    """Let a file be started and cancel its print; gives the seconds that its way took."""
    job = farm.pay(GeneratedGcode(size))
    wait_until(
        lambda: farm.openfarm.print_statuses(job) == ["printing"], TIMEOUT_S, "the print's start"
    )
    (attempt,) = farm.attempts(job)
    cancel(farm, job, "p0")
    return float((attempt["staged_at"] - attempt["claimed_at"]).total_seconds())
