"""`watch`: the farm live, until Ctrl-C."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from pms.bus.endpoints import Endpoints
from pms.cli.farm_view import Status
from pms.cli.full_screen import FullScreen, Key
from pms.cli.output import can_animate, show_json_line, show_line, warn
from pms.cli.picture import Picture, changes, pictures
from pms.cli.session import read_settings
from pms.cli.watch_view import View, frame, pressed


def watch(options: argparse.Namespace) -> int:
    """Show each picture in the way that fits who reads."""
    endpoints = Endpoints(read_settings().runtime_dir)
    try:
        if options.json:
            _as_json(pictures(endpoints))
        elif can_animate():
            _on_terminal(endpoints)
        else:
            _as_lines(pictures(endpoints))
    except KeyboardInterrupt:
        pass
    return 0


def _on_terminal(endpoints: Endpoints) -> None:
    screen = FullScreen()
    looks = pictures(endpoints, screen.keyboard)
    # Where no coordinator runs, the screen stays as it is.
    first = next(looks)
    view, page = View(), 1
    with screen:
        for picture in chain((first,), looks):
            for key in screen.pressed_keys():
                if key is Key.QUIT:
                    return
                view = pressed(view, key, page)
            drawn = frame(picture.status, *screen.size, view, picture.problem)
            view, page = drawn.view, drawn.page
            screen.draw(drawn.lines)


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
