"""`pms-coordinator`: the commands and their options.

Every process of PMS imports this module again, because it is where the program begins. So it
imports nothing heavy; each command names the function that carries it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pms import __version__
from pms.cli import command
from pms.cli.arguments import (
    MAX_INTEGER,
    add_command,
    add_commands,
    add_completion,
    material,
    name,
    new_parser,
    row_id,
    whole_number,
)

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
    _add_jobs(commands)
    _add_printers(commands)
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


def _add_jobs(commands: Commands) -> None:
    _add_submit(commands)
    jobs = add_commands(add_command(commands, "job", "", "look at jobs and change their order"))
    listed = add_command(
        jobs,
        "list",
        "pms.cli.jobs:list_jobs",
        "list the newest jobs",
        examples="pms-coordinator job list\npms-coordinator job list --limit 5 --json",
        json=True,
    )
    _add_limit(listed, "jobs", 50)
    show = add_command(
        jobs,
        "show",
        "pms.cli.jobs:show_job",
        "show a job with its copies and what was tried for each",
        examples="pms-coordinator job show 7",
        json=True,
    )
    show.add_argument("job_id", metavar="ID", type=row_id)
    for word, target, help_text in (
        ("retry", "pms.cli.jobs:retry", "print once more the copies that failed for good"),
        ("cancel", "pms.cli.jobs:cancel", "give a job up; its running copies are cancelled"),
        ("reject", "pms.cli.jobs:reject", "give up a job that cannot be printed; tells OpenFarm"),
    ):
        command = add_command(
            jobs,
            word,
            target,
            help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}. Needs a running coordinator.",
            examples=f"pms-coordinator job {word} 7",
            json=True,
        )
        command.add_argument("job_id", metavar="ID", type=row_id)
    priority = add_command(
        jobs,
        "priority",
        "pms.cli.jobs:priority",
        "let a job be printed before others",
        description="Set the priority of a job: a job with a higher one is printed first. New "
        "jobs have 0.",
        examples="pms-coordinator job priority 7 10\npms-coordinator job priority 7 -5",
        json=True,
    )
    priority.add_argument("job_id", metavar="ID", type=row_id)
    priority.add_argument(
        "priority", metavar="N", type=whole_number(-MAX_INTEGER, MAX_INTEGER), help="0 is usual"
    )


def _add_submit(commands: Commands) -> None:
    submit = add_command(
        commands,
        "submit",
        "pms.cli.submit:submit",
        "print a G-code file of this host",
        description="Make a paid, approved job of a G-code file and print the job's id. The file "
        "is copied into PMS_DATA_DIR. Where FILE_SERVER_BASE_URL is set, jobs come from OpenFarm.",
        examples="""
pms-coordinator submit part.gcode
pms-coordinator submit part.gcode --copies 4 --model MK4 --material PLA/Black --wait""",
        json=True,
    )
    submit.add_argument("file", metavar="FILE")
    submit.add_argument(
        "--copies", metavar="N", type=whole_number(1, MAX_INTEGER), default=1, help="default: 1"
    )
    submit.add_argument(
        "--model", metavar="M", type=name, help="printer model that the file was sliced for"
    )
    submit.add_argument(
        "--material", metavar="TYPE/COLOR", type=material, help="what the printer must have loaded"
    )
    submit.add_argument(
        "--wait", action="store_true", help="follow the job until it is completed (exit code 0)"
    )


def _add_printers(commands: Commands) -> None:
    printers = add_commands(add_command(commands, "printer", "", "add, change or remove printers"))
    _add_printer_add(printers)
    add_command(
        printers,
        "list",
        "pms.cli.printers:list_printers",
        "list all printers as they are set up",
        examples="pms-coordinator printer list",
        json=True,
    )
    for verb, summary, description in (
        ("remove", "remove a printer", "Remove a printer that works on no print."),
        (
            "enable",
            "let a printer take copies",
            "Let a printer take copies, also after it was suspended because prints failed.",
        ),
        (
            "disable",
            "let a printer take no more copies",
            "Let a printer take no more copies. A print in progress goes on.",
        ),
    ):
        added = add_command(
            printers,
            verb,
            f"pms.cli.printers:{verb}",
            summary,
            description=description,
            examples=f"pms-coordinator printer {verb} mk4-1",
            json=True,
        )
        added.add_argument("name", metavar="NAME", type=name, help="name or id")
    _add_printer_set(printers)


def _add_printer_add(printers: Commands) -> None:
    add = add_command(
        printers,
        "add",
        "pms.cli.printers:add",
        "add a printer",
        description="Add a printer, enabled. A model that is not known yet is created.",
        examples="""
