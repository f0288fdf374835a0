"""The options of `pms-coordinator printer …`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pms.cli.arguments import (
    add_command,
    add_commands,
    material,
    name,
)

if TYPE_CHECKING:
    from pms.cli.arguments import Commands


def add_printers(commands: Commands) -> None:
    """Add `printer …`."""
    printers = add_commands(add_command(commands, "printer", "", "add, change or remove printers"))
    _add_printer_add(printers)
    add_command(
        printers,
        "list",
        "pms.cli.printers:list_printers",
        "list all printers as they are set up",
        examples="pms-coordinator printer list",
        json=True,
    )
    for verb, summary, description in (
        ("remove", "remove a printer", "Remove a printer that works on no print."),
        (
            "enable",
            "let a printer take copies",
            "Let a printer take copies, also after it was suspended because prints failed.",
        ),
        (
            "disable",
            "let a printer take no more copies",
            "Let a printer take no more copies. A print in progress goes on.",
        ),
    ):
        added = add_command(
            printers,
            verb,
            f"pms.cli.printers:{verb}",
            summary,
            description=description,
            examples=f"pms-coordinator printer {verb} mk4-1",
            json=True,
        )
        added.add_argument("name", metavar="NAME", type=name, help="name or id")
    _add_printer_set(printers)


def _add_printer_add(printers: Commands) -> None:
    add = add_command(
        printers,
        "add",
        "pms.cli.printers:add",
        "add a printer",
        description="Add a printer, enabled. A model that is not known yet is created.",
        examples="""
pms-coordinator printer add mk4-1 --url http://10.0.0.7:5000 --api-key KEY --model MK4
pms-coordinator printer add belt-1 --url belt.local --api-key KEY --model Belt --autostart""",
        json=True,
    )
    add.add_argument("name", metavar="NAME", type=name)
    add.add_argument(
        "--url", metavar="U", required=True, type=name, help="OctoPrint's base URL, or its host"
    )
    add.add_argument(
        "--api-key", metavar="K", required=True, type=name, help="OctoPrint's API key for PMS"
    )
    add.add_argument("--model", metavar="M", required=True, type=name, help="printer model")
    add.add_argument(
        "--autostart",
        action=argparse.BooleanOptionalAction,
        help="whether prints start without anybody clearing the bed; default: as the model says",
    )


def _add_printer_set(printers: Commands) -> None:
    change = add_command(
        printers,
        "set",
        "pms.cli.printers:change",
        "change a printer",
        description="Change a printer; what is not named stays as it is.",
        examples="""
pms-coordinator printer set mk4-1 --url http://10.0.0.8:5000
pms-coordinator printer set mk4-1 --material PLA/Black PLA/White
pms-coordinator printer set mk4-1 --model-autostart""",
        json=True,
    )
    change.add_argument("name", metavar="NAME", type=name, help="name or id")
    change.add_argument("--url", metavar="U", type=name, help="OctoPrint's base URL, or its host")
    change.add_argument("--api-key", metavar="K", type=name, help="OctoPrint's API key for PMS")
    change.add_argument("--model", metavar="M", type=name, help="printer model")
    autostart = change.add_mutually_exclusive_group()
    for option, value, help_text in (
        ("--autostart", "on", "prints start without anybody clearing the bed"),
        ("--no-autostart", "off", "a person clears the bed after each print"),
        ("--model-autostart", "model", "as the printer's model says"),
    ):
        autostart.add_argument(
            option, dest="autostart", action="store_const", const=value, help=help_text
        )
    change.add_argument(
        "--material",
        metavar="TYPE/COLOR",
        type=material,
        nargs="*",
        action="extend",
        help="all that is loaded now; no value: nothing is",
    )
