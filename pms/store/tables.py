"""All tables, described once for PostgreSQL and SQLite.

`openfarm` holds the tables that PMS shares with OpenFarm's other services and never alters;
`pms` holds its own, which the migrations create. Rows of ours refer to printers, jobs and
prints by plain numbers: a foreign key could block another service's delete, or let it take
the record of a live attempt along.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    func,
    literal_column,
    text,
)

from pms.domain.states import LIVE_STATES, AttemptState, Bed, JobStatus, PrintStatus


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on both databases; a naive one is refused with ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write UTC; SQLite stores it without the zone, so that texts sort like times."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Read as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text for people, of any length, that may quote other programs' output.

    Characters that PostgreSQL cannot store would make every retry fail as the first one did.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Drop NUL and replace lone surrogates."""
        if value is None:
            return None
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _one_of(column: str, values: type[JobStatus] | type[PrintStatus]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})")


def _identity() -> Column[int]:
    return Column("id", Integer, Identity(always=True), primary_key=True)


def _big_identity() -> Column[int]:
    # SQLite numbers rows by itself only in a column whose type is INTEGER.
    wide = BigInteger().with_variant(Integer, "sqlite")
    return Column("id", wide, Identity(always=True), primary_key=True)


def _cascade(name: str, target: str) -> Column[int]:
    return Column(name, Integer, ForeignKey(target, ondelete="CASCADE"), nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _load(name: str) -> Column[float]:
    return Column(name, Numeric(8, 3, asdecimal=False), nullable=False, server_default=text("0"))


def _created_at() -> Column[datetime]:
    return Column("created_at", UtcDateTime, nullable=False, server_default=func.now())


#: Numbers of deleted rows are never given out again, as on PostgreSQL.
_NEVER_REUSED: dict[str, Any] = {"sqlite_autoincrement": True}

openfarm = MetaData()

printer_models = Table(
    "printer_models",
    openfarm,
    _identity(),
    Column("model", String(255), unique=True, nullable=False),
    Column("autostart", Boolean, nullable=False),
    Column("bed_x_min", Integer),
    Column("bed_x_max", Integer),
    Column("bed_y_min", Integer),
    Column("bed_y_max", Integer),
    Column("bed_z_min", Integer),
    Column("bed_z_max", Integer),
    **_NEVER_REUSED,
)

printers = Table(
    "printers",
    openfarm,
    _identity(),
    Column("printer", String(255), unique=True, nullable=False),
    _cascade("printer_model_id", "printer_models.id"),
    Column("ip_address", String(255)),
    Column("api_key", String(255)),
    Column("enabled", Boolean, nullable=False),
    Column("autostart", Boolean),
    Column("currently_printing", Boolean, nullable=False, server_default=false()),
    **_NEVER_REUSED,
)

material_types = Table(
    "material_types",
    openfarm,
    _identity(),
    Column("type", String(255), unique=True, nullable=False),
    Column("bed_temp_floor", Integer),
    Column("bed_temp_ceiling", Integer),
    Column("print_temp_floor", Integer),
    Column("print_temp_ceiling", Integer),
    **_NEVER_REUSED,
)

colors = Table(
    "colors",
    openfarm,
    _identity(),
    Column("color", String(255), unique=True, nullable=False),
    **_NEVER_REUSED,
)

materials = Table(
    "materials",
    openfarm,
    _identity(),
    _cascade("material_type_id", "material_types.id"),
    _cascade("material_color_id", "colors.id"),
    Column("in_stock", Boolean, nullable=False),
    UniqueConstraint("material_type_id", "material_color_id"),
    **_NEVER_REUSED,
)

printers_loaded_materials = Table(
    "printers_loaded_materials",
    openfarm,
    _identity(),
    _cascade("printer_id", "printers.id"),
    _cascade("material_id", "materials.id"),
    UniqueConstraint("printer_id", "material_id"),
    **_NEVER_REUSED,
)

users = Table(
    "users",
    openfarm,
    _big_identity(),
    Column("name", String(255), nullable=False),
    Column("verified", Boolean),
    Column("suspended", Boolean, nullable=False, server_default=false()),
    Column("org_id", String(255), unique=True),
    _created_at(),
    **_NEVER_REUSED,
)

print_jobs = Table(
    "print_jobs",
    openfarm,
    _big_identity(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="SET NULL")),
    _created_at(),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("printer_model_id", Integer, ForeignKey("printer_models.id", ondelete="SET NULL")),
    Column("material_id", Integer, ForeignKey("materials.id", ondelete="SET NULL")),
    Column("response_id", String(255)),
    Column("num_copies", Integer, nullable=False, server_default=text("1")),
    Column("print_cost", Numeric(7, 2, asdecimal=False)),
    Column("print_weight", Double),
    Column("print_time", Double),
    Column("paid", Boolean, nullable=False, server_default=false()),
    Column("finished_byte_pos", BigInteger),
    Column("job_status", String(255), nullable=False, server_default=JobStatus.RECEIVED.value),
    _one_of("job_status", JobStatus),
    **_NEVER_REUSED,
)

