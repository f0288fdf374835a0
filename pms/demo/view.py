"""What a spectator of the demonstration sees: a live picture, or lines where nothing can move."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pms.cli.farm_view import Status, printer_parts, queue_lines, summary
from pms.cli.output import add_row, can_animate, console, duration, show_line, table, visible
from pms.cli.picture import changes
from pms.domain.states import AttemptState
from pms.store.job_overview import AttemptDetails, CopyDetails


class View(Protocol):
    """Where the demonstration tells what happens."""

    def note(self, text: str) -> None:
        """Tell something once."""

    def show(self, status: Status) -> None:
        """Show the farm as it is now."""


@contextmanager
def open_view() -> Iterator[View]:
    """The view that fits who reads, until the end of the block."""
    if not can_animate():
        yield Lines()
        return
    # Not refreshed by a thread: the picture changes when the caller has a new one.
    with Live(console=console(), auto_refresh=False, transient=True) as live:
        yield Screen(live)


class Lines:
    """A line for each change, with the seconds since the start."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._before: Status | None = None

    def note(self, text: str) -> None:
        """Tell something once."""
        show_line(f"{time.monotonic() - self._started_at:6.1f} s  {text}")

    def show(self, status: Status) -> None:
        """Tell what has changed."""
        for line in changes(self._before, status):
            self.note(line)
        self._before = status


class Screen:
    """The printers with progress bars at the bottom, what was told once above."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._started_at = time.monotonic()

    def note(self, text: str) -> None:
        """Tell something once."""
        self._live.console.print(Text(visible(text)))

    def show(self, status: Status) -> None:
        """Draw the farm anew, once there is one."""
        if status["printers"]:
            self._live.update(Group(*self._parts(status)), refresh=True)

    def _parts(self, status: Status) -> Iterable[RenderableType]:
        printers = status["printers"]
        yield Text()
        yield from printer_parts(printers, self._live.console.width, bars=True)
        yield Text()
        for line in queue_lines(status["queue"]):
            yield Text(visible(line))
        elapsed = duration(time.monotonic() - self._started_at)
        yield Text(f"{summary(printers)}; {elapsed} since the start; Ctrl-C ends all", style="bold")


def summary_table(copies: Iterable[CopyDetails]) -> Table:
    """Which copy was printed where, how often it was tried, when, and how long it took."""
    made = table("Print", "Result", "Printer", "Attempts", "Started", "Finished", "Took")
    for copy in copies:
        last = copy.attempts[-1] if copy.attempts else None
        add_row(
            made,
            copy.print_id,
            last.state if last else copy.status,
            copy.printer,
            _tries(copy.attempts),
            _clock(copy.started_at),
            _clock(copy.finished_at),
            _took(copy),
        )
    return made


def _tries(attempts: tuple[AttemptDetails, ...]) -> str:
    bad = [attempt for attempt in attempts if attempt.state != AttemptState.CLEARED]
    words = [f"{attempt.state} on {attempt.printer}" for attempt in bad]
    return f"{len(attempts)} ({', '.join(words)})" if words else str(len(attempts))


def _clock(at: datetime | None) -> str:
    return at.astimezone().strftime("%H:%M:%S") if at else "-"


def _took(copy: CopyDetails) -> str:
    if copy.started_at is None or copy.finished_at is None:
        return "-"
    return f"{(copy.finished_at - copy.started_at).total_seconds():.1f} s"
