"""What PMS leaves on an OctoPrint: when its files go, and whether there is room for more.

Pure: the caller brings what was seen and the time.
"""

from __future__ import annotations

from pms.bus.messages import Event, PrintCancelled, PrintFailed
from pms.domain.observation import Activity, Observation
from pms.domain.retention import expired
from pms.domain.states import TransferProblem
from workers.steps import Call, DeleteFile, Moment, Stock, TakeStock, TransferOutcome

#: After the start, so that it comes behind what is urgent then.
FIRST_STOCK_S = 5.0
STOCK_INTERVAL_S = 3600.0
#: While room is short, a person may be making some.
STOCK_INTERVAL_IF_SHORT_S = 60.0


class Housekeeping:
    """Knows which files can go, and remembers that OctoPrint had no room.

    What a process leaves behind when it dies is found by the next one's stocktaking.
    """

    def __init__(self, retention_s: float) -> None:
        self._retention_s = retention_s
        #: Until the coordinator has recorded an attempt's end, its file is evidence.
        self._unrecorded: dict[Event, str] = {}
        self._removable: list[str] = []
        self._next_stock_at: float | None = None
        #: OctoPrint's time, and when it was so, monotonic seconds.
        self._clock: tuple[float, float] | None = None
        #: Why the last file did not fit, in words; empty: it did.
        self.shortage = ""
        #: How much has to be free for it; None: that is not known.
        self._bytes_needed: int | None = None

    # -- files ------------------------------------------------------------------------

    def ended(self, end: Event, path: str) -> None:
        """An attempt is over."""
        self._unrecorded[end] = path

    def recorded(self, event: Event) -> None:
        """An event is recorded; the file of a print that went wrong stays for who looks into it."""
        path = self._unrecorded.pop(event, None)
        if path is not None and (self._retention_s == 0 or not _went_wrong(event)):
            self._removable.append(path)

    def heard_clock(self, clock: float, now: float) -> None:
        """OctoPrint has told its time, as Unix time."""
        self._clock = (clock, now)

    def took_stock(self, stock: Stock, now: Moment) -> None:
        """OctoPrint has listed what it holds."""
        old = expired(
            stock.files, clock=self._time_at_octoprint(now), retention_s=self._retention_s
        )
        known = {*self._removable, *self._unrecorded.values()}
        self._removable += [path for path in old if path not in known]
        needed, free = self._bytes_needed, stock.free_bytes
        if needed is not None and free is not None and free >= needed:
            self.shortage, self._bytes_needed = "", None

    def _time_at_octoprint(self, now: Moment) -> float:
        if self._clock is None:
            return now.utc.timestamp()
        clock, heard_at = self._clock
        return clock + now.monotonic - heard_at

    # -- room -------------------------------------------------------------------------

    def transferred(self, outcome: TransferOutcome, now: float) -> None:
        """A transfer has ended, well or badly."""
        if outcome.problem is TransferProblem.NO_ROOM:
            self.shortage, self._bytes_needed = outcome.detail, outcome.bytes_needed
            self._next_stock_at = now
        elif outcome.problem is None:
            self.shortage, self._bytes_needed = "", None

    # -- calls ------------------------------------------------------------------------

    def next_call(self, seen: Observation, task_path: str | None, now: float) -> Call | None:
        """What to ask of OctoPrint; nothing is touched that is selected or still needed."""
        if self._next_stock_at is None:
            self._next_stock_at = now + FIRST_STOCK_S
        if seen.activity is not Activity.OPERATIONAL:
            return None
        path = next((path for path in self._removable if path not in (seen.path, task_path)), None)
        if path is not None:
            self._removable.remove(path)
            return DeleteFile(path)
        if now < self.next_stock_at(seen, task_path):
            return None
        self._next_stock_at = now + (
            STOCK_INTERVAL_IF_SHORT_S if self.shortage else STOCK_INTERVAL_S
        )
        return TakeStock()

    def next_stock_at(self, seen: Observation, task_path: str | None) -> float:
        """When to take stock next, monotonic seconds; never while the printer is needed."""
        idle = seen.activity is Activity.OPERATIONAL and task_path is None
        return self._next_stock_at if idle and self._next_stock_at is not None else float("inf")


def _went_wrong(end: Event) -> bool:
    return isinstance(end, PrintFailed) or (
        isinstance(end, PrintCancelled) and end.may_have_started
    )
