"""One run from its seed to its verdict."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos import auditor, facts, report
from tests.chaos.customers import Customers
from tests.chaos.facts import Facts
from tests.chaos.farm import Farm
from tests.chaos.faults import Faults
from tests.chaos.history import History
from tests.chaos.monitor import SETTLED_AFTER_SAMPLES, Monitor, Sample
from tests.chaos.operator import Operator
from tests.chaos.plan import Kind, Plan, draw
from tests.support.waiting import wait_until

#: Without any progress. Backoffs reach a minute, and so does a rest after a failed transfer.
QUIET_TIMEOUT_S = 300.0
QUIET_LOOKS = 3
#: What a coordinator may hold more at the end of a life than when it had settled.
MOST_GROWTH = Sample(memory_bytes=24 << 20, threads=3, descriptors=12)


@dataclass(kw_only=True)
class Verdict:
    """The outcome of a run."""

    plan: Plan
    violations: list[str] = field(default_factory=list)
    #: What was counted, by what it is.
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Where the logs are; they are removed when all is well.
    folder: Path


def run(
    seed: int,
    duration_s: float,
    printers: int = 5,
    say: Callable[[str], None] = print,
    *,
    keep: bool = False,
    spared: frozenset[Kind] = frozenset(),
) -> Verdict:
    """Run a farm through the plan of a seed, let it come to rest, and audit it."""
    plan = draw(seed, duration_s, printers, models=2, spared=spared)
    folder = Path(tempfile.mkdtemp(prefix=f"pms-chaos-{seed}-"))
    verdict = Verdict(plan=plan, folder=folder)
    history = History(folder / "history.jsonl")
    say(f"seed {seed}: {len(plan.faults)} faults and {len(plan.orders)} jobs; logs in {folder}")
    with closing(history), closing(Farm(folder, history, printers)) as farm:
        farm.start()
        _drive(farm, plan, verdict, say)
    report.write(verdict, folder / "report.txt")
    if not verdict.violations and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


def _drive(farm: Farm, plan: Plan, verdict: Verdict, say: Callable[[str], None]) -> None:
    monitor = Monitor(farm)
    person = Operator(farm, monitor, plan.seed)
    customers = Customers(farm, plan.orders, plan.duration_s)
    faults = Faults(farm, monitor, plan.faults)
    began = time.monotonic()
    for part in (monitor, person, customers, faults):
        part.start()
    faults.join()
    customers.join()
    say(f"the faults are over after {time.monotonic() - began:.0f} s; waiting for quiet")
    farm.history.note("faults are over")
    healed = time.monotonic()
    verdict.violations += _wait_for_quiet(farm)
    quiet_s = time.monotonic() - healed
    person.stop()
    monitor.stop()
    found = facts.collect(farm, customers.jobs)
    # What still happens would look like a contradiction.
    verdict.violations += [] if verdict.violations else auditor.audit(found)
    verdict.violations += _processes(farm)
    verdict.violations += _growth(monitor)
    verdict.violations += _ends(found)
    verdict.counts = report.counts(found, monitor, farm, quiet_s)


def _wait_for_quiet(farm: Farm) -> list[str]:
    """Let the farm come to rest, as long as it gets nearer to it; gives in words what does not."""
    reasons: list[str] = ["nothing was seen"]
    fewest = sys.maxsize
    quiet_looks = 0

    def look() -> bool:
        nonlocal reasons, fewest, quiet_looks
        with farm.openfarm() as openfarm:
            reasons = facts.quiet({table: openfarm.rows(table) for table in facts.TABLES})
        gets_nearer = len(reasons) < fewest
        fewest = min(fewest, len(reasons))
        quiet_looks = 0 if reasons else quiet_looks + 1
        return gets_nearer or quiet_looks >= QUIET_LOOKS

    while quiet_looks < QUIET_LOOKS:
        try:
            wait_until(look, QUIET_TIMEOUT_S, "rest", interval_s=0.5, ignoring=(psycopg.Error,))
        except AssertionError:
            return [f"never at rest: {reason}" for reason in reasons]
    return []


def _processes(farm: Farm) -> list[str]:
    """Exactly one process for each printer, then the regular end, and nobody is left."""
    violations: list[str] = []
    living = farm.processes()
    tree = set(farm.coordinator_tree())
    # The coordinator, the fork server and its resource tracker.
    wanted = len(farm.printers) + 3
    if strangers := sorted(set(living) - tree):
        violations.append(f"processes without a coordinator: {strangers}")
    if len(tree) != wanted:
        violations.append(f"the coordinator has {len(tree)} processes with itself, not {wanted}")
    if zombies := [pid for pid, state in living.items() if state == "Z"]:
        violations.append(f"zombies: {zombies}")
    code, seconds = farm.supervisor.stop()
    if code != 0 or seconds > 10.0:
        violations.append(f"the coordinator ended with {code} after {seconds:.1f} s")
    try:
        wait_until(lambda: not farm.processes(), 5.0, "end of all processes")
    except AssertionError:
        violations.append(f"processes outlived the coordinator: {farm.processes()}")
    return violations


def _growth(monitor: Monitor) -> list[str]:
    """Compare the two ends of each long life of the coordinator."""
    violations: list[str] = []
    for life in monitor.settled_lives():
        first, last = life[SETTLED_AFTER_SAMPLES], life[-1]
        for name in ("memory_bytes", "threads", "descriptors"):
            grown = getattr(last, name) - getattr(first, name)
            if grown > getattr(MOST_GROWTH, name):
                violations.append(
                    f"8: the coordinator's {name} grew by {grown} in {len(life)} s:"
                    f" {first} to {last}"
                )
    return violations


def _ends(found: Facts) -> list[str]:
    """The coordinator ends only when somebody ends it; the run's own parts do not break."""
    history = found.history
    violations = [f"unasked: {entry}" for entry in history.of("coordinator ended", by_us=False)]
    for entry in history.of("coordinator ended", by_us=True):
        # A process that is asked to end before it has begun to listen just ends.
        if entry.facts["code"] not in (0, -signal.SIGKILL, -signal.SIGTERM):
            violations.append(f"badly ended: {entry}")
    return violations + [f"the suite: {entry}" for entry in history.of("fault broken")]
