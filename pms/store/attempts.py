"""Attempts: each is one try to print one copy on one printer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from pms.domain.reconciliation import remote_path
from pms.domain.scheduling import Assignment
from pms.domain.states import (
    LIVE_STATES,
    TERMINAL_STATES,
    AttemptState,
)
from pms.store.pending import later
from pms.store.tables import (
    attempt_is_live,
    pms_attempts,
    prints,
)

#: The column that keeps when an attempt entered a state.
_ENTERED_AT = {
    AttemptState.TRANSFERRING: "transferring_at",
    AttemptState.STAGED: "staged_at",
    AttemptState.STARTING: "starting_at",
    AttemptState.PRINTING: "started_at",
    AttemptState.FINISHED: "finished_at",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A live attempt, as its printer's process has to know it."""

    id: int
    print_id: int
    job_id: int
    printer_id: int
    state: AttemptState
    remote_path: str
    size: int | None
    sha1: str | None
    finish_marker: int | None
    #: Of the file that the job's first transferred copy was made from.
    job_sha1: str | None
    progress: float
    clear_requested: bool
    cleared_by_person: bool
    cancel_requested: bool
    #: When its start was granted.
    starting_at: datetime | None
    started_at: datetime | None


def _attempts(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    earlier = pms_attempts.alias("earlier")
    job_sha1 = (
        select(earlier.c.sha1)
        .where(earlier.c.job_id == pms_attempts.c.job_id, earlier.c.sha1.is_not(None))
        .order_by(earlier.c.id)
        .limit(1)
        .scalar_subquery()
    )
    columns = select(pms_attempts, job_sha1.label("job_sha1"))
    return columns.where(*conditions).order_by(pms_attempts.c.id)


class InHand(NamedTuple):
    """A live attempt, as whoever looks at all of them has to know it."""

    id: int
    print_id: int
    job_id: int
    printer_id: int
    state: AttemptState
    progress: float
    #: When its start was granted.
    starting_at: datetime | None
    started_at: datetime | None
    #: When its bed was to be cleared.
    clear_requested_at: datetime | None


def in_hand(connection: Connection, states: Collection[AttemptState] = LIVE_STATES) -> list[InHand]:
    """Every attempt in these of the live states."""
    in_state = pms_attempts.c.state.in_([state.value for state in states])
    columns = [pms_attempts.c[name] for name in InHand._fields]
    rows = connection.execute(
        select(*columns).where(attempt_is_live, in_state).order_by(pms_attempts.c.id)
    ).all()
    return [
        InHand(id, print_id, job_id, printer_id, AttemptState(state), *rest)
        for id, print_id, job_id, printer_id, state, *rest in rows
    ]


def live_on(connection: Connection, printer_id: int) -> Attempt | None:
    """The attempt that a printer works on."""
    found = _read(connection, attempt_is_live, pms_attempts.c.printer_id == printer_id)
    return found[0] if found else None


def live_of_print(connection: Connection, print_id: int) -> Attempt | None:
    """The attempt that is made for a copy now."""
    found = _read(connection, attempt_is_live, pms_attempts.c.print_id == print_id)
    return found[0] if found else None


def live_of_job(connection: Connection, job_id: int) -> list[Attempt]:
    """The attempts that are made for a job now."""
    return _read(connection, attempt_is_live, pms_attempts.c.job_id == job_id)


def states_by_path(connection: Connection, printer_id: int) -> dict[str, AttemptState]:
    """How far each file is that PMS has given to the printer, by its path there."""
    rows = connection.execute(
        select(pms_attempts.c.remote_path, pms_attempts.c.state).where(
            pms_attempts.c.printer_id == printer_id
        )
    )
    return {row.remote_path: AttemptState(row.state) for row in rows}


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> list[Attempt]:
    rows = connection.execute(_attempts(*conditions)).mappings()
    return [
        Attempt(
            id=row["id"],
            print_id=row["print_id"],
            job_id=row["job_id"],
            printer_id=row["printer_id"],
            state=AttemptState(row["state"]),
            remote_path=row["remote_path"],
            size=row["size"],
            sha1=row["sha1"],
            finish_marker=row["finish_marker"],
            job_sha1=row["job_sha1"],
            progress=row["progress"],
            clear_requested=row["clear_requested_at"] is not None,
            cleared_by_person=row["cleared_by_person"],
            cancel_requested=row["cancel_requested_at"] is not None,
            starting_at=row["starting_at"],
            started_at=row["started_at"],
        )
        for row in rows
    ]


def claim(connection: Connection, assignment: Assignment, now: datetime) -> Attempt:
    """Give a copy to a printer.

    The unique indexes refuse a second live attempt for the print or on the printer.
    """
    last, job_sha1 = connection.execute(
        _BEFORE_CLAIM, {"print": assignment.print_id, "job": assignment.job_id}
    ).one()
    number = (last or 0) + 1
    path = remote_path(assignment.job_id, assignment.print_id, number)
    attempt_id = connection.execute(
        insert(pms_attempts)
        .values(
            print_id=assignment.print_id,
            job_id=assignment.job_id,
            printer_id=assignment.printer_id,
            number=number,
            state=AttemptState.CLAIMED.value,
            remote_path=path,
            claimed_at=now,
        )
        .returning(pms_attempts.c.id)
    ).scalar_one()
    later(
        connection,
        update(prints)
        .where(prints.c.id == assignment.print_id)
        .values(printer_id=assignment.printer_id),
    )
    return Attempt(
        id=attempt_id,
        print_id=assignment.print_id,
        job_id=assignment.job_id,
        printer_id=assignment.printer_id,
        state=AttemptState.CLAIMED,
        remote_path=path,
        size=None,
        sha1=None,
        finish_marker=None,
        job_sha1=job_sha1,
        progress=0.0,
        clear_requested=False,
        cleared_by_person=False,
        cancel_requested=False,
        starting_at=None,
        started_at=None,
    )


#: The number of the print's last attempt, and the SHA-1 that its job's copies have to have.
_BEFORE_CLAIM: Select[Any] = select(
    select(func.max(pms_attempts.c.number))
    .where(pms_attempts.c.print_id == bindparam("print"))
    .scalar_subquery(),
    select(pms_attempts.c.sha1)
    .where(pms_attempts.c.job_id == bindparam("job"), pms_attempts.c.sha1.is_not(None))
    .order_by(pms_attempts.c.id)
    .limit(1)
    .scalar_subquery(),
)


def last_cleared_printer(connection: Connection, job_id: int) -> int | None:
    """The printer from which a copy of the job was removed last."""
    return connection.execute(
        select(pms_attempts.c.printer_id)
        .where(
            pms_attempts.c.job_id == job_id,
            pms_attempts.c.state == AttemptState.CLEARED.value,
        )
        .order_by(pms_attempts.c.ended_at.desc(), pms_attempts.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def move(
    connection: Connection,
    attempt_id: int,
    state: AttemptState,
    at: datetime,
    error: str | None = None,
) -> None:
    """Bring an attempt into another state; `at` is when that happened."""
    values: dict[str, object] = {"state": state.value}
    if state in _ENTERED_AT:
        column = pms_attempts.c[_ENTERED_AT[state]]
        values[column.name] = func.coalesce(column, at)
    if state is AttemptState.PRINTING:
        # Whoever cleared the bed of a start in doubt did not mean the part that comes now.
        values |= {"clear_requested_at": None, "cleared_by_person": False}
    if state is AttemptState.FINISHED:
        values["progress"] = 1.0
    if state in TERMINAL_STATES:
        values["ended_at"] = at
    if error is not None:
        values["error"] = error
    later(connection, update(pms_attempts).where(pms_attempts.c.id == attempt_id).values(values))


def set_file(
    connection: Connection,
    attempt_id: int,
    *,
    path: str,
    size: int,
    sha1: str,
    finish_marker: int | None,
) -> None:
    """Keep what the print of this attempt will consist of."""
    later(
        connection,
        update(pms_attempts)
        .where(pms_attempts.c.id == attempt_id)
        .values(remote_path=path, size=size, sha1=sha1, finish_marker=finish_marker),
    )


def set_progress(connection: Connection, progress: Mapping[int, float]) -> None:
    """Store how far attempts are, 0 to 1 each."""
    if progress:
        connection.execute(
            update(pms_attempts)
            .where(
                pms_attempts.c.id == bindparam("attempt"),
                # Not with IN, which cannot be executed for several rows at once.
                or_(
                    pms_attempts.c.state == AttemptState.PRINTING.value,
                    pms_attempts.c.state == AttemptState.PAUSED.value,
                ),
            )
            .values(progress=bindparam("value")),
            [{"attempt": attempt_id, "value": value} for attempt_id, value in progress.items()],
        )


def request_clear(
    connection: Connection, attempt_id: int, at: datetime, *, by_person: bool
) -> None:
    """Keep that the bed is to be cleared, and whether a person has said that it is empty."""
    said: dict[str, object] = {"cleared_by_person": True} if by_person else {}
    later(
        connection,
        update(pms_attempts)
        .where(pms_attempts.c.id == attempt_id)
        .values(clear_requested_at=func.coalesce(pms_attempts.c.clear_requested_at, at), **said),
    )


def request_cancel(connection: Connection, attempt_id: int, at: datetime) -> None:
    """Keep that a person wants the attempt cancelled, until it has ended."""
    later(
        connection,
        update(pms_attempts)
        .where(pms_attempts.c.id == attempt_id)
        .values(cancel_requested_at=func.coalesce(pms_attempts.c.cancel_requested_at, at)),
    )
