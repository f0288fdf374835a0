"""`status`, `clear`, `pause`, `resume`, `cancel`: questions to the running coordinator."""

from __future__ import annotations

import argparse
from typing import Any

from pms.bus.control import Ask, Cancel, Clear, GetStatus, Pause, Resume
from pms.cli.farm_view import overview
from pms.cli.output import console, show_json, show_line
from pms.cli.session import ask_coordinator, read_settings


def status(options: argparse.Namespace) -> int:
    """Show printers, queue, attention and health."""
    answer = ask_coordinator(read_settings(), GetStatus())
    if options.json:
        show_json(answer)
    else:
        target = console()
        target.print(overview(answer, target.width))
    return 0


def clear(options: argparse.Namespace) -> int:
    """Say that a printer's bed is empty."""
    question = Clear(printer=options.printer, print_id=options.print_id)
    return ask_and_show(options, question, f"printer {options.printer}")


def pause(options: argparse.Namespace) -> int:
    """Pause a print."""
    return ask_and_show(options, Pause(print_id=options.print_id), f"print {options.print_id}")


def resume(options: argparse.Namespace) -> int:
    """Go on with a paused print."""
    return ask_and_show(options, Resume(print_id=options.print_id), f"print {options.print_id}")


def cancel(options: argparse.Namespace) -> int:
    """Cancel a copy."""
    return ask_and_show(options, Cancel(print_id=options.print_id), f"print {options.print_id}")


def ask_and_show(options: argparse.Namespace, question: Ask, what: str) -> int:
    """Ask the coordinator for something and show in a line what became of it."""
    answer: dict[str, Any] | None = ask_coordinator(read_settings(), question)
    if options.json:
        show_json(answer)
    else:
        show_line(f"{what}: {(answer or {}).get('state', 'done')}")
    return 0
