"""The copies that a batch of reports is about: read together, and again if they may differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from pms.bus import messages as bus
from pms.bus.messages import Event
from pms.domain.printing import Copy
from pms.domain.states import PrinterState
from pms.store import locked_copies


class ReportedCopies:
    """Gives each copy as it is after everything that was written before, in the transaction."""

    def __init__(self, connection: Connection, reported: Iterable[Event]) -> None:
        self._connection = connection
        ids = [id for event in reported if (id := _asks_for(event)) is not None]
        self._unchanged = locked_copies.read_all(connection, ids)

    def take(self, attempt_id: int) -> Copy | None:
        """A copy as it is now; what is written because of it may be about others of its job."""
        found = self._unchanged.get(attempt_id) or locked_copies.read(self._connection, attempt_id)
        if found is not None:
            self._keep(lambda copy: copy.job_id != found.job_id)
            self.changed(found.printer_id)
        return found

    def changed(self, printer_id: int) -> None:
        """Something was written about a printer."""
        self._keep(lambda copy: copy.printer_id != printer_id)

    def _keep(self, is_as_it_was: Callable[[Copy], bool]) -> None:
        self._unchanged = {id: copy for id, copy in self._unchanged.items() if is_as_it_was(copy)}


def _asks_for(event: Event) -> int | None:
    """The attempt whose copy decides what follows from the event."""
    if isinstance(event, bus.PrinterReady):
        return None
    if isinstance(event, bus.PrinterStateChanged) and event.state is not PrinterState.TRANSFERRING:
        return None
    return event.attempt_id
