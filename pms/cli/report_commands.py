"""The options of those commands of `pms-probe` that report on what PMS itself knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pms.cli.arguments import add_command, row_id

if TYPE_CHECKING:
    from pms.cli.arguments import Commands


def add_reports(commands: Commands) -> None:
    """Add `explain` and `bundle`."""
    explain = add_command(
        commands,
        "explain",
        "pms.cli.probe_explain:explain_command",
        "say why a job or a print is where it is, and what to do next",
        description="Say of each copy of a job, or of one print, where it is, what was tried, why "
        "it waits, what went wrong and when, and what to do next. All of it is read from the "
        "database, which is not changed; no coordinator and no printer has to answer.",
        examples="""
pms-probe explain job 12
pms-probe explain print 31
pms-probe explain job 12 --json""",
        json=True,
    )
    explain.add_argument("what", choices=("job", "print"), help="what the number is the id of")
    explain.add_argument("id", metavar="ID", type=row_id)
