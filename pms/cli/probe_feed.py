"""Keeps looking at one OctoPrint: live through push, and by polling while there is no push."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pms.cli.probe_push import Push
from pms.cli.probe_session import ProbeSession
from pms.cli.probe_sight import Sight, look, told
from workers.octoprint_console import Console
from workers.octoprint_errors import OctoPrintError
from workers.push_console import ConsoleStimulus, PushOccurred
from workers.push_frames import PushClosed, PushOpened, PushSnapshot

POLL_INTERVAL_S = 2.0
#: A push connection that is open may still be silent.
SAFETY_INTERVAL_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The printer as of now, and how that is known."""

    sight: Sight
    #: Live through push; else by polling.
    live: bool = False
    #: Why there is no push; empty: it is only about to open.
    no_push: str = ""
    #: Why there is no newer sight.
    problem: str = ""


def heard(picture: Picture, stimulus: ConsoleStimulus) -> Picture:
    """The next picture by what push says."""
    match stimulus:
        case PushOpened():
            return replace(picture, live=True, no_push="")
        case PushClosed(reason=reason):
            return replace(picture, live=False, no_push=reason)
        case PushSnapshot():
            return replace(picture, sight=told(stimulus, picture.sight))
    return picture


def calls_for_a_look(before: Picture, after: Picture) -> bool:
    """Whether push has said something of which REST knows more, such as the text of an error."""
    changed = after.sight.seen.activity is not before.sight.seen.activity
    return changed or (after.live and not before.live)


def notices(before: Picture, after: Picture) -> list[str]:
    """What has changed in how the printer is seen, in words."""
    lines = []
    if after.no_push and not before.no_push:
        lines.append(f"no push, polling every {POLL_INTERVAL_S:g} s: {after.no_push}")
    if before.no_push and after.live:
        lines.append("live through push again")
    if after.problem not in ("", before.problem):
        lines.append(after.problem)
    if before.problem and not after.problem:
        lines.append("OctoPrint answers again")
    return lines


def feed(session: ProbeSession) -> Iterator[Picture | PushOccurred]:
    """Pictures for ever, whenever something may be new, and OctoPrint's events between them.

    Raises OctoPrintError only when OctoPrint does not answer at first.
    """
    picture = Picture(sight=look(session.octoprint))
    yield picture
    with Push(session.target) as push:
        yield from _follow(session.octoprint, push, picture)


def _follow(octoprint: Console, push: Push, picture: Picture) -> Iterator[Picture | PushOccurred]:
    looked_at = time.monotonic()
    while True:
        due = looked_at + (SAFETY_INTERVAL_S if picture.live else POLL_INTERVAL_S)
        before = picture
        for stimulus in push.wait(due - time.monotonic()):
            picture = heard(picture, stimulus)
            if isinstance(stimulus, PushOccurred):
                yield stimulus
        if calls_for_a_look(before, picture) or time.monotonic() >= due:
            no_push = "" if picture.live else push.problem
            picture = _asked(octoprint, replace(picture, no_push=no_push))
            looked_at = time.monotonic()
        if picture != before:
            yield picture


def _asked(octoprint: Console, picture: Picture) -> Picture:
    try:
        return replace(picture, sight=look(octoprint), problem="")
    except OctoPrintError as error:
        return replace(picture, problem=str(error))
