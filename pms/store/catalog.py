"""What operators enter: printers with their models and materials, and jobs of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    Row,
    delete,
    exc,
    func,
    insert,
    select,
    update,
)

from pms.domain.states import JobStatus
from pms.errors import NotFoundError, RefusedError
from pms.store import attempts
from pms.store import printers as known_printers
from pms.store.tables import (
    colors,
    material_types,
    materials,
    pms_jobs,
    pms_printers,
    print_jobs,
    printer_models,
    printers,
    printers_loaded_materials,
)

#: Two operators may enter the same new thing in the same moment.
_AT_ONCE = "the {} has just been entered by somebody else; try again"


@dataclass(frozen=True, kw_only=True, slots=True)
class PrinterEntry:
    """A printer as operators have entered it; its API key stays in the database."""

    id: int
    name: str
    model: str
    address: str | None
    has_api_key: bool
    enabled: bool
    #: None: as the model says.
    own_autostart: bool | None
    model_autostart: bool
    #: `TYPE/COLOR` each.
    materials: tuple[str, ...]
    suspended: bool

    @property
    def autostart(self) -> bool:
        """Whether nobody needs to clear the bed."""
        return self.model_autostart if self.own_autostart is None else self.own_autostart


@dataclass(frozen=True, kw_only=True, slots=True)
class PrinterAccess:
    """How a printer is reached; None: nobody has entered that yet."""

    id: int
    name: str
    address: str | None
    api_key: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPrinter:
    """A printer to be entered, enabled from the start."""

    name: str
    model_id: int
    address: str
    api_key: str
    #: None: as the model says.
    autostart: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """A job that its operator has paid for and approved; None fits all printers."""

    copies: int
    model_id: int | None
    material_id: int | None
    #: Byte offset just behind the last M0 line of its G-code.
    finished_byte_pos: int | None


def list_printers(connection: Connection) -> list[PrinterEntry]:
    """Every printer, whether PMS has met it yet or not."""
    loaded = _loaded_materials(connection)
    rows = connection.execute(
        select(
            printers,
            printer_models.c.model,
            printer_models.c.autostart.label("model_autostart"),
            func.coalesce(pms_printers.c.suspended, False).label("suspended"),
        )
        .join(printer_models, printer_models.c.id == printers.c.printer_model_id)
        .outerjoin(pms_printers, pms_printers.c.printer_id == printers.c.id)
        .order_by(printers.c.id)
    ).mappings()
    return [
        PrinterEntry(
            id=row["id"],
            name=row["printer"],
            model=row["model"],
            address=row["ip_address"],
            has_api_key=bool(row["api_key"]),
            enabled=row["enabled"],
            own_autostart=row["autostart"],
            model_autostart=row["model_autostart"],
            materials=tuple(loaded.get(row["id"], ())),
            suspended=bool(row["suspended"]),
        )
        for row in rows
    ]


def access(connection: Connection, printer_id: int) -> PrinterAccess:
    """How a printer that is in the table is reached, whether PMS has met it yet or not."""
    return _access(connection, printers.c.id == printer_id)[0]


def all_access(connection: Connection) -> list[PrinterAccess]:
    """How each printer is reached."""
    return _access(connection)


def _access(connection: Connection, *conditions: ColumnElement[bool]) -> list[PrinterAccess]:
    columns = printers.c
    rows = connection.execute(
        select(columns.id, columns.printer, columns.ip_address, columns.api_key)
        .where(*conditions)
        .order_by(columns.id)
    )
    return [
        PrinterAccess(id=row.id, name=row.printer, address=row.ip_address, api_key=row.api_key)
        for row in rows
    ]


def _loaded_materials(connection: Connection) -> dict[int, list[str]]:
    names: defaultdict[int, list[str]] = defaultdict(list)
    rows = connection.execute(
        select(printers_loaded_materials.c.printer_id, material_types.c.type, colors.c.color)
        .join(materials, materials.c.id == printers_loaded_materials.c.material_id)
        .join(material_types, material_types.c.id == materials.c.material_type_id)
        .join(colors, colors.c.id == materials.c.material_color_id)
        .order_by(material_types.c.type, colors.c.color)
    )
    for printer_id, material_type, color in rows:
        names[printer_id].append(f"{material_type}/{color}")
    return names


def add_printer(connection: Connection, printer: NewPrinter) -> int:
    """Enter a printer and return its id; raises RefusedError when its name is taken."""
    statement = insert(printers).values(
        printer=printer.name,
        printer_model_id=printer.model_id,
        ip_address=printer.address,
        api_key=printer.api_key,
        enabled=True,
        autostart=printer.autostart,
    )
    return _enter(
        connection,
        statement,
        f"there is a printer {printer.name!r} already; choose another name,"
        " or change it with `pms-coordinator printer set`",
    )


def update_printer(connection: Connection, printer_id: int, values: Mapping[str, object]) -> None:
    """Change columns of OpenFarm's row of a printer."""
    if values:
        connection.execute(update(printers).where(printers.c.id == printer_id).values(values))


