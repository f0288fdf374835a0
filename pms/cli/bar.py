"""A bar for how much of a file has been sent, beside the data, where somebody can watch it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from pms.cli.output import can_animate, console, data_size, visible
from workers.upload import OnProgress


@contextmanager
def sending(what: str) -> Iterator[OnProgress]:
    """Something to report progress to, which shows it as a bar on a terminal's stderr."""
    if not can_animate(sys.stderr):
        yield _unwatched
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        _Speed(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(visible(what), total=None)
        yield lambda sent, total: progress.update(task, completed=sent, total=total)


class _Speed(ProgressColumn):
    """In the units of the size beside it, and of what is reported at the end."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{data_size(speed)}/s")


def _unwatched(_sent: int, _total: int) -> None:
    pass
