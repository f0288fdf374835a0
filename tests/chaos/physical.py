"""What the printers really did, read from their own logs and from OctoPrint's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.chaos.customers import Job

_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) <<< (.*)$")
_NUMBERED = re.compile(r"^N\d+ (?P<command>.*)\*\d+$")
_STARTED = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - octoprint\.printer\.standard\.job - INFO - "
    r"Print job started - origin: local, path: ([^,]+),"
)
_PATH = re.compile(r"^pms/job-(?P<job>\d+)_print-(?P<print>\d+)_try-(?P<try>\d+)\.gcode$")
#: OctoPrint logs a start when it gets to it; the printer may have its first line before that.
LATE_LOG = timedelta(seconds=0.5)


@dataclass(kw_only=True)
class Run:
    """One start of a file on a printer, and how far the printer got with it."""

    printer_id: int
    path: str
    job_id: int
    asked_at: datetime
    began_at: datetime | None = None
    #: All lines up to the pause for the part were received.
    completed_at: datetime | None = None
    #: All lines were received.
    ended_at: datetime | None = None

    def __str__(self) -> str:
        times = [
            f"{name} {at:%H:%M:%S.%f}"
            for name, at in (
                ("asked", self.asked_at),
                ("began", self.began_at),
                ("complete", self.completed_at),
                ("ended", self.ended_at),
            )
            if at is not None
        ]
        return f"{self.path} on printer {self.printer_id}: {', '.join(times)}"


@dataclass(frozen=True)
class Mark:
    """A marker command as the printer received it."""

    at: datetime
    command: str


@dataclass(frozen=True)
class PrinterHistory:
    """Everything that one printer did, and markers that no start explains."""

    runs: list[Run]
    stray: list[Mark]


def read(folder: Path, printer_id: int, jobs: Iterable[Job]) -> PrinterHistory:
    """Read the logs in an OctoPrint's folder."""
    logs = folder / "logs"
    runs = list(_runs(logs / "octoprint.log", printer_id))
    marks = list(_marks(logs / "plugin_virtual_printer_serial.log"))
    stray: list[Mark] = []
    meanings = {m: (job.id, part) for job in jobs for m, part in _meanings(job)}
    for mark in marks:
        if mark.command not in meanings:
            continue
        job_id, parts = meanings[mark.command]
        run = _run_of(mark, job_id, parts, runs)
        if run is None:
            stray.append(mark)
            continue
        _take(run, mark.at, parts)
    return PrinterHistory(runs, stray)


def _meanings(job: Job) -> Iterator[tuple[str, tuple[str, ...]]]:
    gcode = job.gcode
    yield gcode.marks[0], ("began",)
    if gcode.marks_behind:
        yield gcode.marks[-1], ("complete",)
        yield gcode.marks_behind[-1], ("ended",)
    else:
        yield gcode.marks[-1], ("complete", "ended")


def _run_of(mark: Mark, job_id: int, parts: tuple[str, ...], runs: list[Run]) -> Run | None:
    """The start that explains a marker: the last one, and it must be of the same job."""
    if "began" in parts:
        before = [run for run in runs if run.asked_at <= mark.at + LATE_LOG]
        explains = bool(before) and before[-1].began_at is None
    else:
        before = [run for run in runs if run.began_at is not None]
        explains = bool(before)
    return before[-1] if explains and before[-1].job_id == job_id else None


def _take(run: Run, at: datetime, parts: tuple[str, ...]) -> None:
    if "began" in parts:
        run.began_at = run.began_at or at
    if "complete" in parts:
        run.completed_at = run.completed_at or at
    if "ended" in parts:
        run.ended_at = run.ended_at or at


def _runs(log: Path, printer_id: int) -> Iterator[Run]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if (found := _STARTED.match(line)) is None:
                continue
            path = found[2]
            named = _PATH.match(path)
            yield Run(
                printer_id=printer_id,
                path=path,
                job_id=int(named["job"]) if named else 0,
                asked_at=_moment(found[1]),
            )


def _marks(log: Path) -> Iterator[Mark]:
    """Each marker once for each time that line numbers began anew.

    The log has every line as many times as connections were opened, and a line that was sent
    again has the number that it had before.
    """
    numbering = ""
    seen: set[tuple[str, str]] = set()
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if (found := _LINE.match(line)) is None:
                continue
            numbered = _NUMBERED.match(found[2])
            command = numbered["command"] if numbered else found[2]
            if command.startswith("M110"):
                numbering = line
            elif command.startswith("M117") and (numbering, found[2]) not in seen:
                seen.add((numbering, found[2]))
                yield Mark(_moment(found[1]), command)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").astimezone()
