"""What OpenFarm's other services do to the shared database, in single statements."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

from psycopg import sql

from tests.support.postgres import Database, Row

Table = Literal[
    "printer_models",
    "printers",
    "material_types",
    "colors",
    "materials",
    "printers_loaded_materials",
    "users",
    "print_jobs",
    "prints",
    "maintenance",
]


class OpenFarm:
    """One connection in autocommit mode, so that each call is seen by others at once."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def add_model(self, model: str, *, autostart: bool = False) -> int:
        return self.insert("printer_models", model=model, autostart=autostart)

    def add_printer(
        self,
        name: str,
        model_id: int,
        address: str | None,
        api_key: str | None,
        *,
        enabled: bool = True,
        autostart: bool | None = None,
    ) -> int:
        return self.insert(
            "printers",
            printer=name,
            printer_model_id=model_id,
            ip_address=address,
            api_key=api_key,
            enabled=enabled,
            autostart=autostart,
        )

    def add_material(self, material_type: str, color: str) -> int:
        """A material, with its type and color where they are not there yet."""
        return self.insert(
            "materials",
            material_type_id=self._ensure("material_types", "type", material_type),
            material_color_id=self._ensure("colors", "color", color),
            in_stock=True,
        )

    def load_material(self, printer_id: int, material_id: int) -> int:
        return self.insert(
            "printers_loaded_materials", printer_id=printer_id, material_id=material_id
        )

    def add_job(
        self,
        *,
        copies: int = 1,
        model: int | None = None,
        material: int | None = None,
        paid: bool = True,
        job_status: str = "operatorApproved",
        finished_byte_pos: int | None = None,
        **columns: Any,
    ) -> int:
        """A job as it is when its JobPaid comes; `columns` are more of its columns."""
        return self.insert(
            "print_jobs",
            submitted_at=columns.pop("submitted_at", datetime.now(UTC)),
            num_copies=copies,
            printer_model_id=model,
            material_id=material,
            paid=paid,
            job_status=job_status,
            finished_byte_pos=finished_byte_pos,
            **columns,
        )

    def job(self, job_id: int) -> Row:
        return self.row("print_jobs", id=job_id)

    def prints(self, job_id: int) -> list[Row]:
        """The prints of a job, oldest first."""
        return self.rows("prints", print_job_id=job_id)

    def print_statuses(self, job_id: int) -> list[str]:
        return sorted(row["print_status"] for row in self.prints(job_id))

    def printer(self, printer_id: int) -> Row:
        return self.row("printers", id=printer_id)

    def maintenance(self, printer_id: int) -> Row:
        return self.row("maintenance", maintenance_report_id=printer_id)

    def row(self, table: Table, **where: Any) -> Row:
        """The one row with these values."""
        rows = self.rows(table, **where)
        assert len(rows) == 1, f"{table} has {len(rows)} rows with {where}"
        return rows[0]

    def rows(self, table: Table | str, **where: Any) -> list[Row]:
        """The rows with these values, by the first column; tables of PMS's own as well."""
        statement = sql.SQL("SELECT * FROM {} WHERE {} ORDER BY 1").format(
            sql.Identifier(table), _pairs(where, " AND ") if where else sql.SQL("true")
        )
        return self._connection.execute(statement, where).fetchall()

    def insert(self, table: Table, **columns: Any) -> int:
        """Insert one row, and give the value of its first column."""
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(map(sql.Placeholder, columns)),
        )
        row = self._connection.execute(statement, columns).fetchone()
        assert row is not None
        return int(next(iter(row.values())))

    def update(self, table: Table, id: int, **columns: Any) -> None:
        """Change one row, which must be there."""
        key = "maintenance_report_id" if table == "maintenance" else "id"
        statement = sql.SQL("UPDATE {} SET {} WHERE {} = {}").format(
            sql.Identifier(table),
            _pairs(columns, ", "),
            sql.Identifier(key),
            sql.Literal(id),
        )
        changed = self._connection.execute(statement, columns).rowcount
        assert changed == 1, f"{table} has no row {id}"

    def delete(self, table: Table, id: int) -> None:
        statement = sql.SQL("DELETE FROM {} WHERE id = {}")
        self._connection.execute(statement.format(sql.Identifier(table), sql.Literal(id)))

    def _ensure(self, table: Table, column: str, value: str) -> int:
        rows = self.rows(table, **{column: value})
        return int(rows[0]["id"]) if rows else self.insert(table, **{column: value})


def _pairs(columns: dict[str, Any], separator: str) -> sql.Composed:
    return sql.SQL(separator).join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns
    )
