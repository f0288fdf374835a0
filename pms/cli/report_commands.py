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
    bundle = add_command(
        commands,
        "bundle",
        "pms.cli.probe_bundle:bundle",
        "pack what a bug report needs into a zip, without anything secret",
        description="Pack versions, settings, the farm's status, the newest rows of PMS's tables, "
        "the last lines of logs and what each OctoPrint answers into a zip, and say what went in. "
        "Every secret is replaced by ***. What is away is left out, and that is said. Without "
        "--log, the logs that supervisord makes by itself are looked for.",
        examples="""
pms-probe bundle
pms-probe bundle report.zip --log /var/log/pms.log
journalctl -u pms -n 2000 | pms-probe bundle --log -""",
        json=True,
    )
    bundle.add_argument(
        "file", metavar="FILE", nargs="?", help="default: pms-bundle- with the time, in this folder"
    )
    bundle.add_argument(
        "--log",
        metavar="FILE",
        action="append",
        default=[],
        help="a log of the coordinator, - for what is piped in; may be given several times",
    )
