"""`pms-probe`: looks at one OctoPrint, or at the bus of a running coordinator."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pms import __version__
from pms.cli import command
from pms.cli.arguments import (
    MixingParser,
    add_command,
    add_commands,
    add_completion,
    name,
    new_parser,
)
from pms.cli.probe_commands import add_actions, add_looks
from pms.cli.probe_target import add_target
from pms.cli.report_commands import add_reports

if TYPE_CHECKING:
    from pms.cli.arguments import Commands

PROGRAM = "pms-probe"

_DESCRIPTION = "Looks at single parts of a farm, to find out what is wrong with one."

_EXAMPLES = """
pms-probe check http://10.0.0.7:5000 --api-key KEY
pms-probe state http://10.0.0.7:5000 --api-key KEY
pms-probe bus --printer mk4-1"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    return command.run(PROGRAM, build_parser().parse_args(arguments))


def build_parser() -> argparse.ArgumentParser:
    """The whole tree of commands."""
    parser = new_parser(PROGRAM, _DESCRIPTION, _EXAMPLES, MixingParser)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = add_commands(parser)
    _add_check(commands)
    add_looks(commands)
    add_actions(commands)
    bus = add_command(
        commands,
        "bus",
        "pms.cli.probe_bus:bus",
        "show what a running coordinator publishes of its printers",
        description="Show every message that a running coordinator publishes of its printers, one "
        "a line, until Ctrl-C.",
        examples="pms-probe bus\npms-probe bus --printer mk4-1 --json",
        json=True,
    )
    bus.add_argument("--printer", metavar="P", type=name, help="only of this printer, name or id")
    add_reports(commands)
    add_completion(commands, PROGRAM)
    return parser


def _add_check(commands: Commands) -> None:
    check = add_command(
        commands,
        "check",
        "pms.cli.probe_check:check",
        "find out why a printer does not print",
        description="Look at everything that PMS needs of an OctoPrint, from the address up to an "
        "upload, and say what is wrong, why, and what helps. No print is disturbed: a small file "
        "is stored and deleted in a folder of its own, and all else only asks. Nothing but "
        "OctoPrint is needed when its URL is given. Exit code 0: all is well, 1: something is "
        "wrong.",
        examples="""
pms-probe check http://10.0.0.7:5000 --api-key KEY
pms-probe check https://farm.local/octoprint --no-write
pms-probe check --printer mk4-1 --json
pms-probe check --all""",
        json=True,
    )
    target = add_target(check)
    target.add_argument("--all", action="store_true", help="every printer of the database")
    check.add_argument("--no-write", action="store_true", help="leave out the upload")
