"""Brings the database to where the coordinator can work with it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

from pms.config import Settings
from pms.domain.backoff import backoff_s
from pms.errors import (
    DatabaseClaimedError,
    DatabaseUnavailableError,
    RefusedError,
    SettingsError,
)
from pms.store import schema
from pms.store.database import Database

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 15.0
#: A coordinator that was killed may be in the way until the server has noticed its end.
CLAIM_PATIENCE_S = 3.0
#: How often a wait looks whether it should end.
PATIENCE_S = 0.2


def prepare_database(database: Database, settings: Settings, stopping: Callable[[], bool]) -> None:
    """Check OpenFarm's tables and migrate PMS's own; waits for a database that is away.

    Raises SchemaError when OpenFarm's tables are missing, and RefusedError when another coordinator
    works on them. Returns early when `stopping`.
    """
    failures = 0
    while not stopping():
        try:
            _prepare(database, settings, stopping)
        except DatabaseUnavailableError as error:
            failures += 1
            if failures == 1:
                logger.warning("database_away", extra={"fields": {"error": str(error)}})
            _pause(backoff_s(failures, random.random(), cap=LONGEST_WAIT_S), stopping)
        else:
            return


def _prepare(database: Database, settings: Settings, stopping: Callable[[], bool]) -> None:
    _make_data_dir(settings.data_dir)
    _claim(database, stopping)
    if stopping():
        return
    if settings.embedded_database:
        schema.create_openfarm(database)
    else:
        schema.check_openfarm(database)
    schema.migrate(database)


def _claim(database: Database, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + CLAIM_PATIENCE_S
    while not stopping():
        try:
            database.claim()
        except DatabaseClaimedError as error:
            if time.monotonic() > until:
                raise RefusedError(f"{error}: stop it first, or use another database") from error
        else:
            return
        time.sleep(PATIENCE_S)


def _make_data_dir(data_dir: Path) -> None:
    """The embedded database in it holds API keys, so it is its owner's alone."""
    if data_dir.is_dir():
        return
    try:
        data_dir.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"PMS_DATA_DIR={str(data_dir)!r} cannot be made: {error.strerror}"
        ) from error


def _pause(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopping() and (left := until - time.monotonic()) > 0:
        time.sleep(min(PATIENCE_S, left))
