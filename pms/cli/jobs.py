"""`job list|show|priority` on the database, `job retry|cancel|reject` by the coordinator."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from pms.bus.control import CancelJob, RejectJob, RetryJob
from pms.cli.farm import ask_and_show
from pms.cli.farm_view import WIDE, Status
from pms.cli.job_words import describe_payment, describe_prints, name_of_printer, share_done
from pms.cli.output import (
    add_row,
    console,
    count,
    moment,
    percent,
    show,
    show_json,
    show_line,
    table,
    visible,
)
from pms.cli.session import read_settings, status_if_running, wake
from pms.cli.storage import open_database
from pms.domain.states import JobStatus, PrintStatus
from pms.errors import PMSError
from pms.store import catalog, events, job_overview
from pms.store.job_overview import AttemptDetails, CopyDetails, JobSummary

NO_COORDINATOR = "no coordinator runs: start it with `pms-coordinator start`"

_HIDDEN_WHERE_NARROW = ("Model", "Material", "Priority")

_STYLES: dict[str, str] = {
    JobStatus.PRINTING: "bold cyan",
    JobStatus.COMPLETED: "green",
    JobStatus.CANCELLED: "dim",
    JobStatus.REJECTED: "dim",
    PrintStatus.FAILED: "red",
}


def list_jobs(options: argparse.Namespace) -> int:
    """List the newest jobs, the newest first."""
    with open_database(read_settings()) as database, database.read() as connection:
        jobs = job_overview.newest(connection, options.limit)
    if options.json:
        show_json([dataclasses.asdict(job) for job in jobs])
    elif jobs:
        _show_list(jobs)
    else:
        show_line("there are no jobs; submit one with `pms-coordinator submit FILE`")
    return 0


def show_job(options: argparse.Namespace) -> int:
    """Show a job, its copies and every attempt."""
    settings = read_settings()
    with open_database(settings) as database, database.read() as connection:
        job = job_overview.summary(connection, options.job_id)
        copies = job_overview.copies(connection, options.job_id)
    try:
        status = status_if_running(settings)
    except PMSError:
        # What the database knows is worth showing without the reasons.
        status = None
    reasons = waiting_reasons(status, copies)
    if options.json:
        show_json(_as_json(job, copies, reasons))
    else:
        show(*_job_parts(job), *_copy_parts(copies, reasons))
    return 0


def priority(options: argparse.Namespace) -> int:
    """Let a job be printed earlier or later than others."""
    settings = read_settings()
    with open_database(settings) as database, database.begin() as connection:
        catalog.set_priority(connection, options.job_id, options.priority)
        events.record(
            connection,
            datetime.now(UTC),
            "job_priority_changed",
            job_id=options.job_id,
            detail=f"to {options.priority}",
        )
    wake(settings)
    if options.json:
        show_json({"job_id": options.job_id, "priority": options.priority})
    else:
        show_line(f"job {options.job_id} has priority {options.priority}")
    return 0


def retry(options: argparse.Namespace) -> int:
    """Print once more the copies that failed for good."""
    return ask_and_show(options, RetryJob(job_id=options.job_id), f"job {options.job_id}")


def cancel(options: argparse.Namespace) -> int:
    """Give a job up."""
    return ask_and_show(options, CancelJob(job_id=options.job_id), f"job {options.job_id}")


def reject(options: argparse.Namespace) -> int:
    """Give up a job that cannot be printed."""
    return ask_and_show(options, RejectJob(job_id=options.job_id), f"job {options.job_id}")


def waiting_reasons(status: Status | None, copies: Sequence[CopyDetails]) -> dict[int, str]:
    """Why each copy waits that no printer has, by its print's id."""
    waiting = {
        copy.print_id
        for copy in copies
        if copy.status == PrintStatus.PENDING and copy.printer_id is None
    }
    if status is None:
        return dict.fromkeys(waiting, NO_COORDINATOR)
    return {
        item["print_id"]: item["reason"] for item in status["queue"] if item["print_id"] in waiting
    }


def _as_json(
    job: JobSummary, copies: Sequence[CopyDetails], reasons: dict[int, str]
) -> dict[str, Any]:
    details = [dataclasses.asdict(copy) | {"reason": reasons.get(copy.print_id)} for copy in copies]
    return dataclasses.asdict(job) | {"details": details}


def _show_list(jobs: Sequence[JobSummary]) -> None:
    rows = [_job_cells(job) for job in jobs]
    hidden = () if console().width >= WIDE else _HIDDEN_WHERE_NARROW
    titles = [title for title in rows[0] if title not in hidden]
    listed = table(*titles, right=("Copies", "Priority"))
    for row in rows:
        add_row(listed, *(row[title] for title in titles))
    show(listed)


def _job_cells(job: JobSummary) -> dict[str, RenderableType | int | None]:
    return {
        "Job": job.id,
        "Status": _status(job.status if job.paid else f"{job.status}, not paid"),
        "Copies": job.copies,
        "Prints": describe_prints(job.prints),
        "Model": job.model,
        "Material": job.material,
        "Priority": job.priority,
        "Submitted": moment(job.submitted_at),
        "Attention": job.attention,
    }


def _job_parts(job: JobSummary) -> list[RenderableType]:
    order = f"priority {job.priority or 0}, taken in {moment(job.paid_at)}"
    lines = [
        f"job {job.id}: {job.status}, {describe_payment(job.paid)}, {order}",
        f"{count(job.copies, 'copy', 'copies')}: {describe_prints(job.prints)}",
        f"model {job.model or 'any'}, material {job.material or 'any'}",
        f"submitted {moment(job.submitted_at)}, completed {moment(job.completed_at)}",
    ]
    parts: list[RenderableType] = [Text(visible(line)) for line in lines]
    if job.attention:
        parts.append(Text(visible(f"needs attention: {job.attention}"), style="bold red"))
    return parts


def _copy_parts(copies: Sequence[CopyDetails], reasons: dict[int, str]) -> list[RenderableType]:
    if not copies:
        return []
    made = table("Print", "Status", "Printer", "Started", "Finished", "Waits for")
    for copy in copies:
        add_row(
            made,
            copy.print_id,
            _status(copy.status),
            None if copy.printer_id is None else name_of_printer(copy.printer_id, copy.printer),
            moment(copy.started_at),
            moment(copy.finished_at),
            reasons.get(copy.print_id),
        )
    return [Text(), made, *_attempt_parts(copies)]


def _attempt_parts(copies: Sequence[CopyDetails]) -> list[RenderableType]:
    tries = [(copy.print_id, attempt) for copy in copies for attempt in copy.attempts]
    if not tries:
        return []
    made = table(
        "Print", "Try", "Printer", "State", "Done", "Claimed", "Started", "Ended", "Error",
        right=("Try", "Done"),
    )  # fmt: skip
    for print_id, attempt in sorted(tries, key=lambda each: each[1].id):
        add_row(
            made,
            print_id,
            attempt.number,
            name_of_printer(attempt.printer_id, attempt.printer),
            attempt.state,
            percent(share_done(attempt)),
            moment(attempt.claimed_at),
            moment(attempt.started_at),
            moment(_end(attempt)),
            attempt.error,
        )
    return [Text(), Text("attempts", style="bold"), made]


def _end(attempt: AttemptDetails) -> datetime | None:
    return attempt.finished_at or attempt.ended_at


def _status(status: str) -> Text:
    return Text(status, style=_STYLES.get(status, ""))
