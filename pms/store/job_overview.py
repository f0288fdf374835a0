"""Jobs as an operator looks at them: how far each is, and what was tried for every copy."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from pms.domain.states import PrintStatus
from pms.errors import NotFoundError
from pms.store.copies import prints_by_status
from pms.store.tables import (
    colors,
    material_types,
    materials,
    pms_attempts,
    pms_jobs,
    print_jobs,
    printer_models,
    printers,
    prints,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSummary:
    """A job and how many of its prints are in which state."""

    id: int
    status: str
    paid: bool
    #: As many as were ordered.
    copies: int
    #: By `prints.print_status`; failed prints are replaced, so there may be more than copies.
    prints: dict[str, int]
    #: None fits all.
    model: str | None
    #: `TYPE/COLOR`; None fits all.
    material: str | None
    #: None: PMS has not taken the job in.
    priority: int | None
    reprints_left: int | None
    submitted_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    attention: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptDetails:
    """One try to print a copy, with the time of each step that it has reached."""

    id: int
    number: int
    printer_id: int
    #: None: the printer has been removed.
    printer: str | None
    state: str
    #: 0 to 1.
    progress: float
    remote_path: str
    size: int | None
    sha1: str | None
    finish_marker: int | None
    claimed_at: datetime
    transferring_at: datetime | None
    staged_at: datetime | None
    starting_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    clear_requested_at: datetime | None
    cancel_requested_at: datetime | None
    ended_at: datetime | None
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyDetails:
    """A copy of a job and everything that was tried for it."""

    print_id: int
    status: str
    printer_id: int | None
    printer: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: tuple[AttemptDetails, ...]


def newest(connection: Connection, limit: int) -> list[JobSummary]:
    """The jobs that were entered last, the newest first."""
    return _summaries(connection, _jobs().order_by(print_jobs.c.id.desc()).limit(limit))


def summary(connection: Connection, job_id: int) -> JobSummary:
    """One job; raises NotFoundError."""
    found = _summaries(connection, _jobs(print_jobs.c.id == job_id))
    if not found:
        raise NotFoundError(f"there is no job {job_id}; see `pms-coordinator job list`")
    return found[0]


def job_of(connection: Connection, print_id: int) -> int:
    """The job that a print belongs to; raises NotFoundError."""
    found = connection.execute(
        select(prints.c.print_job_id).where(prints.c.id == print_id)
    ).scalar_one_or_none()
    if found is None:
        raise NotFoundError(
            f"there is no print {print_id} of any job; `pms-coordinator job show ID` lists a job's"
        )
    return int(found)


def copies(connection: Connection, job_id: int) -> list[CopyDetails]:
    """Every print of a job, in the order in which they were made, with its attempts."""
    tries = _attempts(connection, job_id)
    rows = connection.execute(
        select(prints, printers.c.printer)
        .outerjoin(printers, printers.c.id == prints.c.printer_id)
        .where(prints.c.print_job_id == job_id)
        .order_by(prints.c.id)
    ).mappings()
    return [
        CopyDetails(
            print_id=row["id"],
            status=row["print_status"],
            printer_id=row["printer_id"],
            printer=row["printer"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            attempts=tuple(tries[row["id"]]),
        )
        for row in rows
    ]


def _jobs(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            print_jobs,
            printer_models.c.model,
            material_types.c.type,
            colors.c.color,
            pms_jobs.c.priority,
            pms_jobs.c.reprints_left,
            pms_jobs.c.paid_at,
            pms_jobs.c.attention,
        )
        .outerjoin(printer_models, printer_models.c.id == print_jobs.c.printer_model_id)
        .outerjoin(materials, materials.c.id == print_jobs.c.material_id)
        .outerjoin(material_types, material_types.c.id == materials.c.material_type_id)
        .outerjoin(colors, colors.c.id == materials.c.material_color_id)
        .outerjoin(pms_jobs, pms_jobs.c.job_id == print_jobs.c.id)
        .where(*conditions)
    )


def _summaries(connection: Connection, statement: Select[Any]) -> list[JobSummary]:
    rows = connection.execute(statement).mappings().all()
    counts = prints_by_status(connection, [row["id"] for row in rows])
    return [
        JobSummary(
            id=row["id"],
            status=row["job_status"],
            paid=row["paid"],
            copies=row["num_copies"],
            prints={
                status.value: counts.get(row["id"], {}).get(status, 0) for status in PrintStatus
            },
            model=row["model"],
            material=None if row["type"] is None else f"{row['type']}/{row['color']}",
            priority=row["priority"],
            reprints_left=row["reprints_left"],
            submitted_at=row["submitted_at"],
            paid_at=row["paid_at"],
            completed_at=row["completed_at"],
            attention=row["attention"],
        )
        for row in rows
    ]


def _attempts(connection: Connection, job_id: int) -> defaultdict[int, list[AttemptDetails]]:
    shown = [column for column in pms_attempts.c if column.name in AttemptDetails.__annotations__]
    rows = connection.execute(
        select(pms_attempts.c.print_id, printers.c.printer, *shown)
        .outerjoin(printers, printers.c.id == pms_attempts.c.printer_id)
        .where(pms_attempts.c.job_id == job_id)
        .order_by(pms_attempts.c.id)
    ).mappings()
    tries: defaultdict[int, list[AttemptDetails]] = defaultdict(list)
    for row in rows:
        values = {name: row[name] for name in AttemptDetails.__annotations__}
        tries[row["print_id"]].append(AttemptDetails(**values))
    return tries
