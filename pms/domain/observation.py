"""What one look at an OctoPrint showed, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Activity(StrEnum):
    """What the printer behind an OctoPrint does, read from OctoPrint's state texts and flags."""

    #: No serial connection, no error reported ("Offline", "Closed").
    DISCONNECTED = "disconnected"
    #: No serial connection after an error ("Offline after error", "Error").
    ERROR = "error"
    #: A connection is being made ("Opening serial connection", "Connecting", "Detecting …").
    CONNECTING = "connecting"
    #: Ready for a start ("Operational").
    OPERATIONAL = "operational"
    #: Starting, Printing, Resuming, Pausing: the file is being worked on.
    PRINTING = "printing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    #: The last line is sent, the printer still moves.
    FINISHING = "finishing"
    #: Anything else, such as a transfer to the SD card: not ours to touch.
    OTHER = "other"


#: The printer works on a file, or holds one in mid-print.
ACTIVE = frozenset(
    {Activity.PRINTING, Activity.PAUSED, Activity.CANCELLING, Activity.FINISHING, Activity.OTHER}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """A file on OctoPrint and its print history (`/api/files/local/<path>?force=true`)."""

    path: str
    size: int
    sha1: str | None
    #: Unix time, by OctoPrint's clock.
    uploaded_at: float | None = None
    successes: int = 0
    failures: int = 0
    #: Of the last print; None: never printed.
    last_success: bool | None = None
    #: Seconds; None on a success means that nothing was printed.
    last_print_time_s: float | None = None

    @property
    def was_printed(self) -> bool:
        """Whether the history knows any print of this file, good or bad."""
        return self.successes > 0 or self.failures > 0 or self.last_success is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One look: connection, job, and the file that was asked about.

    The parts are read one after the other, the file last, so its history is never older
    than the activity.
    """

    activity: Activity
    #: OctoPrint's own state text.
    state_text: str = ""
    error: str = ""
    #: The selected file, which stays selected after its end; None: none is.
    path: str | None = None
    #: Byte offset in the selected file.
    filepos: int | None = None
    #: 0 to 1.
    progress: float | None = None
    time_left_s: float | None = None
    #: The file that the look asked about; None: it is absent, or none was asked about.
    file: FileFacts | None = None
