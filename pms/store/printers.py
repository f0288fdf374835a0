"""Printers: OpenFarm's rows, and beside them what PMS knows of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    exists,
    insert,
    select,
    update,
)

from pms.domain.states import Bed, PrinterState
from pms.errors import NotFoundError
from pms.store.pending import later
from pms.store.tables import (
    attempt_is_live,
    maintenance,
    pms_attempts,
    pms_printers,
    printer_models,
    printers,
    printers_loaded_materials,
)

#: A longer number fits no printer's id, and no integer column.
LONGEST_ID_DIGITS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class PrinterRow:
    """A printer as both sides know it."""

    id: int
    name: str
    model_id: int
    model: str
    address: str | None
    api_key: str | None
    enabled: bool
    autostart: bool
    currently_printing: bool
    materials: frozenset[int]
    completed: int
    state: PrinterState
    state_since: datetime
    detail: str
    bed: Bed
    bed_print_id: int | None
    suspended: bool
    consecutive_failures: int
    resting_until: datetime | None
    attention: str | None
    last_seen_at: datetime | None
    #: Of the last process that has reported.
    incarnation: int


def meet_new_ones(connection: Connection, now: datetime) -> None:
    """A printer that PMS meets for the first time counts as clear until it is seen to print."""
    known = select(pms_printers.c.printer_id)
    new = connection.execute(select(printers.c.id).where(printers.c.id.not_in(known))).scalars()
    rows = [
        {"printer_id": printer_id, "state": PrinterState.STARTING.value, "state_since": now}
        for printer_id in new
    ]
    if rows:
        connection.execute(insert(pms_printers), rows)


def all_printers(connection: Connection) -> list[PrinterRow]:
    """Every printer that is in the table and that PMS has met."""
    return _read(connection)


# Not with EXISTS: without statistics PostgreSQL compares every printer with every attempt then.
_WITH_ATTEMPT = select(pms_attempts.c.printer_id).where(attempt_is_live)
_FREE = (
    select(pms_printers.c.printer_id)
    .join(printers, printers.c.id == pms_printers.c.printer_id)
    .where(
        pms_printers.c.bed == Bed.CLEAR.value,
        ~pms_printers.c.suspended,
        printers.c.enabled,
        pms_printers.c.printer_id.not_in(_WITH_ATTEMPT),
    )
)


def free(connection: Connection) -> set[int]:
    """The printers that may take a copy, as far as the tables know."""
    return set(connection.execute(_FREE).scalars())


def some(connection: Connection, printer_ids: Iterable[int]) -> list[PrinterRow]:
    """Those of these printers that are in the table."""
    chosen = list(printer_ids)
    return _read(connection, printers.c.id.in_(chosen)) if chosen else []


def get(connection: Connection, printer_id: int) -> PrinterRow:
    """One printer; raises NotFoundError."""
    found = _read(connection, printers.c.id == printer_id)
    if not found:
        raise NotFoundError(f"the coordinator has not met printer {printer_id} yet: try again")
    return found[0]


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> list[PrinterRow]:
    rows = connection.execute(
        select(
            printers,
            printer_models.c.model,
            printer_models.c.autostart.label("model_autostart"),
            maintenance.c.session_prints_completed,
            *(column for column in pms_printers.c if column.name != "printer_id"),
        )
        .join(printer_models, printer_models.c.id == printers.c.printer_model_id)
        .join(pms_printers, pms_printers.c.printer_id == printers.c.id)
        .outerjoin(maintenance, maintenance.c.maintenance_report_id == printers.c.id)
        .where(*conditions)
        .order_by(printers.c.id)
    ).mappings()
    found = rows.all()
    materials = _loaded_materials(connection, [row["id"] for row in found] if conditions else None)
    return [_printer(row, materials) for row in found]


def _printer(row: Any, materials: dict[int, frozenset[int]]) -> PrinterRow:
    own = row["autostart"]
    return PrinterRow(
        id=row["id"],
        name=row["printer"],
        model_id=row["printer_model_id"],
        model=row["model"],
        address=row["ip_address"],
        api_key=row["api_key"],
        enabled=row["enabled"],
        autostart=row["model_autostart"] if own is None else own,
        currently_printing=row["currently_printing"],
        materials=materials.get(row["id"], frozenset()),
        completed=row["session_prints_completed"] or 0,
        state=PrinterState(row["state"]),
        state_since=row["state_since"],
        detail=row["detail"],
        bed=Bed(row["bed"]),
        bed_print_id=row["bed_print_id"],
        suspended=row["suspended"],
        consecutive_failures=row["consecutive_failures"],
        resting_until=row["resting_until"],
        attention=row["attention"],
        last_seen_at=row["last_seen_at"],
        incarnation=row["incarnation"],
    )


def _loaded_materials(
    connection: Connection, printer_ids: list[int] | None
) -> dict[int, frozenset[int]]:
    """Of these printers; None: of all."""
    columns = printers_loaded_materials.c
    chosen = select(columns.printer_id, columns.material_id)
    if printer_ids is not None:
        chosen = chosen.where(columns.printer_id.in_(printer_ids))
    loaded: defaultdict[int, set[int]] = defaultdict(set)
    for printer_id, material_id in connection.execute(chosen):
        loaded[printer_id].add(material_id)
    return {printer_id: frozenset(found) for printer_id, found in loaded.items()}


def names(connection: Connection) -> dict[int, str]:
    """Every printer's name by its id."""
    rows = connection.execute(select(printers.c.id, printers.c.printer))
    return {row.id: row.printer for row in rows}


