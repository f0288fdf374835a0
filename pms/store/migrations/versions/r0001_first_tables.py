"""The first tables: printers, attempts, jobs, outbox, events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LIVE = (
    "state IN ('claimed', 'transferring', 'staged', 'starting', 'printing', 'paused', 'finished')"
)


def upgrade() -> None:
    _create_printers()
    _create_attempts()
    _create_jobs()
    _create_outbox()
    _create_events()


def _create_printers() -> None:
    op.create_table(
        "pms_printers",
        sa.Column("printer_id", sa.Integer, autoincrement=False),
        sa.Column("state", sa.String(32), nullable=False),
        _time("state_since", nullable=False),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        sa.Column("bed", sa.String(32), nullable=False, server_default="clear"),
        sa.Column("bed_print_id", sa.BigInteger),
        sa.Column("suspended", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("consecutive_failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        _time("resting_until"),
        sa.Column("attention", sa.Text),
        _time("last_seen_at"),
        sa.Column("worker_pid", sa.Integer),
        sa.Column("incarnation", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("printer_id", name="pms_printers_pkey"),
    )


def _create_attempts() -> None:
    op.create_table(
        "pms_attempts",
        _identity(),
        sa.Column("print_id", sa.BigInteger, nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.Column("printer_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("remote_path", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("sha1", sa.String(40)),
        sa.Column("finish_marker", sa.BigInteger),
        sa.Column("progress", sa.Double, nullable=False, server_default=sa.text("0")),
        _time("claimed_at", nullable=False),
        _time("transferring_at"),
        _time("staged_at"),
        _time("starting_at"),
        _time("started_at"),
        _time("finished_at"),
        _time("clear_requested_at"),
        sa.Column("cleared_by_person", sa.Boolean, nullable=False, server_default=sa.false()),
        _time("cancel_requested_at"),
        _time("ended_at"),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pms_attempts_pkey"),
        sa.UniqueConstraint("print_id", "number", name="pms_attempts_print_id_number_key"),
        sa.UniqueConstraint("remote_path", name="pms_attempts_remote_path_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("pms_attempts_job_id", "pms_attempts", ["job_id"])
    _create_partial_index("pms_attempts_live_print", "pms_attempts", "print_id", _LIVE, unique=True)
    _create_partial_index(
        "pms_attempts_live_printer", "pms_attempts", "printer_id", _LIVE, unique=True
    )


def _create_jobs() -> None:
    op.create_table(
        "pms_jobs",
        sa.Column("job_id", sa.BigInteger, autoincrement=False),
        sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("0")),
        _time("paid_at", nullable=False),
        sa.Column("reprints_left", sa.Integer, nullable=False),
        sa.Column("attention", sa.Text),
        _time("gcode_retry_at"),
        sa.PrimaryKeyConstraint("job_id", name="pms_jobs_pkey"),
    )


def _create_outbox() -> None:
    op.create_table(
        "pms_outbox",
        _identity(),
        sa.Column("exchange", sa.String(255), nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        _time("created_at", nullable=False),
        _time("published_at"),
        sa.PrimaryKeyConstraint("id", name="pms_outbox_pkey"),
        sa.UniqueConstraint("message_id", name="pms_outbox_message_id_key"),
        sqlite_autoincrement=True,
    )
    _create_partial_index("pms_outbox_unpublished", "pms_outbox", "id", "published_at IS NULL")


def _create_events() -> None:
    op.create_table(
        "pms_events",
        _identity(),
        _time("at", nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("printer_id", sa.Integer),
        sa.Column("job_id", sa.BigInteger),
        sa.Column("print_id", sa.BigInteger),
        sa.Column("attempt_id", sa.BigInteger),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pms_events_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("pms_events_at", "pms_events", ["at"])
    op.create_index("pms_events_printer_id", "pms_events", ["printer_id", "id"])
    op.create_index("pms_events_job_id", "pms_events", ["job_id", "id"])


def _identity() -> sa.Column[int]:
    wide = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("id", wide, sa.Identity(always=True))


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _create_partial_index(
    name: str, table: str, column: str, condition: str, *, unique: bool = False
) -> None:
    where = sa.text(condition)
    op.create_index(
        name, table, [column], unique=unique, postgresql_where=where, sqlite_where=where
    )
