"""Follows one job to its end, for `submit --wait`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pms.cli.farm_view import Printer, Status, percent_in_steps, printer_parts
from pms.cli.job_words import describe_prints
from pms.cli.jobs import NO_COORDINATOR
from pms.cli.output import can_animate, console, show_json_line, show_line, visible, warn
from pms.cli.session import status_if_running
from pms.config import Settings
from pms.domain.states import CLOSED_JOB_STATUSES, JobStatus, PrinterState
from pms.errors import PMSError, RefusedError
from pms.store import job_overview
from pms.store.database import Database
from pms.store.job_overview import JobSummary

LOOK_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """How far a job is."""

    job: JobSummary
    #: Those that work on it, as `status` has them.
    printers: list[Printer]
    #: Why copies wait, in words.
    reasons: list[str]


def follow(database: Database, settings: Settings, job_id: int, *, as_json: bool) -> int:
    """Show how far a job is until it is completed.

    Raises RefusedError when it ends otherwise or needs a person.
    """
    looks = _looks(database, settings, job_id)
    if as_json:
        _as_json(looks)
        return 0
    show_line(str(job_id))
    if can_animate(sys.stderr):
        _on_terminal(looks)
    else:
        _as_lines(looks)
    return 0


def _looks(database: Database, settings: Settings, job_id: int) -> Iterator[Look]:
    """Looks at the job up to and including the one that shows its completion."""
    while True:
        look = _look(database, settings, job_id)
        yield look
        if look.job.status == JobStatus.COMPLETED:
            return
        check(look.job)
        time.sleep(LOOK_INTERVAL_S)


def check(job: JobSummary) -> None:
    """Raise RefusedError when the job cannot come to its end without a person."""
    if job.status in CLOSED_JOB_STATUSES:
        raise RefusedError(f"job {job.id} is {job.status}; see `pms-coordinator job show {job.id}`")
    if job.attention:
        raise RefusedError(
            f"job {job.id} needs attention: {job.attention};"
            f" see `pms-coordinator job show {job.id}`"
        )


def _look(database: Database, settings: Settings, job_id: int) -> Look:
    with database.read() as connection:
        job = job_overview.summary(connection, job_id)
    try:
        status = status_if_running(settings)
    except PMSError as error:
        return Look(job, [], [str(error)])
    return look_at(job, status)


def look_at(job: JobSummary, status: Status | None) -> Look:
    """What the farm's status says of the job; None: no coordinator runs."""
    if status is None:
        return Look(job, [], [NO_COORDINATOR])
    reasons = [item["reason"] for item in status["queue"] if item["job_id"] == job.id]
    return Look(
        job,
        [printer for printer in status["printers"] if printer["job_id"] == job.id],
        list(dict.fromkeys(reasons)),
    )


def describe(look: Look) -> str:
    """The look as one line, the same for looks between which little has changed."""
    job = look.job
    parts = [f"job {job.id} {job.status}: {describe_prints(job.prints)}"]
    parts += [_describe_printer(printer) for printer in look.printers]
    parts += [f"waiting: {reason}" for reason in look.reasons]
    return "; ".join(parts)


def _describe_printer(printer: Printer) -> str:
    if printer["state"] == PrinterState.FINISHED:
        return f"{printer['name']} finished, to be cleared"
    return f"{printer['name']} {printer['state']} {percent_in_steps(printer)}".rstrip()


def _as_json(looks: Iterator[Look]) -> None:
    last: dict[str, Any] | None = None
    for look in looks:
        data = as_json(look)
        if data != last:
            show_json_line(data)
        last = data


def as_json(look: Look) -> dict[str, Any]:
    """The look for programs."""
    shown = ("id", "name", "state", "print_id", "progress", "eta_s")
    return {
        "job_id": look.job.id,
        "status": look.job.status,
        "copies": look.job.copies,
        "prints": look.job.prints,
        "attention": look.job.attention,
        "printers": [{name: printer[name] for name in shown} for printer in look.printers],
        "reasons": look.reasons,
    }


def _as_lines(looks: Iterator[Look]) -> None:
    last = ""
    for look in looks:
        line = describe(look)
        if line != last:
            warn(line)
        last = line


def _on_terminal(looks: Iterator[Look]) -> None:
    target = console(sys.stderr)
    with Live(console=target, auto_refresh=False) as screen:
        for look in looks:
            screen.update(_picture(look, target.width), refresh=True)


def _picture(look: Look, width: int) -> RenderableType:
    job = look.job
    return Group(
        Text(visible(f"job {job.id} {job.status}: {describe_prints(job.prints)}"), style="bold"),
        *printer_parts(look.printers, width, bars=True),
        *(Text(visible(f"waiting: {reason}")) for reason in look.reasons),
    )
