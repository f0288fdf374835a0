"""`watch`: the farm live, until Ctrl-C."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime

from rich.live import Live

from pms.bus.endpoints import Endpoints
from pms.cli.farm_view import Status, live
from pms.cli.output import can_animate, console, show_json_line, show_line, warn
from pms.cli.picture import Picture, changes, pictures
from pms.cli.session import read_settings


def watch(options: argparse.Namespace) -> int:
    """Show each picture in the way that fits who reads."""
    looks = pictures(Endpoints(read_settings().runtime_dir))
    try:
        if options.json:
            _as_json(looks)
        elif can_animate():
            _on_terminal(looks)
        else:
            _as_lines(looks)
    except KeyboardInterrupt:
        pass
    return 0


def _on_terminal(looks: Iterator[Picture]) -> None:
    target = console()
    with Live(console=target, auto_refresh=False) as screen:
        for picture in looks:
            shown = live(picture.status, target.width, picture.problem)
            screen.update(shown, refresh=True)


def _as_json(looks: Iterator[Picture]) -> None:
    for picture in _announcing(looks):
        if picture.asked:
            show_json_line(picture.status)


def _as_lines(looks: Iterator[Picture]) -> None:
    before: Status | None = None
    for picture in _announcing(looks):
        if not picture.asked:
            continue
        for line in changes(before, picture.status):
            show_line(f"{datetime.now():%H:%M:%S} {line}")
        before = picture.status


def _announcing(looks: Iterator[Picture]) -> Iterator[Picture]:
    """Say once on stderr when the coordinator goes, and when it is back."""
    problem: str | None = None
    for picture in looks:
        if picture.problem and not problem:
            warn(picture.problem)
        if problem and not picture.problem:
            warn("the coordinator is back")
        problem = picture.problem
        yield picture
