"""Entering many printers at once, as `printer add` does one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pms.cli.storage import open_database
from pms.config import Settings
from pms.store import catalog
from pms.store.catalog import NewPrinter


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """A printer to be entered."""

    name: str
    #: The name of a model, which is made when there is none.
    model: str
    url: str
    api_key: str = field(repr=False)
    #: None: as its model says.
    autostart: bool | None = None


def register(settings: Settings, printers: Iterable[Registration]) -> None:
    """Enter printers into the database that the settings name. Raises PMSError."""
    with open_database(settings) as database, database.begin() as connection:
        for printer in printers:
            model_id, _ = catalog.find_or_create_model(connection, printer.model)
            entry = NewPrinter(
                name=printer.name,
                model_id=model_id,
                address=printer.url,
                api_key=printer.api_key,
                autostart=printer.autostart,
            )
            catalog.add_printer(connection, entry)