def find(connection: Connection, name_or_id: str) -> int:
    """The id of a printer by its name or id; raises NotFoundError."""
    found = connection.execute(
        select(printers.c.id).where(printers.c.printer == name_or_id)
    ).scalar_one_or_none()
    if found is None and name_or_id.isdecimal() and len(name_or_id) <= LONGEST_ID_DIGITS:
        found = connection.execute(
            select(printers.c.id).where(printers.c.id == int(name_or_id))
        ).scalar_one_or_none()
    if found is None:
        raise NotFoundError(
            f"there is no printer {name_or_id!r}; see `pms-coordinator printer list`"
        )
    return int(found)


_OF_PRINTER = update(pms_printers).where(pms_printers.c.printer_id == bindparam("of_printer"))
_SET_STATE = _OF_PRINTER.values(
    state_since=case(
        (pms_printers.c.state == bindparam("new_state"), pms_printers.c.state_since),
        else_=bindparam("at", type_=pms_printers.c.state_since.type),
    )
)


def _update(connection: Connection, printer_id: int, **values: object) -> None:
    later(connection, _OF_PRINTER, {"of_printer": printer_id, **values})


def set_state(
    connection: Connection,
    printer_id: int,
    state: PrinterState,
    at: datetime,
    *,
    detail: str = "",
    attention: str | None = None,
) -> None:
    """Keep what a printer is doing, since when and why."""
    later(
        connection,
        _SET_STATE,
        {
            "of_printer": printer_id,
            "new_state": state.value,
            "at": at,
            "state": state.value,
            "detail": detail,
            "attention": attention,
            "last_seen_at": at,
        },
    )


def set_attention(connection: Connection, printer_id: int, text: str) -> None:
    """Say what a person has to see to at the printer, until its state changes."""
    _update(connection, printer_id, attention=text)


def set_worker(connection: Connection, printer_id: int, pid: int | None, incarnation: int) -> None:
    """Keep which process serves the printer, and which one of its processes that is."""
    _update(connection, printer_id, worker_pid=pid, incarnation=incarnation)


def occupy_bed(connection: Connection, printer_id: int, print_id: int | None) -> None:
    """From now on nothing may start on this printer."""
    _update(connection, printer_id, bed=Bed.OCCUPIED.value, bed_print_id=print_id)


def free_bed(connection: Connection, printer_id: int) -> None:
    """The bed is empty."""
    _update(connection, printer_id, bed=Bed.CLEAR.value, bed_print_id=None)


def count_failure(connection: Connection, printer_id: int) -> None:
    """One more failed print in a row."""
    more = _OF_PRINTER.values(consecutive_failures=pms_printers.c.consecutive_failures + 1)
    later(connection, more, {"of_printer": printer_id})


def reset_failures(connection: Connection, printer_id: int) -> None:
    """The printer has shown that it works."""
    _update(connection, printer_id, consecutive_failures=0)


def suspend(connection: Connection, printer_id: int) -> None:
    """Let the printer take no copy until a person has looked at it."""
    _update(connection, printer_id, suspended=True)


def unsuspend(connection: Connection, printer_id: int) -> None:
    """A person has looked at the printer."""
    _update(connection, printer_id, suspended=False, consecutive_failures=0, resting_until=None)


def rest(connection: Connection, printer_id: int, until: datetime) -> None:
    """Let the printer take no copy before then."""
    _update(connection, printer_id, resting_until=until)


def set_currently_printing(connection: Connection, printer_id: int, value: bool) -> None:
    """Show the rest of OpenFarm whether the printer prints."""
    statement = update(printers).where(printers.c.id == printer_id)
    later(connection, statement.values(currently_printing=value))


def count_print(connection: Connection, printer_id: int, *, completed: bool, seconds: int) -> None:
    """Add a print to the maintenance counters; `seconds` were spent printing."""
    columns = maintenance.c
    counted: dict[str, Any] = {"session_uptime": columns.session_uptime + seconds}
    if completed:
        counted["session_prints_completed"] = columns.session_prints_completed + 1
    else:
        counted["session_prints_failed"] = columns.session_prints_failed + 1
        counted["session_error_count"] = columns.session_error_count + 1
    of_printer = columns.maintenance_report_id == printer_id
    # OpenFarm makes the row with the printer, or does not.
    missing = select(printers.c.id).where(printers.c.id == printer_id, ~exists().where(of_printer))
    later(connection, insert(maintenance).from_select(["maintenance_report_id"], missing))
    later(connection, update(maintenance).where(of_printer).values(counted))


def forget(connection: Connection, printer_id: int) -> None:
    """Drop what PMS knows of a printer that is no longer in the table."""
    connection.execute(delete(pms_printers).where(pms_printers.c.printer_id == printer_id))
