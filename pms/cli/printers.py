"""`printer …`: works on the database, whether a coordinator runs or not."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from pms.cli.output import add_row, show, show_json, show_line, table
from pms.cli.session import read_settings, wake
from pms.cli.storage import open_database
from pms.errors import RefusedError
from pms.redaction import redact, register_secret
from pms.store import catalog, events
from pms.store import printers as known_printers
from pms.store.catalog import NewPrinter, PrinterEntry
from workers.address import normalize_address

_AUTOSTART = {"on": True, "off": False, "model": None}


def add(options: argparse.Namespace) -> int:
    """Add a printer, and its model where that is new."""
    register_secret(options.api_key)
    settings = read_settings()
    address = normalize_address(options.url)
    with open_database(settings) as database, database.begin() as connection:
        model_id, new_model = catalog.find_or_create_model(connection, options.model)
        printer = NewPrinter(
            name=options.name,
            model_id=model_id,
            address=address,
            api_key=options.api_key,
            autostart=options.autostart,
        )
        printer_id = catalog.add_printer(connection, printer)
        _note(connection, "printer_added", printer_id, f"{options.name} at {address}")
    wake(settings)
    if options.json:
        show_json({"printer_id": printer_id, "name": options.name, "model_created": new_model})
        return 0
    _tell_of_model(options.model, new_model)
    show_line(f"added printer {options.name} with the id {printer_id}")
    return 0


def list_printers(options: argparse.Namespace) -> int:
    """List the printers as they are set up, without their API keys."""
    with open_database(read_settings()) as database, database.read() as connection:
        entries = catalog.list_printers(connection)
    if options.json:
        show_json([_as_json(entry) for entry in entries])
    elif entries:
        _show_entries(entries)
    else:
        show_line("there are no printers; add one with `pms-coordinator printer add`")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove a printer that works on nothing."""
    settings = read_settings()
    with open_database(settings) as database, database.begin() as connection:
        printer_id = known_printers.find(connection, options.name)
        catalog.remove_printer(connection, printer_id, options.name)
        _note(connection, "printer_removed", printer_id, options.name)
    wake(settings)
    return _done(options, printer_id, "removed")


def enable(options: argparse.Namespace) -> int:
    """Let a printer take copies, also after a suspension."""
    return _set_enabled(options, enabled=True)


def disable(options: argparse.Namespace) -> int:
    """Let a printer take no more copies."""
    return _set_enabled(options, enabled=False)


def _set_enabled(options: argparse.Namespace, *, enabled: bool) -> int:
    settings = read_settings()
    verb = "enabled" if enabled else "disabled"
    with open_database(settings) as database, database.begin() as connection:
        printer_id = known_printers.find(connection, options.name)
        catalog.set_enabled(connection, printer_id, enabled)
        _note(connection, f"printer_{verb}", printer_id, "by an operator")
    wake(settings)
    return _done(options, printer_id, verb)


def change(options: argparse.Namespace) -> int:
    """Change what is named of a printer."""
    register_secret(options.api_key)
    settings = read_settings()
    values = _plain_changes(options)
    if not values and options.model is None and options.material is None:
        raise RefusedError(
            "nothing to change: name an option; see `pms-coordinator printer set --help`"
        )
    new_model = False
    with open_database(settings) as database, database.begin() as connection:
        printer_id = known_printers.find(connection, options.name)
        if options.model is not None:
            model_id, new_model = catalog.find_or_create_model(connection, options.model)
            values["printer_model_id"] = model_id
        catalog.update_printer(connection, printer_id, values)
        if options.material is not None:
            _load(connection, printer_id, options.material)
        _note(connection, "printer_changed", printer_id, ", ".join(_changed(options)))
    wake(settings)
    if not options.json:
        _tell_of_model(options.model, new_model)
    return _done(options, printer_id, "changed")


def _plain_changes(options: argparse.Namespace) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if options.url is not None:
        values["ip_address"] = normalize_address(options.url)
    if options.api_key is not None:
        values["api_key"] = options.api_key
    if options.autostart is not None:
        values["autostart"] = _AUTOSTART[options.autostart]
    return values


def _changed(options: argparse.Namespace) -> list[str]:
    """What was changed, for the diary; values could be secret."""
    names = ("url", "api_key", "model", "autostart", "material")
    return [name for name in names if getattr(options, name) is not None]


def _load(connection: Connection, printer_id: int, materials: list[tuple[str, str]]) -> None:
    ids = [catalog.find_or_create_material(connection, *material) for material in materials]
    catalog.load_materials(connection, printer_id, ids)


def _note(connection: Connection, kind: str, printer_id: int, detail: str) -> None:
    events.record(connection, datetime.now(UTC), kind, printer_id=printer_id, detail=detail)


def _tell_of_model(model: str, is_new: bool) -> None:
    if is_new:
        show_line(f"created the printer model {model}, with autostart off")


def _done(options: argparse.Namespace, printer_id: int, verb: str) -> int:
    if options.json:
        show_json({"printer_id": printer_id, "name": options.name, "state": verb})
    else:
        show_line(f"{verb} printer {options.name}")
    return 0


def _as_json(entry: PrinterEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "model": entry.model,
        "address": _address(entry),
        "has_api_key": entry.has_api_key,
        "enabled": entry.enabled,
        "suspended": entry.suspended,
        "autostart": entry.autostart,
        "own_autostart": entry.own_autostart,
        "materials": list(entry.materials),
    }


def _address(entry: PrinterEntry) -> str | None:
    """Other services' rows may hold a password in the address."""
    return None if entry.address is None else redact(entry.address)


def _show_entries(entries: list[PrinterEntry]) -> None:
    listed = table("Id", "Printer", "Model", "Address", "Key", "Copies", "Autostart", "Loaded")
    for entry in entries:
        add_row(
            listed,
            entry.id,
            entry.name,
            entry.model,
            _address(entry),
            "yes" if entry.has_api_key else "missing",
            _takes_copies(entry),
            ("yes" if entry.autostart else "no") + (" (model)" if _by_model(entry) else ""),
            ", ".join(entry.materials),
        )
    show(listed)


def _takes_copies(entry: PrinterEntry) -> str:
    if not entry.enabled:
        return "disabled"
    return "suspended" if entry.suspended else "enabled"


def _by_model(entry: PrinterEntry) -> bool:
    return entry.own_autostart is None
