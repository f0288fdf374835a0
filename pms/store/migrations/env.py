"""Run by Alembic for each command; `pms.store.schema` hands it the connection."""

from __future__ import annotations

from alembic import context

from pms.store.schema import is_ours
from pms.store.tables import pms

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=pms,
    version_table=context.config.attributes["version_table"],
    include_name=is_ours,
    # SQLite cannot alter a column in place.
    render_as_batch=True,
)
context.run_migrations()
