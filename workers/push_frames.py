"""What comes over OctoPrint's push socket, read only as deep as needed."""

from __future__ import annotations

from typing import Any

import msgspec

from pms.bus.messages import Temperature
from workers.octoprint_answers import Answer, Job, JobProgress

#: Events after which a look at OctoPrint is worthwhile. The last one comes when the history of
#: a file has been written, which is after PrintDone.
EVENTS = (
    "PrintStarted",
    "PrintDone",
    "PrintFailed",
    "PrintCancelled",
    "PrintPaused",
    "PrintResumed",
    "PrinterStateChanged",
    "Connected",
    "Disconnected",
    "Error",
    "FileSelected",
    "FileDeselected",
    "MetadataStatisticsUpdated",
)
#: Of those, the ones that tell of a choice and not of a print.
SELECTIONS = frozenset({"FileSelected", "FileDeselected"})
#: Of those, the ones with which progress becomes interesting.
BUSY_EVENTS = frozenset({"PrintStarted", "PrintPaused", "PrintResumed"})


class Stimulus(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the push thread reports."""


class PushOpened(Stimulus, frozen=True, kw_only=True):
    """Events come from now on; what happened before was missed."""


class PushClosed(Stimulus, frozen=True, kw_only=True):
    """No events until the next PushOpened."""

    reason: str


class PushSilent(Stimulus, frozen=True, kw_only=True):
    """Nothing comes any more, no answer to a ping either; said once until something comes."""

    #: Of the OctoPrint.
    address: str


class PushChanged(Stimulus, frozen=True, kw_only=True):
    """Something happened that makes a look worthwhile; `kind` is one of EVENTS."""

    kind: str


class PushSnapshot(Stimulus, frozen=True, kw_only=True):
    """OctoPrint's regular picture of the printer; may be the same as the last one."""

    state_text: str
    printing: bool
    paused: bool
    operational: bool
    #: The selected file.
    path: str | None = None
    #: 0 to 1.
    progress: float | None = None
    time_left_s: float | None = None
    #: Byte offset in the selected file.
    filepos: int | None = None
    #: Unix time, by OctoPrint's clock.
    server_time: float | None = None
    #: Empty when there is nothing new.
    heaters: dict[str, Temperature] = {}


PushStimulus = PushOpened | PushClosed | PushSilent | PushChanged | PushSnapshot


class Flags(Answer, frozen=True):
    """Of the printer's state."""

    printing: bool = False
    paused: bool = False
    operational: bool = False


class State(Answer, frozen=True):
    """Text and flags."""

    text: str
    flags: Flags


class Picture(Answer, frozen=True):
    """Content of `current` and `history`."""

    state: State
    job: Job
    progress: JobProgress
    #: Readings since the last picture; only the newest is read.
    temps: tuple[msgspec.Raw, ...] = ()
    #: OctoPrint's clock, in seconds since 1970.
    server_time: float | None = None


class Event(Answer, frozen=True):
    """Content of `event`."""

    type: str


class Frame(Answer, frozen=True):
    """One message of OctoPrint; other kinds have none of these parts."""

    current: Picture | None = None
    history: Picture | None = None
    event: Event | None = None
    #: The session has ended, or its user was changed.
    reauth_required: dict[str, Any] | None = None

    @property
    def picture(self) -> Picture | None:
        """Whichever there is."""
        return self.current or self.history


_frames = msgspec.json.Decoder(Frame)
_readings = msgspec.json.Decoder(dict[str, Temperature | float | None])


def read_frame(data: bytes) -> Frame:
    """Raises one of octoprint_errors.UNREADABLE."""
    return _frames.decode(data)


def snapshot(picture: Picture) -> PushSnapshot:
    """A picture in PMS's own terms. Raises one of octoprint_errors.UNREADABLE."""
    flags = picture.state.flags
    return PushSnapshot(
        state_text=picture.state.text,
        printing=flags.printing,
        paused=flags.paused,
        operational=flags.operational,
        path=picture.job.path,
        progress=picture.progress.fraction,
        time_left_s=picture.progress.print_time_left,
        filepos=picture.progress.filepos,
        server_time=picture.server_time,
        heaters=_heaters(picture.temps[-1]) if picture.temps else {},
    )


def _heaters(reading: msgspec.Raw) -> dict[str, Temperature]:
    """A reading's heaters; those without a sensor are left out."""
    return {
        name: value
        for name, value in _readings.decode(reading).items()
        if isinstance(value, Temperature) and value.actual is not None
    }