def set_enabled(connection: Connection, printer_id: int, enabled: bool) -> None:
    """Let a printer take copies or not; enabling it also lifts a suspension."""
    update_printer(connection, printer_id, {"enabled": enabled})
    if enabled:
        known_printers.unsuspend(connection, printer_id)


def load_materials(connection: Connection, printer_id: int, material_ids: Iterable[int]) -> None:
    """Record these materials as all that the printer has loaded."""
    connection.execute(
        delete(printers_loaded_materials).where(
            printers_loaded_materials.c.printer_id == printer_id
        )
    )
    rows = [
        {"printer_id": printer_id, "material_id": material_id} for material_id in set(material_ids)
    ]
    if rows:
        connection.execute(insert(printers_loaded_materials), rows)


def remove_printer(connection: Connection, printer_id: int, name: str) -> None:
    """Forget a printer; raises RefusedError while it has a copy."""
    attempt = attempts.live_on(connection, printer_id)
    if attempt is not None:
        raise RefusedError(
            f"printer {name} has print {attempt.print_id} ({attempt.state}): cancel it with"
            f" `pms-coordinator cancel {attempt.print_id}`, or clear the printer, then remove it"
        )
    connection.execute(delete(printers).where(printers.c.id == printer_id))
    known_printers.forget(connection, printer_id)


def find_model(connection: Connection, model: str) -> int:
    """The id of a printer model; raises NotFoundError naming those that there are."""
    found = _by_name(connection, printer_models.c.model, model)
    if found is not None:
        return int(found.id)
    known = connection.scalars(select(printer_models.c.model).order_by(printer_models.c.model))
    listed = ", ".join(known) or "none; add a printer first"
    raise NotFoundError(f"there is no printer model {model!r}; known models: {listed}")


def find_or_create_model(connection: Connection, model: str) -> tuple[int, bool]:
    """The id of a printer model, and whether it is new; a new one has autostart off."""
    found = _by_name(connection, printer_models.c.model, model)
    if found is not None:
        return int(found.id), False
    statement = insert(printer_models).values(model=model, autostart=False)
    return _enter(connection, statement, _AT_ONCE.format(f"printer model {model!r}")), True


def find_or_create_material(connection: Connection, material_type: str, color: str) -> int:
    """The id of a material, of which a type, a color or both may be new."""
    type_id = _find_or_create(connection, material_types.c.type, material_type)
    color_id = _find_or_create(connection, colors.c.color, color)
    found = connection.execute(
        select(materials.c.id).where(
            materials.c.material_type_id == type_id, materials.c.material_color_id == color_id
        )
    ).scalar_one_or_none()
    if found is not None:
        return int(found)
    statement = insert(materials).values(
        material_type_id=type_id, material_color_id=color_id, in_stock=True
    )
    return _enter(connection, statement, _AT_ONCE.format(f"material {material_type}/{color}"))


def _find_or_create(connection: Connection, column: Column[str], name: str) -> int:
    found = _by_name(connection, column, name)
    if found is not None:
        return int(found.id)
    statement = insert(column.table).values({column.name: name})
    return _enter(connection, statement, _AT_ONCE.format(f"{column.name} {name!r}"))


def _enter(connection: Connection, statement: Insert, refusal: str) -> int:
    """Insert a row and return its id; raises RefusedError when there is such a row already."""
    row_id = statement.table.c.id
    try:
        return int(connection.execute(statement.returning(row_id)).scalar_one())
    except exc.IntegrityError as error:
        raise RefusedError(refusal) from error


def _by_name(connection: Connection, column: Column[str], name: str) -> Row[tuple[int]] | None:
    """Upper and lower case do not matter, but the very same spelling comes first."""
    return connection.execute(
        select(column.table.c.id)
        .where(func.lower(column) == func.lower(name))
        .order_by(column != name)
        .limit(1)
    ).one_or_none()


def add_job(connection: Connection, job: NewJob, now: datetime) -> int:
    """Enter a paid, approved job and return its id; its prints are made by `intake.take_in`."""
    statement = insert(print_jobs).values(
        created_at=now,
        submitted_at=now,
        num_copies=job.copies,
        printer_model_id=job.model_id,
        material_id=job.material_id,
        finished_byte_pos=job.finished_byte_pos,
        paid=True,
        job_status=JobStatus.OPERATOR_APPROVED.value,
    )
    return int(connection.execute(statement.returning(print_jobs.c.id)).scalar_one())


def set_priority(connection: Connection, job_id: int, priority: int) -> None:
    """Let a job be printed before those of a lower priority.

    Raises NotFoundError, and RefusedError for a job that is not paid yet.
    """
    changed = connection.execute(
        update(pms_jobs).where(pms_jobs.c.job_id == job_id).values(priority=priority)
    )
    if changed.rowcount:
        return
    job = select(print_jobs.c.id).where(print_jobs.c.id == job_id)
    if connection.execute(job).one_or_none() is None:
        raise NotFoundError(f"there is no job {job_id}; see `pms-coordinator job list`")
    raise RefusedError(f"PMS has not taken in job {job_id} yet: it has to be paid first")
