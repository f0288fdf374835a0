"""`submit`: a job for a G-code file of this host, where no OpenFarm makes jobs."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from pms.cli.follow import follow
from pms.cli.gcode_intake import taken_in
from pms.cli.output import show_json, show_line
from pms.cli.session import read_settings, wake
from pms.cli.storage import open_database
from pms.config import Settings
from pms.domain.gcode_scan import GcodeFacts
from pms.errors import RefusedError
from pms.store import catalog, events, intake
from pms.store.catalog import NewJob


def submit(options: argparse.Namespace) -> int:
    """Make a paid, approved job of a file; with `--wait`, follow it to its end."""
    settings = read_settings()
    _check(settings, options.copies)
    source = Path(options.file)
    with open_database(settings) as database:
        with taken_in(source, settings.data_dir) as gcode, database.begin() as connection:
            job_id = _enter(connection, settings, options, gcode.facts)
            # Before the commit: a job whose file is not there would be refused by the printers.
            gcode.give_to(job_id)
        wake(settings)
        if options.wait:
            return follow(database, settings, job_id, as_json=options.json)
    if options.json:
        show_json({"job_id": job_id})
    else:
        show_line(str(job_id))
    return 0


def _check(settings: Settings, copies: int) -> None:
    if settings.file_server_base_url is not None:
        raise RefusedError(
            "jobs and their G-code come from OpenFarm, because FILE_SERVER_BASE_URL is set;"
            " submit the file there, or unset it to print files of this host"
        )
    if copies > settings.max_copies:
        raise RefusedError(
            f"{copies} copies are more than the {settings.max_copies} that PMS_MAX_COPIES allows;"
            " submit fewer"
        )


def _enter(
    connection: Connection, settings: Settings, options: argparse.Namespace, facts: GcodeFacts
) -> int:
    now = datetime.now(UTC)
    job = NewJob(
        copies=options.copies,
        model_id=None if options.model is None else catalog.find_model(connection, options.model),
        material_id=None
        if options.material is None
        else catalog.find_or_create_material(connection, *options.material),
        finished_byte_pos=facts.finish_marker,
    )
    job_id = catalog.add_job(connection, job, now)
    intake.take_in(
        connection, [job_id], now, max_copies=settings.max_copies, reprints=settings.reprints
    )
    detail = f"{Path(options.file).name}, {facts.size} bytes"
    events.record(connection, now, "job_submitted", job_id=job_id, detail=detail)
    return job_id
