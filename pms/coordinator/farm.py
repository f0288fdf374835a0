"""The live picture of the farm: what the printers' processes say, kept in memory only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pms.bus import messages as bus
from pms.bus.messages import Telemetry, Temperature
from pms.domain.backoff import still_waits
from pms.domain.printing import LONGEST_REST
from pms.domain.scheduling import PrinterView
from pms.domain.states import PrinterState
from pms.store.printers import PrinterRow


@dataclass(slots=True)
class LivePrinter:
    """What a printer's present process has said since it started."""

    #: What it reports; a process that has not reported yet is starting.
    state: PrinterState = PrinterState.STARTING
    detail: str = ""
    attempt_id: int | None = None
    progress: float | None = None
    #: When the progress last changed, monotonic seconds.
    progress_changed_at: float = 0.0
    time_left_s: float | None = None
    #: While a file is on its way to OctoPrint.
    transfer: bus.TransferProgress | None = None
    heaters: dict[str, Temperature] = field(default_factory=dict)
    last_seen_at: datetime | None = None

    def restart(self) -> None:
        """The process is gone; what it said does not count any more."""
        self.state, self.detail = PrinterState.STARTING, ""
        self.transfer = None

    def hear(self, message: Telemetry, now: float, at: datetime) -> None:
        """Take in telemetry."""
        self.last_seen_at = at
        match message:
            case bus.Progress():
                self._progress(message.attempt_id, message.progress, now)
                self.time_left_s = message.time_left_s
            case bus.TransferProgress():
                self.transfer = message
            case bus.Temperatures(heaters=heaters):
                self.heaters = heaters
            case bus.Heartbeat():
                pass

    def _progress(self, attempt_id: int, progress: float, now: float) -> None:
        if (attempt_id, progress) != (self.attempt_id, self.progress):
            self.progress_changed_at = now
        self.attempt_id, self.progress = attempt_id, progress

    def report(self, event: bus.PrinterStateChanged, now: float) -> None:
        """Take in a reported state."""
        if event.attempt_id != self.attempt_id:
            self.attempt_id, self.progress, self.time_left_s = event.attempt_id, None, None
        if event.state is not self.state:
            self.progress_changed_at = now
        if event.state is not PrinterState.TRANSFERRING:
            self.transfer = None
        self.state, self.detail = event.state, event.detail
        self.last_seen_at = event.at


class Farm:
    """All printers' live pictures by printer id."""

    def __init__(self) -> None:
        self._printers: dict[int, LivePrinter] = {}

    def __getitem__(self, printer_id: int) -> LivePrinter:
        return self._printers.setdefault(printer_id, LivePrinter())

    @classmethod
    def as_stored(cls, rows: Iterable[PrinterRow]) -> Farm:
        """What was reported last, as the database has it; for who cannot ask the coordinator."""
        farm = cls()
        for row in rows:
            farm[row.id].state, farm[row.id].detail = row.state, row.detail
        return farm

    def forget(self, printer_id: int) -> None:
        """The printer is no longer in the table."""
        self._printers.pop(printer_id, None)

    def progress(self) -> dict[int, float]:
        """How far the attempts are, 0 to 1, by attempt id."""
        return {
            live.attempt_id: live.progress
            for live in self._printers.values()
            if live.attempt_id is not None and live.progress is not None
        }

    @property
    def is_any_idle(self) -> bool:
        """Whether the process of a printer says that it could print."""
        return any(live.state is PrinterState.IDLE for live in self._printers.values())

    def idle(self) -> list[int]:
        """Printers whose processes say that they could print."""
        return [
            printer_id
            for printer_id, live in self._printers.items()
            if live.state is PrinterState.IDLE
        ]

    def stalled(self, now: float, after_s: float) -> list[int]:
        """Printers that are said to print but make no progress for so long, in seconds."""
        return [
            printer_id
            for printer_id, live in self._printers.items()
            if live.state is PrinterState.PRINTING and now - live.progress_changed_at >= after_s
        ]


def shown_state(row: PrinterRow, live: LivePrinter) -> PrinterState:
    """The state as an operator should see it: what PMS decides goes before what is reported."""
    if not row.enabled and live.state not in _WITH_A_PRINT:
        return PrinterState.DISABLED
    if row.suspended and live.state is PrinterState.IDLE:
        return PrinterState.SUSPENDED
    return live.state


#: A disabled printer that still has a print shows it.
_WITH_A_PRINT = frozenset(
    {
        PrinterState.TRANSFERRING,
        PrinterState.PRINTING,
        PrinterState.PAUSED,
        PrinterState.FINISHED,
        PrinterState.BUSY,
    }
)


def view(row: PrinterRow, live: LivePrinter, claimed: bool, now: datetime) -> PrinterView:
    """A printer as scheduling sees it."""
    state = shown_state(row, live)
    if not row.enabled:
        state = PrinterState.DISABLED
    return PrinterView(
        printer_id=row.id,
        model_id=row.model_id,
        model=row.model,
        materials=row.materials,
        state=state,
        bed=row.bed,
        claimed=claimed,
        resting=still_waits(row.resting_until, now, LONGEST_REST),
        consecutive_failures=row.consecutive_failures,
        completed=row.completed,
    )
