"""`pms-probe state`: one look at an OctoPrint, the same that a printer's process takes."""

from __future__ import annotations

import argparse
from typing import Any

from pms.cli.output import add_row, duration, percent, show, show_json, table
from pms.cli.session import read_settings
from pms.redaction import register_secret
from workers.octoprint import OctoPrint


def state(options: argparse.Namespace) -> int:
    """Show what the printer does, and with what."""
    register_secret(options.api_key)
    timeout_s = read_settings().http_timeout_s
    with OctoPrint(options.url, options.api_key, timeout_s) as octoprint:
        version = octoprint.version()
        look = octoprint.look()
        facts: dict[str, Any] = {
            "address": octoprint.address,
            "version": version["server"],
            "activity": look.activity,
            "state_text": look.state_text,
            "error": look.error,
            "path": look.path,
            "filepos": look.filepos,
            "progress": look.progress,
            "time_left_s": look.time_left_s,
        }
    if options.json:
        show_json(facts)
    else:
        _show(facts)
    return 0


def _show(facts: dict[str, Any]) -> None:
    shown = table("Fact", "Value")
    words = facts | {
        "progress": percent(facts["progress"]),
        "time_left_s": duration(facts["time_left_s"]),
    }
    for fact, value in words.items():
        add_row(shown, fact.removesuffix("_s").replace("_", " "), value)
    show(shown)
