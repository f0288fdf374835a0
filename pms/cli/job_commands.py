"""The options of `pms-coordinator submit` and `job …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pms.cli.arguments import (
    MAX_INTEGER,
    add_command,
    add_commands,
    add_limit,
    material,
    name,
    row_id,
    whole_number,
)

if TYPE_CHECKING:
    from pms.cli.arguments import Commands


def add_jobs(commands: Commands) -> None:
    """Add `submit` and `job …`."""
    _add_submit(commands)
    summary = "look at jobs, change their order, retry or end them"
    jobs = add_commands(add_command(commands, "job", "", summary))
    listed = add_command(
        jobs,
        "list",
        "pms.cli.jobs:list_jobs",
        "list the newest jobs",
        examples="pms-coordinator job list\npms-coordinator job list --limit 5 --json",
        json=True,
    )
    add_limit(listed, "jobs", 50)
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
