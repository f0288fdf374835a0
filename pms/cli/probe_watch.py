"""`pms-probe watch`: one printer live, or OctoPrint's events, until Ctrl-C."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pms.cli import probe_sight
from pms.cli.output import (
    can_animate,
    console,
    facts,
    show_json_line,
    show_line,
    visible,
    warn,
)
from pms.cli.probe_feed import POLL_INTERVAL_S, Picture, feed, notices
from pms.cli.probe_session import ProbeSession, open_session
from workers.push_console import PushOccurred


def watch(options: argparse.Namespace) -> int:
    """Show what comes in the way that fits who reads."""
    with open_session(options) as session:
        try:
            if options.events:
                _events(session, as_json=options.json)
            elif options.json:
                _as_json(session)
            elif can_animate():
                _on_terminal(session)
            else:
                _as_lines(session)
        except KeyboardInterrupt:
            pass
    return 0


def _events(session: ProbeSession, *, as_json: bool) -> None:
    for item in _announcing(feed(session)):
        if not isinstance(item, PushOccurred):
            continue
        at = datetime.now(UTC)
        if as_json:
            show_json_line({"received_at": at, "type": item.kind, "payload": item.payload})
        else:
            payload = "" if item.payload is None else msgspec.json.encode(item.payload).decode()
            show_line(f"{at.astimezone():%H:%M:%S.%f} {item.kind} {payload}".rstrip())


def _as_json(session: ProbeSession) -> None:
    for picture in _pictures(session):
        show_json_line(as_json(picture))


def as_json(picture: Picture) -> dict[str, Any]:
    """The picture for programs."""
    source = "push" if picture.live else "polling"
    return {"at": datetime.now(UTC), "source": source} | probe_sight.as_json(picture.sight)


def _as_lines(session: ProbeSession) -> None:
    last = ""
    for picture in _pictures(session):
        line = probe_sight.describe(picture.sight)
        if line != last:
            show_line(f"{datetime.now():%H:%M:%S} {line}")
        last = line


def _pictures(session: ProbeSession) -> Iterator[Picture]:
    return (item for item in _announcing(feed(session)) if isinstance(item, Picture))


def _announcing(items: Iterator[Picture | PushOccurred]) -> Iterator[Picture | PushOccurred]:
    """Say on stderr when push or OctoPrint goes, and when it is back."""
    before: Picture | None = None
    for item in items:
        if isinstance(item, Picture):
            for notice in notices(before or item, item):
                warn(notice)
            before = item
        yield item


def _on_terminal(session: ProbeSession) -> None:
    about = session.name
    with Live(console=console(), auto_refresh=False) as screen:
        for item in feed(session):
            if isinstance(item, Picture):
                screen.update(screen_of(about, item), refresh=True)


def screen_of(name: str, picture: Picture) -> RenderableType:
    """The picture for a terminal."""
    how = "live through push" if picture.live else f"polling every {POLL_INTERVAL_S:g} s"
    why = f": {picture.no_push}" if picture.no_push else ""
    parts: list[RenderableType] = [Text(visible(f"{name}, {how}{why}"), style="bold")]
    if picture.problem:
        parts.append(Text(visible(picture.problem), style="bold red"))
    return Group(*parts, facts(probe_sight.rows(picture.sight)))
