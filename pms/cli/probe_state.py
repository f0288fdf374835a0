"""`pms-probe state`: what is known of one printer now, on one screen."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from pms.cli import probe_sight
from pms.cli.output import count, duration, facts, moment, show, show_json, visible
from pms.cli.probe_belief import Belief, Unknown, belief_of
from pms.cli.probe_session import open_session
from pms.cli.probe_sight import Sight
from pms.domain.observation import FileFacts
from pms.domain.states import Bed
from workers.octoprint_console import SerialConnection


def state(options: argparse.Namespace) -> int:
    """Show the printer as OctoPrint has it, and as PMS believes it."""
    with open_session(options) as session:
        octoprint = session.octoprint
        version = octoprint.version()["server"]
        sight = probe_sight.look(octoprint)
        connection = octoprint.serial_connection()
        path = sight.seen.path
        file = None if path is None else octoprint.file(path)
        belief = belief_of(session)
    if options.json:
        about = {"address": octoprint.address, "version": version}
        connected = {
            "port": connection.port,
            "baudrate": connection.baudrate,
            "profile": connection.printer_profile,
        }
        show_json(
            about | probe_sight.as_json(sight) | {"connection": connected} | _believed(belief)
        )
    else:
        show(facts(_rows(f"{version} at {octoprint.address}", sight, connection, file, belief)))
        _show_events(belief)
    return 0


def _believed(belief: Belief | Unknown) -> dict[str, Any]:
    if isinstance(belief, Unknown):
        return {"pms": None, "pms_unknown": belief.reason, "events": []}
    printer, attempt = belief.printer, belief.attempt
    shown = ("id", "name", "state", "state_since", "detail", "bed", "bed_print_id", "attention")
    copy = ("print_id", "job_id", "state", "remote_path")
    return {
        "pms": {name: getattr(printer, name) for name in shown}
        | {"attempt": attempt and {name: getattr(attempt, name) for name in copy}},
        "pms_unknown": None,
        "events": [event._asdict() for event in belief.events],
    }


def _rows(
    about: str,
    sight: Sight,
    connection: SerialConnection,
    file: FileFacts | None,
    belief: Belief | Unknown,
) -> Iterator[tuple[str, RenderableType | int | None]]:
    yield "OctoPrint", about
    yield "connection", describe_connection(connection)
    yield from probe_sight.rows(sight)
    yield "prints of it", None if file is None else describe_history(file)
    yield from _belief_rows(belief)


def describe_connection(connection: SerialConnection) -> str | None:
    """Port, speed and profile in words; None: there is no connection."""
    if connection.port is None:
        return None
    return f"{connection.port} at {connection.baudrate} baud, profile {connection.printer_profile}"


def describe_history(file: FileFacts) -> str:
    """How the prints of a file have ended."""
    if not file.was_printed:
        return "none has ended yet"
    took = "" if file.last_print_time_s is None else f" in {duration(file.last_print_time_s)}"
    last = f", the last one {'well' if file.last_success else 'badly'}{took}"
    return f"{count(file.successes, 'success', 'successes')}, {count(file.failures, 'failure')}" + (
        "" if file.last_success is None else last
    )


def _belief_rows(belief: Belief | Unknown) -> Iterator[tuple[str, RenderableType | int | None]]:
    if isinstance(belief, Unknown):
        yield "PMS", Text(visible(belief.reason), style="dim")
        return
    printer, attempt = belief.printer, belief.attempt
    why = f": {printer.detail}" if printer.detail else ""
    yield "PMS", f"{printer.name} is {printer.state} since {moment(printer.state_since)}{why}"
    by = "" if printer.bed_print_id is None else f" by print {printer.bed_print_id}"
    bed = f"{printer.bed}{by}"
    yield "bed", Text(bed, style="yellow" if printer.bed == Bed.OCCUPIED else "")
    if attempt is not None:
        yield "copy", f"print {attempt.print_id} of job {attempt.job_id} is {attempt.state}"
    if printer.attention:
        yield "attention", Text(visible(printer.attention), style="bold red")


def _show_events(belief: Belief | Unknown) -> None:
    if isinstance(belief, Unknown) or not belief.events:
        return
    # Imports the store, which a look at an address alone does without.
    from pms.cli.events import describe

    show(Text("\nlast events", style="bold"))
    for event in belief.events:
        show(Text(visible(describe(event, {event.printer_id or 0: belief.printer.name}))))
