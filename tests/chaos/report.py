"""The figures of a run, as a table for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.auditor import complete_but_failed
from tests.chaos.facts import Facts
from tests.chaos.farm import Farm
from tests.chaos.monitor import SETTLED_AFTER_SAMPLES, Monitor, Sample

if TYPE_CHECKING:
    from tests.chaos.run import Verdict

Counts = dict[str, dict[str, Any]]


def counts(facts: Facts, monitor: Monitor, farm: Farm, quiet_s: float) -> Counts:
    """Everything that was counted in a run."""
    history, tables = facts.history, facts.tables
    return {
        "faults": dict(sorted(history.count("fault", "kind").items())),
        "faults without effect": dict(sorted(history.count("fault missed", "kind").items())),
        "work": {
            "jobs": len(facts.jobs),
            "copies": sum(job.copies for job in facts.jobs),
            "jobs whose message was lost": len(_unpaid(facts)),
            "jobs paid more than once": len(_paid_again(facts)),
            "starts": len(facts.runs),
            "complete prints": sum(run.completed_at is not None for run in facts.runs),
            "complete prints that a fault made fail": len(complete_but_failed(facts)),
        },
        "prints": dict(Counter(row["print_status"] for row in tables["prints"])),
        "attempts": dict(Counter(row["state"] for row in tables["pms_attempts"])),
        "messages": {
            "written": len(tables["pms_outbox"]),
            "received": len(facts.messages),
            "received again": len(facts.messages)
            - len({message.properties.message_id for message in facts.messages}),
        },
        "the operator": {
            "beds emptied": len(history.of("removed")),
            "of which in doubt": len(history.of("removed", seen="doubt")),
            "prints ended at the printer": len(history.of("ended at the printer")),
            "printers enabled again": len(history.of("enabled")),
            "jobs with attention": sum(row["attention"] is not None for row in tables["pms_jobs"]),
        },
        "the coordinator": {
            "starts": farm.supervisor.starts,
            "seconds to rest after the last fault": round(quiet_s, 1),
            "errors in the log": _errors(farm.supervisor.log),
            **_growth(monitor),
        },
    }


def _unpaid(facts: Facts) -> set[int]:
    published = {e.facts["job"] for e in facts.history.of("payment", outcome="published")}
    return {job.id for job in facts.jobs} - published


def _paid_again(facts: Facts) -> list[int]:
    times = Counter(e.facts["job"] for e in facts.history.of("payment", outcome="published"))
    return [job_id for job_id, number in times.items() if number > 1]


def _errors(log: Path) -> int:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return sum(line.startswith("Traceback (most recent call last)") for line in lines)


def _growth(monitor: Monitor) -> dict[str, str]:
    lives = sorted(monitor.settled_lives(), key=len)
    if not lives:
        return {}
    longest = lives[-1]
    settled = longest[SETTLED_AFTER_SAMPLES]
    return {f"longest life, {len(longest)} s": f"{_shown(settled)} → {_shown(longest[-1])}"}


def _shown(sample: Sample) -> str:
    size = f"{sample.memory_bytes / (1 << 20):.1f} MiB"
    return f"{size}, {sample.threads} threads, {sample.descriptors} descriptors"


def lines(verdict: Verdict) -> list[str]:
    """The table, and below it what is wrong."""
    plan = verdict.plan
    shown = [f"seed {plan.seed}, {plan.duration_s / 60:g} minutes"]
    for title, figures in verdict.counts.items():
        shown += ["", title]
        shown += [f"  {name:<42} {value}" for name, value in figures.items()]
    shown += ["", f"{len(verdict.violations)} violations"]
    shown += [f"  {violation}" for violation in verdict.violations]
    return shown


def write(verdict: Verdict, path: Path) -> None:
    """Keep the table beside the logs."""
    path.write_text("\n".join(lines(verdict)) + "\n", encoding="utf-8")
