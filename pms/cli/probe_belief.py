"""What PMS's database says of an OctoPrint, where there is one that knows it.

A command that is given an address works without all of this, so nothing here is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pms.errors import NotFoundError, PMSError
from workers.address import normalize_address
from workers.octoprint_errors import BadAddress

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pms.cli.probe_session import ProbeSession
    from pms.domain.states import AttemptState
    from pms.store.attempts import Attempt
    from pms.store.events import EventRow
    from pms.store.printers import PrinterRow

EVENTS_SHOWN = 5

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Belief:
    """What PMS believes of one printer."""

    printer: PrinterRow
    #: The live attempt; None: the printer has no copy.
    attempt: Attempt | None
    #: The newest of the diary, oldest first.
    events: list[EventRow]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why the database says nothing, for a person."""

    reason: str
    #: There is a database that may know more, but it could not be asked.
    doubtful: bool = False


def belief_of(session: ProbeSession) -> Belief | Unknown:
    """What PMS believes of this OctoPrint's printer."""
    return _consult(session, _belief)


def states_by_path(session: ProbeSession) -> dict[str, AttemptState] | Unknown:
    """The state of each attempt on this OctoPrint's printer, by the path of its file."""
    return _consult(session, _states)


def _consult(session: ProbeSession, read: Callable[[Connection, int], T]) -> T | Unknown:
    # Not above: most commands on a URL do without, and its libraries take long to import.
    from pms.cli.storage import found_database

    address = session.octoprint.address
    try:
        with found_database(session.settings) as database:
            if database is None:
                return Unknown("PMS has no database here")
            with database.read() as connection:
                printer_id = _find(connection, session.target.name, address)
                if printer_id is not None:
                    return read(connection, printer_id)
            return Unknown(f"PMS has no printer at {address} in its {database.description}")
    except NotFoundError as error:
        return Unknown(str(error))
    except PMSError as error:
        return Unknown(str(error), doubtful=True)


def _find(connection: Connection, name: str | None, address: str) -> int | None:
    from pms.store import catalog, printers

    if name is not None:
        return printers.find(connection, name)
    for access in catalog.all_access(connection):
        with suppress(BadAddress):
            if normalize_address(access.address or "") == address:
                return access.id
    return None


def _belief(connection: Connection, printer_id: int) -> Belief:
    from pms.store import attempts, events, printers

    return Belief(
        printer=printers.get(connection, printer_id),
        attempt=attempts.live_on(connection, printer_id),
        events=events.recent(connection, printer_id=printer_id, limit=EVENTS_SHOWN),
    )


def _states(connection: Connection, printer_id: int) -> dict[str, AttemptState]:
    from pms.store import attempts

    return attempts.states_by_path(connection, printer_id)
