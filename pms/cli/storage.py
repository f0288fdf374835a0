"""The database for commands that work on it; apart, because its libraries take long to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from pms.config import Settings
from pms.errors import NotFoundError, SettingsError
from pms.store.database import Database
from pms.store.schema import check_migrated, check_openfarm, create_openfarm, migrate


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database, with all tables; an embedded one is created when it is missing.

    Raises SettingsError, SchemaError and DatabaseUnavailableError.
    """
    prepare_folder(settings)
    database = Database(settings.database_url)
    try:
        if settings.embedded_database:
            create_openfarm(database)
        else:
            check_openfarm(database)
        migrate(database)
        yield database
    finally:
        database.close()


@contextmanager
def found_database(settings: Settings) -> Iterator[Database | None]:
    """The database as it is, for a look that changes nothing; None: there is none yet.

    Raises SettingsError, SchemaError and DatabaseUnavailableError.
    """
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        yield None
        return
    database = Database(settings.database_url)
    try:
        check_openfarm(database)
        check_migrated(database)
        yield database
    finally:
        database.close()


@contextmanager
def existing_database(settings: Settings) -> Iterator[Database]:
    """The same for what makes no sense without a database; raises NotFoundError, too."""
    with found_database(settings) as database:
        if database is None:
            raise NotFoundError(
                f"there is no database in {settings.data_dir}: set PMS_DATA_DIR or"
                " DATABASE_CONNECTION_STRING as the coordinator has it"
            )
        yield database


def prepare_folder(settings: Settings) -> None:
    """Make the folder of an embedded database; raises SettingsError when that is not possible."""
    if not settings.embedded_database:
        return
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"PMS_DATA_DIR={str(settings.data_dir)!r} cannot be created: {error.strerror};"
            " choose a folder that can be written"
        ) from error
