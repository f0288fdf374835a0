"""Which OctoPrint a command of `pms-probe` works on: one at a URL, or a printer of the database."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pms.cli.arguments import name
from pms.errors import UsageError
from pms.redaction import register_secret

if TYPE_CHECKING:
    from pms.store.catalog import PrinterAccess

#: Where the key is looked for when it is not given: other users see a command's arguments.
API_KEY_VARIABLE = "OCTOPRINT_API_KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An OctoPrint; what the database lacks is empty, and the client's errors tell of it."""

    #: As it was entered.
    address: str
    api_key: str = field(repr=False)
    #: The printer's name; None: it was given by its URL.
    name: str | None = None


def add_target(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Let a command take `URL --api-key K` or `--printer P`; gives the group of the two."""
    parser.add_argument(
        "--api-key",
        metavar="K",
        type=name,
        help=f"its API key (default: the variable {API_KEY_VARIABLE}; "
        "with --printer, the one in the database)",
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "url", metavar="URL", nargs="?", type=name, help="OctoPrint's base URL, or its host"
    )
    group.add_argument(
        "--printer", metavar="P", type=name, help="a printer of the database, name or id"
    )
    return group


def resolve_target(options: argparse.Namespace) -> Target:
    """The one OctoPrint that the options name; its API key is masked from now on.

    Raises UsageError without an API key for a URL, NotFoundError, and what the database raises.
    """
    if options.url is None:
        return _stored(options.printer, options.api_key)
    api_key = options.api_key or os.environ.get(API_KEY_VARIABLE, "").strip()
    if not api_key:
        raise UsageError(
            f"no API key: give one with --api-key K or in the variable {API_KEY_VARIABLE}; "
            "OctoPrint shows it under Settings > API or in the user's own settings"
        )
    register_secret(api_key)
    return Target(address=options.url, api_key=api_key)


def all_targets() -> list[Target]:
    """Every printer of the database; their API keys are masked from now on."""
    # Not above: a URL needs no database, and its libraries take long to import.
    from pms.cli.session import read_settings
    from pms.cli.storage import existing_database
    from pms.store import catalog

    with existing_database(read_settings()) as database, database.read() as connection:
        return [_target(access) for access in catalog.all_access(connection)]


def _stored(printer: str, api_key: str | None) -> Target:
    from pms.cli.session import read_settings
    from pms.cli.storage import existing_database
    from pms.store import catalog, printers

    with existing_database(read_settings()) as database, database.read() as connection:
        access = catalog.access(connection, printers.find(connection, printer))
    return _target(access, api_key)


def _target(access: PrinterAccess, api_key: str | None = None) -> Target:
    api_key = api_key or access.api_key or ""
    register_secret(api_key)
    return Target(address=access.address or "", api_key=api_key, name=access.name)
