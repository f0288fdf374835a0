"""What an OctoPrint shows of its printer at one moment, whether asked for it or told by push."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.text import Text

from pms.bus.messages import Temperature
from pms.cli.farm_view import BAR_WIDTH, bar, temperatures
from pms.cli.output import duration, percent, rough_percent, visible
from pms.domain.observation import Activity, Observation
from workers.octoprint_answers import activity_of
from workers.octoprint_console import Console
from workers.push_frames import PushSnapshot

_STYLES: Mapping[Activity, str] = {
    Activity.DISCONNECTED: "red",
    Activity.ERROR: "bold red",
    Activity.OPERATIONAL: "green",
    Activity.PRINTING: "bold cyan",
    Activity.PAUSED: "yellow",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """The printer and its heaters."""

    seen: Observation
    heaters: Mapping[str, Temperature]


def look(octoprint: Console) -> Sight:
    """Ask OctoPrint; raises OctoPrintError."""
    seen = octoprint.look()
    return Sight(seen, octoprint.temperatures())


def told(snapshot: PushSnapshot, before: Sight) -> Sight:
    """What push says, and what it has left out because it is as before."""
    activity = activity_of(snapshot.state_text)
    # Of a printer that is away, OctoPrint says more when it is asked.
    known = activity is before.seen.activity and not snapshot.operational
    seen = Observation(
        activity=activity,
        state_text=before.seen.state_text if known else snapshot.state_text,
        error=before.seen.error if known else "",
        path=snapshot.path,
        filepos=snapshot.filepos,
        progress=snapshot.progress,
        time_left_s=snapshot.time_left_s,
    )
    return Sight(seen, snapshot.heaters or (before.heaters if snapshot.operational else {}))


def as_json(sight: Sight) -> dict[str, Any]:
    """The sight for programs."""
    seen = sight.seen
    return {
        "activity": seen.activity,
        "state_text": seen.state_text,
        "error": seen.error,
        "path": seen.path,
        "filepos": seen.filepos,
        "progress": seen.progress,
        "time_left_s": seen.time_left_s,
        "temperatures": msgspec.to_builtins(sight.heaters),
    }


def rows(sight: Sight) -> Iterator[tuple[str, RenderableType | None]]:
    """The sight for people: what it is about, and what there is to say of it."""
    seen = sight.seen
    yield "printer", Text(visible(seen.state_text), style=_STYLES.get(seen.activity, ""))
    if seen.error:
        yield "error", Text(visible(seen.error), style="red")
    yield "temperatures", temperatures(msgspec.to_builtins(sight.heaters))
    yield "file", seen.path
    yield "progress", _progress(seen)


def _progress(seen: Observation) -> str | None:
    if seen.progress is None:
        return None
    left = "" if seen.time_left_s is None else f", {duration(seen.time_left_s)} left"
    at = "" if seen.filepos is None else f", at byte {seen.filepos}"
    return f"{bar(seen.progress, BAR_WIDTH)} {percent(seen.progress)}{left}{at}"


def describe(sight: Sight) -> str:
    """The sight as one line, the same for sights between which little has changed."""
    seen = sight.seen
    step = "" if seen.progress is None else rough_percent(seen.progress)
    return ", ".join(filter(None, [seen.state_text, seen.error, seen.path, step]))
