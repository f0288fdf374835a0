"""What is left to look at when a run is over: the tables, the recorded messages, the logs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos import physical
from tests.chaos.customers import Job
from tests.chaos.farm import RECORDER, Farm
from tests.chaos.history import History
from tests.chaos.physical import PrinterHistory, Run
from tests.chaos.plan import Kind
from tests.support.broker import Message
from tests.support.postgres import Row

TABLES = (
    "print_jobs", "prints", "printers", "pms_printers", "pms_attempts", "pms_jobs", "pms_outbox",
    "pms_events",
)  # fmt: skip


FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
#: A step is noted when it has been made.
NOTED_LATE = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the audit needs; nothing in it comes from PMS's own processes."""

    jobs: list[Job]
    tables: dict[str, list[Row]]
    messages: list[Message]
    #: Messages that are left in queues which PMS should have emptied, by queue.
    left_over: dict[str, int]
    printers: dict[int, PrinterHistory]
    #: Printers whose parts fall off at the end of the file.
    ejecting: frozenset[int]
    history: History

    @property
    def runs(self) -> list[Run]:
        """All starts of all printers, by time."""
        runs = [run for printer in self.printers.values() for run in printer.runs]
        return sorted(runs, key=lambda run: run.asked_at)

    def runs_by_path(self) -> dict[str, list[Run]]:
        found: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[run.path].append(run)
        return found

    def removals(self, printer_id: int) -> list[datetime]:
        """When the operator emptied a bed."""
        return [entry.at for entry in self.history.of("removed", printer=printer_id)]

    def true_times(self, shown: datetime) -> list[datetime]:
        """When PMS's clock may have shown this: after a step back there are several such times."""
        steps = self.history.of("fault", kind=Kind.CLOCK_STEPPED)
        offsets = [timedelta(), *(timedelta(seconds=step.facts["offset_s"]) for step in steps)]
        begins = [FIRST, *(step.at - NOTED_LATE for step in steps)]
        ends = [*(step.at for step in steps), LAST]
        phases = zip(begins, offsets, ends, strict=True)
        return [shown - by for begin, by, end in phases if begin <= shown - by <= end]

    def of_job(self, table: str, job_id: int) -> list[Row]:
        """The rows of a table that are about a job."""
        column = {"prints": "print_job_id"}.get(table, "job_id")
        return [row for row in self.tables[table] if row[column] == job_id]

    def attention(self, job_id: int) -> str | None:
        """What PMS tells a person about a job."""
        rows = self.of_job("pms_jobs", job_id)
        return rows[0]["attention"] if rows else None


def collect(farm: Farm, jobs: list[Job]) -> Facts:
    """Gather it all; the servers run, and nothing changes any more."""
    with farm.openfarm() as openfarm:
        tables = {table: openfarm.rows(table) for table in TABLES}
    return Facts(
        jobs=jobs,
        tables=tables,
        messages=farm.broker.messages(RECORDER),
        left_over=_left_over(farm),
        printers={p.id: physical.read(p.server.folder, p.id, jobs) for p in farm.printers},
        ejecting=frozenset(p.id for p in farm.printers if p.ejects),
        history=farm.history,
    )


def _left_over(farm: Farm) -> dict[str, int]:
    queues = [queue for queue in ("JobPaid", "pms.dead-letter") if farm.broker.is_declared(queue)]
    return {queue: farm.broker.queue_depth(queue) for queue in queues}


def quiet(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What keeps the farm from being at rest, in words; empty: nothing."""
    reasons: list[str] = []
    terminal = {"cleared", "failed", "cancelled", "returned"}
    attention = {row["job_id"] for row in tables["pms_jobs"] if row["attention"]}
    for row in tables["pms_attempts"]:
        if row["state"] not in terminal:
            reasons.append(f"attempt {row['remote_path']} is {row['state']}")
    for row in tables["prints"]:
        if row["print_status"] in ("pending", "printing"):
            reasons.append(f"print {row['id']} is {row['print_status']}")
    for row in tables["print_jobs"]:
        if row["paid"] and row["job_status"] != "completed" and row["id"] not in attention:
            reasons.append(f"job {row['id']} is {row['job_status']}")
    for row in tables["pms_printers"]:
        if row["bed"] != "clear" or row["state"] != "idle" or row["suspended"]:
            shown = f"{row['state']}, bed {row['bed']}, {row['detail']!r}"
            reasons.append(f"printer {row['printer_id']} is {shown}")
    for row in tables["pms_outbox"]:
        if row["published_at"] is None:
            reasons.append(f"message {row['id']} is not published")
    return reasons