prints = Table(
    "prints",
    openfarm,
    _big_identity(),
    Column("print_job_id", BigInteger, ForeignKey("print_jobs.id", ondelete="CASCADE")),
    Column("printer_id", Integer, ForeignKey("printers.id", ondelete="SET NULL")),
    _created_at(),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("print_status", String(255), nullable=False, server_default=PrintStatus.PENDING.value),
    _one_of("print_status", PrintStatus),
    **_NEVER_REUSED,
)

maintenance = Table(
    "maintenance",
    openfarm,
    Column(
        "maintenance_report_id",
        Integer,
        ForeignKey("printers.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("date_of_last_service", UtcDateTime),
    Column("date_of_next_service", UtcDateTime),
    _count("session_uptime"),
    _load("thermal_load_f"),
    _load("thermal_load_c"),
    _load("session_extrusion_volume_m3"),
    _load("session_extruder_traveled_m"),
    _count("session_error_count"),
    _count("session_prints_completed"),
    _count("session_prints_failed"),
)


pms = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)

pms_printers = Table(
    "pms_printers",
    pms,
    Column("printer_id", Integer, primary_key=True, autoincrement=False),
    Column("state", String(32), nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    Column("detail", Words, nullable=False, server_default=""),
    Column("bed", String(32), nullable=False, server_default=Bed.CLEAR.value),
    #: The print that lies on an occupied bed; null when it was not one of ours.
    Column("bed_print_id", BigInteger),
    Column("suspended", Boolean, nullable=False, server_default=false()),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    Column("resting_until", UtcDateTime),
    Column("attention", Words),
    Column("last_seen_at", UtcDateTime),
    Column("worker_pid", Integer),
    #: The last one used; each start of the printer's process takes the next.
    Column("incarnation", Integer, nullable=False, server_default=text("0")),
)

pms_attempts = Table(
    "pms_attempts",
    pms,
    _big_identity(),
    Column("print_id", BigInteger, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("printer_id", Integer, nullable=False),
    #: Counts the tries of one print from 1.
    Column("number", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("remote_path", String(255), nullable=False, unique=True),
    Column("size", BigInteger),
    Column("sha1", String(40)),
    Column("finish_marker", BigInteger),
    #: 0 to 1.
    Column("progress", Double, nullable=False, server_default=text("0")),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("transferring_at", UtcDateTime),
    Column("staged_at", UtcDateTime),
    Column("starting_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("clear_requested_at", UtcDateTime),
    #: A person has said that the bed is empty; otherwise the printer is to eject the part.
    Column("cleared_by_person", Boolean, nullable=False, server_default=false()),
    Column("cancel_requested_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("error", Words),
    UniqueConstraint("print_id", "number"),
    Index("pms_attempts_job_id", "job_id"),
    **_NEVER_REUSED,
)

#: Picks the attempts that are not over. Literals, so that both databases see that the
#: indexes below answer it.
attempt_is_live: ColumnElement[bool] = pms_attempts.c.state.in_(
    [literal_column(f"'{state}'") for state in AttemptState if state in LIVE_STATES]
)

for _name, _column in (
    ("pms_attempts_live_print", pms_attempts.c.print_id),
    ("pms_attempts_live_printer", pms_attempts.c.printer_id),
):
    Index(
        _name,
        _column,
        unique=True,
        postgresql_where=attempt_is_live,
        sqlite_where=attempt_is_live,
    )

pms_jobs = Table(
    "pms_jobs",
    pms,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    #: When PMS took the payment in; jobs of one priority print in this order.
    Column("paid_at", UtcDateTime, nullable=False),
    Column("reprints_left", Integer, nullable=False),
    Column("attention", Words),
    Column("gcode_retry_at", UtcDateTime),
)

pms_outbox = Table(
    "pms_outbox",
    pms,
    _big_identity(),
    Column("exchange", String(255), nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("message_id", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),
    **_NEVER_REUSED,
)

Index(
    "pms_outbox_unpublished",
    pms_outbox.c.id,
    postgresql_where=pms_outbox.c.published_at.is_(None),
    sqlite_where=pms_outbox.c.published_at.is_(None),
)

pms_events = Table(
    "pms_events",
    pms,
    _big_identity(),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("printer_id", Integer),
    Column("job_id", BigInteger),
    Column("print_id", BigInteger),
    Column("attempt_id", BigInteger),
    Column("detail", Words, nullable=False, server_default=""),
    Index("pms_events_at", "at"),
    Index("pms_events_printer_id", "printer_id", "id"),
    Index("pms_events_job_id", "job_id", "id"),
    **_NEVER_REUSED,
)
