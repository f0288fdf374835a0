"""`pms-probe explain`: a job or a print, explained from the database alone."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text
from sqlalchemy import Connection

from pms.bus.control import GetStatus
from pms.cli.copy_account import Facts
from pms.cli.explanation import Explanation, Story, Try, explain
from pms.cli.output import count, moment, percent, show, show_json, visible
from pms.cli.session import ask_coordinator, read_settings
from pms.cli.storage import existing_database
from pms.config import Settings
from pms.coordinator.assignments import views
from pms.coordinator.farm import Farm
from pms.domain.scheduling import schedule
from pms.errors import PMSError
from pms.store import attempts, events, job_overview, printers, queue

#: Lines of a job's diary that are looked through.
DIARY_LIMIT = 10_000
NOTHING_TO_DO, GOES_ON = "nothing", "nothing: it goes on by itself"


def explain_command(options: argparse.Namespace) -> int:
    """Explain a job, or one of its prints."""
    settings = read_settings()
    with existing_database(settings) as database, database.read() as connection:
        job_id = _job_id(connection, options.what, options.id)
        facts = read_facts(connection, settings, job_id, datetime.now(UTC))
    told = explain(dataclasses.replace(facts, coordinator_problem=_problem(settings)))
    if options.what == "print":
        told = only_print(told, options.id)
    if options.json:
        show_json(as_json(told))
    else:
        show_explanation(told, at_length=options.what == "print")
    return 0


def _job_id(connection: Connection, what: str, number: int) -> int:
    return number if what == "job" else job_overview.job_of(connection, number)


def read_facts(connection: Connection, settings: Settings, job_id: int, now: datetime) -> Facts:
    """All that the database knows of a job; raises NotFoundError."""
    job = job_overview.summary(connection, job_id)
    rows = printers.all_printers(connection)
    waiting = queue.read(connection, now)
    seen = views(rows, Farm.as_stored(rows), attempts.in_hand(connection), now)
    return Facts(
        job=job,
        copies=job_overview.copies(connection, job_id),
        printers={row.id: row for row in rows},
        views=seen,
        material_match=settings.material_match,
        needs={copy.print_id: copy.need for copy in waiting.startable},
        held_back=waiting.held_back,
        plan=schedule(waiting.startable, seen, settings.material_match),
        diary=events.recent(connection, job_id=job_id, limit=DIARY_LIMIT),
    )


def _problem(settings: Settings) -> str | None:
    """Why no coordinator does anything about it; None: one is there."""
    try:
        ask_coordinator(settings, GetStatus())
    except PMSError as error:
        return str(error)
    return None


def only_print(told: Explanation, print_id: int) -> Explanation:
    """The same for one of the copies."""
    stories = [story for story in told.copies if story.print_id == print_id]
    others = [step for story in told.copies if story not in stories for step in story.account.todo]
    own = [step for story in stories for step in story.account.todo]
    todo = [step for step in told.todo if step in own or step not in others]
    return dataclasses.replace(told, copies=stories, todo=todo)


def as_json(told: Explanation) -> dict[str, Any]:
    """The explanation for programs."""
    return dataclasses.asdict(told)


# -- for people ------------------------------------------------------------------------------


def show_explanation(told: Explanation, *, at_length: bool = False) -> None:
    """Print it; `at_length`: with every step of a try."""
    show(*_parts(told, at_length=at_length))


def _parts(told: Explanation, *, at_length: bool) -> Iterator[RenderableType]:
    yield Text(f"job {told.job_id}: {told.summary}", style="bold")
    if told.attention:
        yield _words(f"needs attention: {told.attention}", style="bold red")
    for alike in _alike(told.copies):
        yield Text()
        yield from _copy_parts(alike, at_length=at_length)
    yield Text()
    yield Text("what to do next", style="bold")
    for number, step in enumerate(told.todo, start=1):
        yield _indented(f"{number}. {step}")
    if not told.todo:
        is_over = all(story.account.over for story in told.copies)
        yield _indented(NOTHING_TO_DO if is_over else GOES_ON)


def _alike(stories: Sequence[Story]) -> Iterator[list[Story]]:
    """Neighbours of which there is the same to tell; those that were tried stand alone."""

    def key(story: Story) -> Any:
        tried = story.print_id if story.tries or story.notes else None
        return tried, story.account.summary, story.account.why

    for _, group in groupby(stories, key):
        yield list(group)


def _copy_parts(stories: Sequence[Story], *, at_length: bool) -> Iterator[RenderableType]:
    first, account = stories[0], stories[0].account
    since = "" if account.since is None else f", since {moment(account.since)}"
    yield _words(f"{_prints(stories)} {account.summary}{since}", style="bold")
    if account.why:
        yield _indented(f"why: {account.why}")
    for tried in first.tries:
        yield _indented(_try(tried))
        if at_length:
            yield from (_indented(f"{moment(step.at)}  {step.what}", 4) for step in tried.steps)
    yield from (_indented(f"{moment(note.at)}  {note.what}") for note in first.notes)


def _prints(stories: Sequence[Story]) -> str:
    if len(stories) == 1:
        return f"print {stories[0].print_id}"
    copies = count(len(stories), "copy", "copies")
    return f"prints {stories[0].print_id} to {stories[-1].print_id} ({copies}): each"


def _try(tried: Try) -> str:
    last = moment(tried.steps[-1].at) if tried.steps else "-"
    error = f": {tried.error}" if tried.error else ""
    done = percent(tried.progress)
    return f"try {tried.number} on {tried.printer}: {tried.state}, {done} done, {last}{error}"


def _words(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)


def _indented(text: str, by: int = 2) -> Padding:
    return Padding(_words(text), (0, 0, 0, by), expand=False)
