"""`pms-coordinator`: the commands and their options.

Every command begins here, the quick ones too. So this imports nothing heavy; each command names
the function that carries it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pms import __version__
from pms.cli import command
from pms.cli.arguments import (
    add_command,
    add_commands,
    add_completion,
    add_limit,
    add_yes,
    name,
    new_parser,
    row_id,
    whole_number,
)
from pms.cli.job_commands import add_jobs
from pms.cli.printer_commands import add_printers

if TYPE_CHECKING:
    from pms.cli.arguments import Commands

PROGRAM = "pms-coordinator"

_DESCRIPTION = """\
The printer management service of OpenFarm: takes paid jobs, gives their copies to fitting
printers, and follows each until its bed is cleared. Settings come from the environment;
`pms-coordinator config` shows them."""

_EXAMPLES = """
pms-coordinator start
pms-coordinator printer add mk4-1 --url http://10.0.0.7:5000 --api-key KEY --model MK4
pms-coordinator submit part.gcode --copies 3 --model MK4
pms-coordinator status
pms-coordinator clear mk4-1
pms-coordinator COMMAND --help"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0 done, 1 refused or failed, 2 wrong usage."""
    return command.run(PROGRAM, build_parser().parse_args(arguments))


def build_parser() -> argparse.ArgumentParser:
    """The whole tree of commands."""
    parser = new_parser(PROGRAM, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = add_commands(parser)
    _add_service(commands)
    _add_farm(commands)
    add_jobs(commands)
    _add_dead_letters(commands)
    add_printers(commands)
    _add_events(commands)
    _add_demo(commands)
    add_completion(commands, PROGRAM)
    return parser


def _add_service(commands: Commands) -> None:
    add_command(
        commands,
        "start",
        "pms.cli.service:start",
        "run the coordinator in the foreground",
        description="Run the coordinator in the foreground, with its log on stderr. It ends on "
        "SIGTERM or Ctrl-C within 10 s; prints in progress go on at their printers.",
        examples="""
pms-coordinator start
PMS_DATA_DIR=/var/lib/pms PMS_LOG_FORMAT=json pms-coordinator start""",
    )
    add_command(
        commands,
        "init-db",
        "pms.cli.settings:init_db",
        "create OpenFarm's tables where they are missing",
        description="Create those of OpenFarm's tables that are missing, and PMS's own. Only for "
        "farms without the rest of OpenFarm; what exists stays as it is.",
        examples="pms-coordinator init-db",
        json=True,
    )
    add_command(
        commands,
        "config",
        "pms.cli.settings:config",
        "show all settings, their values and where these come from",
        examples="pms-coordinator config\npms-coordinator config --json",
        json=True,
    )


def _add_farm(commands: Commands) -> None:
    add_command(
        commands,
        "status",
        "pms.cli.farm:status",
        "show printers, the queue with reasons, and what needs attention",
        examples="pms-coordinator status\npms-coordinator status --json",
        json=True,
    )
    add_command(
        commands,
        "watch",
        "pms.cli.watch:watch",
        "follow the farm live, with progress bars",
        description="Follow the farm live until Ctrl-C. Where the output is not a terminal, one "
        "line tells of each change; with --json each line is a whole status.",
        examples="pms-coordinator watch\npms-coordinator watch --json",
        json=True,
    )
    clear = add_command(
        commands,
        "clear",
        "pms.cli.farm:clear",
        "say that a printer's bed is empty",
        description="Say that the bed of a printer is empty: the finished part has been removed, "
        "so that the next print can start there.",
        examples="pms-coordinator clear mk4-1\npms-coordinator clear mk4-1 --print 12",
        json=True,
    )
    clear.add_argument("printer", metavar="PRINTER", type=name, help="name or id of the printer")
    clear.add_argument(
        "--print",
        dest="print_id",
        metavar="ID",
        type=row_id,
        help="clear this print only; without it, the one that lies there now",
    )
    for verb, summary in (
        ("pause", "pause a print"),
        ("resume", "go on with a paused print"),
        ("cancel", "cancel a copy, also while it prints; it is not printed again"),
    ):
        added = add_command(
            commands,
            verb,
            f"pms.cli.farm:{verb}",
            summary,
            examples=f"pms-coordinator {verb} 12",
            json=True,
        )
        added.add_argument("print_id", metavar="PRINT_ID", type=row_id)


def _add_dead_letters(commands: Commands) -> None:
    letters = add_commands(
        add_command(commands, "dead-letters", "", "see to messages that PMS could not act on")
    )
    add_command(
        letters,
        "list",
        "pms.cli.dead_letters:list_letters",
        "list the dead letters with the reason of each",
        description="List what lies in the queue pms.dead-letter, the oldest first, with the "
        "reason of each. Nothing is taken out of the queue.",
        examples="pms-coordinator dead-letters list\npms-coordinator dead-letters list --json",
        json=True,
    )
    show = add_command(
        letters,
        "show",
        "pms.cli.dead_letters:show_letter",
        "show one dead letter with its body",
        examples="pms-coordinator dead-letters show 3f0a1c9d2b7e",
        json=True,
    )
    show.add_argument("letter", metavar="ID", type=name, help="as `dead-letters list` shows it")
    requeue = add_command(
        letters,
        "requeue",
        "pms.cli.dead_letters:requeue",
        "let PMS try dead letters again, once their cause is mended",
        description="Put dead letters back into the queue that they came from, and only there: "
        "other services had their copy. Each leaves pms.dead-letter once the broker has confirmed "
        "the new one, so that none is ever lost.",
        examples="""
pms-coordinator dead-letters requeue 3f0a1c9d2b7e
pms-coordinator dead-letters requeue --all""",
        json=True,
    )
    _add_choice_of_letters(requeue)
    drop = add_command(
        letters,
        "drop",
        "pms.cli.dead_letters:drop",
        "delete dead letters for good",
        description="Delete dead letters for good; asks first.",
        examples="""
pms-coordinator dead-letters drop 3f0a1c9d2b7e
pms-coordinator dead-letters drop --all --yes""",
        json=True,
    )
    _add_choice_of_letters(drop)
    add_yes(drop)


def _add_choice_of_letters(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("letters", metavar="ID", type=name, nargs="*", default=[])
    which.add_argument("--all", action="store_true", help="all that lie there now")


def _add_events(commands: Commands) -> None:
    events = add_command(
        commands,
        "events",
        "pms.cli.events:events",
        "read the farm's diary",
        examples="""
pms-coordinator events --limit 20
pms-coordinator events --follow --printer mk4-1
pms-coordinator events --job 7 --json""",
        json=True,
    )
    events.add_argument("--follow", action="store_true", help="go on with what happens, one a line")
    events.add_argument("--printer", metavar="P", type=name, help="of this printer, name or id")
    events.add_argument("--job", dest="job_id", metavar="J", type=row_id, help="of this job")
    add_limit(events, "events", 100)


def _add_demo(commands: Commands) -> None:
    demo = add_command(
        commands,
        "demo",
        "pms.cli.service:demo",
        "run a small farm without printers, and print a few copies",
        description="Start simulated printers (or real OctoPrint servers with virtual printers) "
        "and a coordinator of their own, print some copies while showing how far they are, and "
        "stop everything again.",
        examples="pms-coordinator demo\npms-coordinator demo --printers 2 --copies 3\n"
        "pms-coordinator demo --octoprint",
    )
    demo.add_argument(
        "--printers", metavar="N", type=whole_number(1, 100), help="default: 6; with OctoPrints 3"
    )
    demo.add_argument(
        "--copies", metavar="N", type=whole_number(1, 1000), help="default: 12; with OctoPrints 4"
    )
    demo.add_argument(
        "--octoprint",
        action="store_true",
        help="use real OctoPrint servers; they must be installed",
    )
