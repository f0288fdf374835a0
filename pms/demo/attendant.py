"""The person in the demonstration's farm: takes finished parts off the beds."""

from __future__ import annotations

from collections.abc import Callable

from pms.cli.farm_view import Status
from pms.domain.states import Bed, PrinterState
from pms.errors import CoordinatorNotRunningError, RefusedError

#: So long a finished part lies on its bed.
WALK_S = 3.0

#: A part may be taken off: the print has ended, well or badly.
_AT_REST = frozenset({PrinterState.FINISHED, PrinterState.IDLE})


class Attendant:
    """Clears each occupied bed once its part has lain there for a moment."""

    def __init__(self, clear: Callable[[str, int], None], tell: Callable[[str], None]) -> None:
        """`clear` gets the names of a printer and its print, `tell` a line for people."""
        self._clear = clear
        self._tell = tell
        #: Since when, in monotonic seconds, a print lies on a printer.
        self._since: dict[tuple[str, int], float] = {}
        self._cleared: set[tuple[str, int]] = set()

    def look(self, status: Status, now: float) -> None:
        """See to the beds that `status` shows."""
        lying = set(_lying(status)) - self._cleared
        self._since = {part: self._since.get(part, now) for part in lying}
        for part, since in sorted(self._since.items()):
            if now - since >= WALK_S:
                self._take_off(part)

    def _take_off(self, part: tuple[str, int]) -> None:
        printer, print_id = part
        try:
            self._clear(printer, print_id)
        except (RefusedError, CoordinatorNotRunningError) as error:
            self._tell(f"{printer} could not be cleared, comes again soon: {error}")
            del self._since[part]
            return
        self._cleared.add(part)
        self._tell(
            f"the operator takes print {print_id} off the bed: pms-coordinator clear {printer}"
        )


def _lying(status: Status) -> list[tuple[str, int]]:
    return [
        (printer["name"], printer["print_id"])
        for printer in status["printers"]
        if printer["bed"] == Bed.OCCUPIED
        and printer["state"] in _AT_REST
        and printer["print_id"] is not None
    ]
