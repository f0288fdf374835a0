"""`config` and `init-db`."""

from __future__ import annotations

import argparse

from pms.cli.output import add_row, show, show_json, show_line, table, warn
from pms.cli.session import read_settings
from pms.cli.storage import prepare_folder
from pms.store.database import Database
from pms.store.schema import create_openfarm, migrate


def config(options: argparse.Namespace) -> int:
    """Show every setting; secrets are masked."""
    settings = read_settings()
    for note in settings.notes:
        warn(note)
    descriptions = settings.describe()
    if options.json:
        show_json(
            [
                {
                    "variable": each.variable,
                    "value": each.value_text,
                    "source": each.source,
                    "meaning": each.meaning,
                }
                for each in descriptions
            ]
        )
        return 0
    settings_table = table("Variable", "Value", "Source", "Meaning")
    for each in descriptions:
        style = "bold" if each.source == "environment" else ""
        add_row(
            settings_table, each.variable, each.value_text, each.source, each.meaning, style=style
        )
    show(settings_table)
    return 0


def init_db(options: argparse.Namespace) -> int:
    """Create OpenFarm's tables where they are missing, and PMS's own."""
    settings = read_settings()
    prepare_folder(settings)
    database = Database(settings.database_url)
    try:
        created = create_openfarm(database)
        migrate(database)
    finally:
        database.close()
    if options.json:
        show_json({"database": database.description, "created": created})
    elif created:
        show_line(f"{database.description}: created {', '.join(created)}")
    else:
        show_line(f"{database.description}: all tables were there already")
    return 0
