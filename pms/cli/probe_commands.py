"""The commands of `pms-probe` that look at one OctoPrint or operate it, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pms.cli.arguments import add_command, add_yes, name, whole_number
from pms.cli.probe_target import add_target

if TYPE_CHECKING:
    from pms.cli.arguments import Commands

MAX_BENCH_MIB = 1000
MAX_TIMEOUT_S = 3600

_ASKS = " Asks first, unless --yes is given."


def add_looks(commands: Commands) -> None:
    """Add what changes nothing at the printer."""
    _add_state(commands)
    _add_watch(commands)
    _add_files(commands)
    _add_bench(commands)


def add_actions(commands: Commands) -> None:
    """Add what stores files, operates the printer, or ends a print."""
    _add_upload(commands)
    _add_print(commands)
    _add_orders(commands)
    _add_gcode(commands)


def _add_state(commands: Commands) -> None:
    state = add_command(
        commands,
        "state",
        "pms.cli.probe_state:state",
        "show what is known of one printer, on one screen",
        description="Show the printer, its temperatures, its file and how far that is as "
        "OctoPrint has it; and, where PMS's database knows the printer, the bed as PMS believes "
        "it and the last events.",
        examples="""
pms-probe state http://10.0.0.7:5000 --api-key KEY
pms-probe state --printer mk4-1 --json""",
        json=True,
    )
    add_target(state)


def _add_watch(commands: Commands) -> None:
    watch = add_command(
        commands,
        "watch",
        "pms.cli.probe_watch:watch",
        "follow one printer live",
        description="Follow one printer until Ctrl-C: live through OctoPrint's push connection, "
        "and by polling while there is none. Where the output is not a terminal, one line tells "
        "of each change; with --json each line is a whole picture, or with --events an event.",
        examples="""
pms-probe watch http://10.0.0.7:5000 --api-key KEY
pms-probe watch --printer mk4-1 --events
pms-probe watch --printer mk4-1 --json""",
        json=True,
    )
    add_target(watch)
    watch.add_argument(
        "--events", action="store_true", help="OctoPrint's own events instead, with their times"
    )


def _add_files(commands: Commands) -> None:
    files = add_command(
        commands,
        "files",
        "pms.cli.probe_files:files",
        "show the files on an OctoPrint, or remove those of PMS that are not needed",
        description="Show the files on an OctoPrint with size, date and prints. --clean removes "
        "files of PMS that nobody needs any more: those whose attempts are over, and those that "
        "PMS's database does not know (or all, where there is no database) once they have been "
        "printed or are a week old. A file that is selected or printed stays, and so does every "
        "file of others." + _ASKS,
        examples="""
pms-probe files http://10.0.0.7:5000 --api-key KEY
pms-probe files --printer mk4-1 --ours --json
pms-probe files --printer mk4-1 --clean --yes""",
        json=True,
    )
    add_target(files)
    files.add_argument("--ours", action="store_true", help="only those of PMS")
    files.add_argument("--clean", action="store_true", help="remove what is not needed")
    add_yes(files)


def _add_bench(commands: Commands) -> None:
    bench = add_command(
        commands,
        "bench",
        "pms.cli.probe_bench:bench",
        "measure how fast an OctoPrint answers and takes a file",
        description="Measure 100 round trips and the upload of a file of comments, which is "
        "removed again. Refuses while something prints.",
        examples="""
pms-probe bench http://10.0.0.7:5000 --api-key KEY
pms-probe bench --printer mk4-1 --size 100 --json""",
        json=True,
    )
    add_target(bench)
    bench.add_argument(
        "--size",
        metavar="MIB",
        type=whole_number(1, MAX_BENCH_MIB),
        default=10,
        help="the file's size in MiB (default: 10)",
    )
    bench.add_argument("--force", action="store_true", help="also while something prints")


def _add_upload(commands: Commands) -> None:
    upload = add_command(
        commands,
        "upload",
        "pms.cli.probe_upload:upload",
        "store a local file on an OctoPrint",
        description="Store a local file on an OctoPrint and compare its SHA-1. The file is "
        "neither selected nor printed, and a print goes on.",
        examples="""
pms-probe upload http://10.0.0.7:5000 part.gcode --api-key KEY
pms-probe upload --printer mk4-1 part.gcode --to tests/part.gcode --overwrite""",
        json=True,
    )
    add_target(upload)
    upload.add_argument("file", metavar="FILE", type=Path, help="a G-code file of this host")
    upload.add_argument(
        "--to",
        metavar="PATH",
        type=name,
        help="its path on OctoPrint, or a folder with / at its end (default: its name)",
    )
    upload.add_argument(
        "--overwrite", action="store_true", help="replace a file that is there already"
    )


def _add_print(commands: Commands) -> None:
    start = add_command(
        commands,
        "print",
        "pms.cli.probe_print:print_file",
        "print a file that is on an OctoPrint",
        description="Print a file that is on an OctoPrint, and wait until it prints. PMS does not "
        "know of such a print, and the bed must be clear. Refuses while another print runs, and, "
        "where PMS's database knows the printer, while that has a copy or its bed is occupied. "
        "A file of this host is uploaded first, with `pms-probe upload`." + _ASKS,
        examples="""
pms-probe print http://10.0.0.7:5000 part.gcode --api-key KEY
pms-probe print --printer mk4-1 tests/part.gcode --yes""",
        json=True,
    )
    add_target(start)
    start.add_argument("path", metavar="PATH", type=name, help="its path, as `files` shows it")
    add_yes(start)


def _add_orders(commands: Commands) -> None:
    for order, summary, more in (
        ("pause", "pause the print", ""),
        ("resume", "go on with a paused print", ""),
        (
            "cancel",
            "end the print",
            " PMS counts the end of a copy's print as a failure and may print it again; "
            "`pms-coordinator cancel` gives the copy up.",
        ),
        ("connect", "let OctoPrint connect to its printer", ""),
        (
            "disconnect",
            "let OctoPrint disconnect from its printer",
            " Refuses while something prints, because it would end that. A coordinator that serves "
            "the printer connects it again.",
        ),
    ):
        added = add_command(
            commands,
            order,
            "pms.cli.probe_control:control",
            summary,
            description=f"{summary[0].upper()}{summary[1:]}, and wait until that is so.{more}"
            + _ASKS,
            examples=f"pms-probe {order} http://10.0.0.7:5000 --api-key KEY\n"
            f"pms-probe {order} --printer mk4-1 --yes",
            json=True,
        )
        added.set_defaults(order=order)
        add_target(added)
        add_yes(added)
        if order == "disconnect":
            added.add_argument("--force", action="store_true", help="also while something prints")


def _add_gcode(commands: Commands) -> None:
    gcode = add_command(
        commands,
        "gcode",
        "pms.cli.probe_gcode:gcode",
        "send the printer a command and show its answer",
        description="Send the printer one G-code command and show what it answers. Refuses while "
        "something prints." + _ASKS,
        examples="""
pms-probe gcode http://10.0.0.7:5000 'M115' --api-key KEY
pms-probe gcode --printer mk4-1 'M503' --yes --json""",
        json=True,
    )
    add_target(gcode)
    gcode.add_argument("command", metavar="GCODE", type=name, help="the command, such as 'M115'")
    gcode.add_argument("--force", action="store_true", help="also while something prints")
    gcode.add_argument(
        "--timeout",
        metavar="S",
        type=whole_number(1, MAX_TIMEOUT_S),
        default=30,
        help="how long the printer may say nothing, in seconds (default: 30)",
    )
    add_yes(gcode)
