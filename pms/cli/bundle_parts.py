"""What a bug report tells of PMS itself; what is away stops no other part."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from pms.bus.control import GetStatus
from pms.cli.session import ask_coordinator
from pms.cli.storage import found_database
from pms.config import Settings
from pms.errors import PMSError
from pms.redaction import MIN_SECRET_LENGTH, names_secret
from pms.store import catalog, excerpt, job_overview
from pms.store.catalog import PrinterAccess

DISTRIBUTION = "printer-management-service"
ROWS = 1000
JOBS = 200
#: Of variables that are not PMS's, too.
_SECRET_VARIABLE = re.compile(r"(^|_)(key|token|secret|credentials?)(_|$)", re.IGNORECASE)
#: Folders, whatever else `pwd` is short for: masking them would blot out every path below.
_FOLDER_VARIABLES = frozenset({"PWD", "OLDPWD"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One file of the bundle, still with its secrets."""

    name: str
    about: str
    #: Text, or what JSON can hold.
    content: Any
    #: Why there is nothing better, for a person.
    problem: str | None = None


@dataclass(slots=True)
class Known:
    """What must not be seen, as far as it is known."""

    secrets: set[str]
    people: set[str] = field(default_factory=set)
    #: The printers' API keys are among the secrets.
    complete: bool = False


def versions() -> Part:
    """PMS, Python, the system, and the libraries."""
    names = [re.split(r"[^\w.-]", each)[0] for each in requires(DISTRIBUTION) or []]
    content = {
        "pms": version(DISTRIBUTION),
        "python": sys.version,
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "libraries": {name: _version(name) for name in dict.fromkeys(names)},
    }
    return Part(name="versions.json", about="PMS, Python, libraries, system", content=content)


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def settings_part(settings: Settings) -> Part:
    """Every setting; secrets are masked already."""
    content = [
        {"variable": each.variable, "value": each.value_text, "source": each.source}
        for each in settings.describe()
    ]
    notes = [{"note": note} for note in settings.notes]
    return Part(name="settings.json", about="the settings in force", content=content + notes)


def status(settings: Settings) -> Part:
    """What `status --json` shows."""
    about = "printers, queue and health, as the coordinator says"
    try:
        content, problem = ask_coordinator(settings, GetStatus()), None
    except PMSError as error:
        content, problem = {"error": str(error)}, f"the coordinator: {error}"
    return Part(name="status.json", about=about, content=content, problem=problem)


# -- the database ----------------------------------------------------------------------------


@dataclass(slots=True)
class Stored:
    """What the database says."""

    parts: list[Part] = field(default_factory=list)
    printers: list[PrinterAccess] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    complete: bool = False


def stored(settings: Settings) -> Stored:
    """The newest rows of PMS's tables, jobs, and how the printers are reached."""
    found = Stored()
    try:
        _read(settings, found)
    except (PMSError, SQLAlchemyError) as error:
        problem = f"the database: {error}"
        found.parts.append(
            Part(
                name="database.json",
                about="what the database says",
                content={"error": str(error)},
                problem=problem,
            )
        )
    return found


def _read(settings: Settings, found: Stored) -> None:
    with found_database(settings) as database:
        if database is None:
            raise PMSError(f"there is none in {settings.data_dir}")
        with database.read() as connection:
            found.printers = catalog.all_access(connection)
            found.people = excerpt.people(connection)
            found.complete = True
            entries = catalog.list_printers(connection)
            jobs = job_overview.newest(connection, JOBS)
            rows = excerpt.newest_rows(connection, ROWS)
    found.parts += [
        Part(name="database/printers.json", about="the printers' set-up", content=entries),
        Part(name="database/jobs.json", about=f"the newest {JOBS} jobs", content=jobs),
        *(
            Part(name=f"database/{table}.json", about=f"its newest {ROWS} rows", content=content)
            for table, content in rows.items()
        ),
    ]


# -- what must not be seen -----------------------------------------------------------------------


def known(settings: Settings, environ: Mapping[str, str], found: Stored) -> Known:
    """All that PMS knows to be secret."""
    secrets = {*settings.secrets, *_of_environment(environ), *_kept_sessions(settings)}
    secrets |= {printer.api_key for printer in found.printers if printer.api_key}
    for printer in found.printers:
        secrets |= _of_address(printer.address or "")
    return Known(secrets=secrets, people=found.people, complete=found.complete)


def _of_environment(environ: Mapping[str, str]) -> set[str]:
    """What is called a secret there, PMS's or not; a very short value is none."""
    names = {name for name in environ if names_secret(name) or _SECRET_VARIABLE.search(name)}
    names -= _FOLDER_VARIABLES
    values = {environ[name] for name in names if len(environ[name]) >= MIN_SECRET_LENGTH}
    # RabbitMQ's well-known default is none.
    return values - {"guest"}


def _kept_sessions(settings: Settings) -> Iterator[str]:
    for path in settings.runtime_dir.glob("printer-*.session"):
        with suppress(OSError, msgspec.DecodeError, KeyError, TypeError):
            yield msgspec.json.decode(path.read_bytes())["session"]


def _of_address(address: str) -> set[str]:
    """What somebody has written in front of the @ of an address."""
    before, at, _ = address.rpartition("@")
    userinfo = before.rpartition("://")[2]
    if not at or not userinfo:
        return set()
    user, colon, password = userinfo.partition(":")
    return {userinfo, unquote(password)} if colon else {unquote(user)}
