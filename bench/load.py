"""A farm under load whose printers fail at random: every copy ends well, and none is made twice.

What was printed is taken from the simulator's own records, which know nothing of PMS.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bench.figures import Figure, Unit, at_least, at_most, figure
from bench.live_farm import launch, open_farm, publish_paid
from bench.scene import Scene
from bench.stopwatches import CommitWatch
from bench.trouble import Person, Trouble, server_name
from pms.domain.states import PrinterState
from tests.support.farm import Farm
from tests.support.gcode import dwelling_gcode
from tests.support.memory import peak_bytes
from tests.support.print_shop import padded
from tests.support.simulator import simulator
from tests.support.waiting import wait_until

#: Of each job.
COPIES = 3
FILE_BYTES = 60_000
SEED = 5
#: The share of the copies that is printed while printers fail; the rest is to end in peace.
TROUBLED_SHARE = 0.8
TIMEOUT_S = 340.0
COORDINATOR_MIB = 250e6 / 1024**2
MEDIAN_S, P99_S, STATUS_S = 0.100, 0.250, 0.200
PRINT_OF_PATH = re.compile(r"print-(\d+)_try")
#: From the simulator's Unix time to monotonic seconds.
OFFSET_S = time.time() - time.monotonic()
#: No printer is given up, and no job: what a printer spoils is printed by another one.
SETTINGS = {"PMS_REPRINTS": "1000", "PMS_PRINTER_FAILURES": "1000"}


def run(scene: Scene) -> Iterator[Figure]:
    """As many jobs as printers; a tenth of the printers fail."""
    printers = scene.scale.pick(500, 20, 4)
    dwell_s = scene.scale.pick((40.0, 100.0), (1.0, 2.0), (0.3, 0.5))
    with (
        simulator(scene.folder, printers=printers) as simulated,
        open_farm(scene, **SETTINGS) as farm,
    ):
        for server in simulated.printers:
            farm.add_printer(server_name(server.number), server, autostart=True)
        launch(farm, printers, PrinterState.IDLE)
        commits = CommitWatch(farm.database)
        failing = range(1, max(1, printers // 10) + 1)
        person, trouble = Person(farm, simulated), Trouble(simulated, failing, SEED)
        began = time.monotonic()
        copies = _pay(farm, printers, dwell_s)
        with person.at_work():
            with trouble.about():
                _wait_for_copies(farm, int(copies * TROUBLED_SHARE))
            _wait_for_copies(farm, copies)
        seconds = time.monotonic() - began
        commits.close()
        yield _completed(farm, copies, seconds, trouble.count)
        yield from _made(farm, simulated.prints())
        yield _lateness(simulated.prints(), failing, commits)
        yield _coordinator(farm, printers)
        yield _answers(person, printers)


def _pay(farm: Farm, jobs: int, dwell_s: tuple[float, float]) -> int:
    """Pay for everything at once; gives the number of copies."""
    rng = random.Random(SEED)
    for _ in range(jobs):
        gcode = dwelling_gcode(rng.uniform(*dwell_s), m0=False)
        publish_paid(farm, farm.add_job(padded(gcode, FILE_BYTES), copies=COPIES))
    return jobs * COPIES


def _wait_for_copies(farm: Farm, count: int) -> None:
    wait_until(
        lambda: len(_completed_prints(farm)) >= count,
        TIMEOUT_S,
        f"{count} copies",
        interval_s=0.5,
    )


def _completed_prints(farm: Farm) -> list[int]:
    return [row["id"] for row in farm.openfarm.rows("prints", print_status="completed")]


def _completed(farm: Farm, copies: int, seconds: float, blows: int) -> Figure:
    failed = len(farm.openfarm.rows("prints", print_status="failed"))
    return figure(
        "under load, copies completed",
        Unit.COUNT,
        [len(_completed_prints(farm))],
        at_least(copies),
        at_most(copies),
        note=f"in {seconds:.0f} s, with {blows} troubles and {failed} failed prints",
    )


def _made(farm: Farm, records: Sequence[dict[str, Any]]) -> Iterator[Figure]:
    """What the printers did, against what PMS says."""
    starts = Counter(record["path"] for record in records)
    made = Counter(_print_of(record) for record in records if record["outcome"] == "done")
    completed = set(_completed_prints(farm))
    wrong = [print_id for print_id in {*made, *completed} if made[print_id] != 1]
    extra = [print_id for print_id in made if print_id not in completed]
    for what, count in (
        ("under load, files that were started twice", sum(n > 1 for n in starts.values())),
        ("under load, completed copies that were not made exactly once", len(wrong)),
        ("under load, parts that PMS does not know of", len(extra)),
    ):
        yield figure(what, Unit.COUNT, [count], at_most(0), note=f"{len(records)} starts")


def _print_of(record: dict[str, Any]) -> int:
    found = PRINT_OF_PATH.search(record["path"])
    assert found, record
    return int(found[1])


def _lateness(
    records: Sequence[dict[str, Any]], failing: Sequence[int], commits: CommitWatch
) -> Figure:
    taken = [
        commits.times[f"print {_print_of(record)} completed"] + OFFSET_S - record["ended_at"]
        for record in records
        if record["outcome"] == "done" and record["printer"] not in failing
    ]
    return figure(
        "under load, end of print → row committed",
        Unit.SECONDS,
        taken,
        at_most(MEDIAN_S),
        at_most(P99_S, "p99"),
        note="on printers that do not fail",
    )


def _coordinator(farm: Farm, printers: int) -> Figure:
    return figure(
        "under load, the coordinator's memory at its peak",
        Unit.MEBIBYTES,
        [peak_bytes(farm.coordinator.pid) / 1024**2],
        at_most(COORDINATOR_MIB),
        printers=printers,
    )


def _answers(person: Person, printers: int) -> Figure:
    return figure(
        "under load, answer to `status`",
        Unit.SECONDS,
        person.answers_s,
        at_most(STATUS_S, "highest"),
        printers=printers,
    )