pms-coordinator printer add mk4-1 --url http://10.0.0.7:5000 --api-key KEY --model MK4
pms-coordinator printer add belt-1 --url belt.local --api-key KEY --model Belt --autostart""",
        json=True,
    )
    add.add_argument("name", metavar="NAME", type=name)
    add.add_argument(
        "--url", metavar="U", required=True, type=name, help="OctoPrint's base URL, or its host"
    )
    add.add_argument(
        "--api-key", metavar="K", required=True, type=name, help="OctoPrint's API key for PMS"
    )
    add.add_argument("--model", metavar="M", required=True, type=name, help="printer model")
    add.add_argument(
        "--autostart",
        action=argparse.BooleanOptionalAction,
        help="whether prints start without anybody clearing the bed; default: as the model says",
    )


def _add_printer_set(printers: Commands) -> None:
    change = add_command(
        printers,
        "set",
        "pms.cli.printers:change",
        "change a printer",
        description="Change a printer; what is not named stays as it is.",
        examples="""
pms-coordinator printer set mk4-1 --url http://10.0.0.8:5000
pms-coordinator printer set mk4-1 --material PLA/Black PLA/White
pms-coordinator printer set mk4-1 --model-autostart""",
        json=True,
    )
    change.add_argument("name", metavar="NAME", type=name, help="name or id")
    change.add_argument("--url", metavar="U", type=name, help="OctoPrint's base URL, or its host")
    change.add_argument("--api-key", metavar="K", type=name, help="OctoPrint's API key for PMS")
    change.add_argument("--model", metavar="M", type=name, help="printer model")
    autostart = change.add_mutually_exclusive_group()
    for option, value, help_text in (
        ("--autostart", "on", "prints start without anybody clearing the bed"),
        ("--no-autostart", "off", "a person clears the bed after each print"),
        ("--model-autostart", "model", "as the printer's model says"),
    ):
        autostart.add_argument(
            option, dest="autostart", action="store_const", const=value, help=help_text
        )
    change.add_argument(
        "--material",
        metavar="TYPE/COLOR",
        type=material,
        nargs="*",
        action="extend",
        help="all that is loaded now; no value: nothing is",
    )


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
    _add_limit(events, "events", 100)


def _add_demo(commands: Commands) -> None:
    demo = add_command(
        commands,
        "demo",
        "pms.cli.service:demo",
        "run a small farm with virtual printers, and print a few copies",
        description="Start real OctoPrint servers with virtual printers and a coordinator of "
        "their own, print some copies while showing how far they are, and stop everything again.",
        examples="pms-coordinator demo\npms-coordinator demo --printers 2 --copies 3",
    )
    demo.add_argument("--printers", metavar="N", type=whole_number(1, 100))
    demo.add_argument("--copies", metavar="N", type=whole_number(1, 1000))
    demo.add_argument(
        "--octoprint", action="store_true", help="use real OctoPrint servers, as it does anyway"
    )


def _add_limit(parser: argparse.ArgumentParser, what: str, default: int) -> None:
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number(1, 100_000),
        default=default,
        help=f"at most so many {what}; default: {default}",
    )
