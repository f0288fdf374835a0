"""The diary and the outbox do not grow for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, func, insert, select

from pms.store import events
from pms.store.database import Database
from pms.store.schema import create_openfarm, migrate
from pms.store.tables import pms_events, pms_outbox
from tests.e2e.conftest import CoordinatorFactory
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

#: More than one step deletes.
MANY = events.PRUNE_LIMIT * 5 // 2


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/pms.sqlite3"
    return str(request.getfixturevalue("empty_database").url)


def fill(connection: Connection, now: datetime) -> None:
    """Far more than a step of what is old, and one row of each that is not."""
    old, young = now - timedelta(days=8), now - timedelta(days=6)
    rows = [{"at": old, "kind": "old"}] * MANY + [{"at": young, "kind": "young"}]
    connection.execute(insert(pms_events), rows)
    message = {"exchange": "PrintStarted", "job_id": 1, "body": b"{}", "created_at": old}
    # The last one is still to be published, however old it is.
    published = [old] * MANY + [young, None]
    messages = [
        message | {"message_id": f"m-{n}", "published_at": at} for n, at in enumerate(published)
    ]
    connection.execute(insert(pms_outbox), messages)


def count(database: Database, table: Table) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_coordinator_prunes_step_by_step_until_nothing_old_is_left(
    url: str, coordinator_factory: CoordinatorFactory
) -> None:
    database = Database(url)
    create_openfarm(database)
    migrate(database)
    with database.begin() as connection:
        fill(connection, datetime.now(UTC))
    coordinator = coordinator_factory(
        {"DATABASE_CONNECTION_STRING": url, "PMS_EVENT_RETENTION_DAYS": "7"}
    )
    coordinator.start()
    wait_until(lambda: count(database, pms_outbox) == 2, 30.0, "only young messages to be left")
    with database.read() as connection:
        kinds = [entry.kind for entry in events.recent(connection)]
    assert kinds[0] == "young"
    assert "old" not in kinds
    coordinator.close()
    database.close()
