"""Every message on the bus, one union per direction.

Events are facts in the past tense, commands are imperatives. Both are numbered by their
sender, acknowledged by the receiver once the effect is safe, and sent again until then.
Telemetry is lossy: the newest value wins. Tags are the class names and are never reused;
new fields have defaults, and unknown fields are ignored.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from pms.domain.states import AttemptState, PrinterState, TransferProblem


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; decode the unions below, not this."""


# Events: a printer's process tells the coordinator. `at` is UTC, when it happened.


class PrinterReady(Message, frozen=True, kw_only=True):
    """The printer's process runs and waits to be told what it should be printing."""

    at: datetime
    pid: int


class PrinterStateChanged(Message, frozen=True, kw_only=True):
    """The printer is in another state, or for another reason."""

    at: datetime
    state: PrinterState
    #: In words, for a person: the reason of the state and, where there is one, the remedy.
    detail: str = ""
    #: The attempt that the printer works on.
    attempt_id: int | None = None
    #: A person has to decide something before the printer can go on.
    needs_attention: bool = False


class TransferFinished(Message, frozen=True, kw_only=True):
    """The G-code is on OctoPrint and verified, or `problem` says why it is not."""

    at: datetime
    attempt_id: int
    remote_path: str = ""
    size: int = 0
    sha1: str = ""
    #: Byte offset just behind the file's last M0 line; None when it has none.
    finish_marker: int | None = None
    problem: TransferProblem | None = None
    detail: str = ""


class PrintStarting(Message, frozen=True, kw_only=True):
    """The worker is about to ask OctoPrint for the start, once this is granted."""

    at: datetime
    attempt_id: int


class PrintStarted(Message, frozen=True, kw_only=True):
    """OctoPrint prints our file."""

    at: datetime
    attempt_id: int


class PrintPaused(Message, frozen=True, kw_only=True):
    """The print is paused before its end marker."""

    at: datetime
    attempt_id: int


class PrintResumed(Message, frozen=True, kw_only=True):
    """The print goes on after a pause."""

    at: datetime
    attempt_id: int


class PrintFinished(Message, frozen=True, kw_only=True):
    """The part is complete and lies on the bed."""

    at: datetime
    attempt_id: int


class PrintCleared(Message, frozen=True, kw_only=True):
    """The part has been removed from the bed."""

    at: datetime
    attempt_id: int


class PrintFailed(Message, frozen=True, kw_only=True):
    """The print ended badly; the bed counts as occupied, unless a person has said otherwise."""

    at: datetime
    attempt_id: int
    reason: str
    bed_is_empty: bool = False


class PrintCancelled(Message, frozen=True, kw_only=True):
    """The print ended because PMS was asked to cancel it."""

    at: datetime
    attempt_id: int
    #: False: OctoPrint was never asked to start it, so the bed is as it was.
    may_have_started: bool


class CommandRefused(Message, frozen=True, kw_only=True):
    """A command could not be carried out; `reason` is for a person."""

    at: datetime
    command: str
    attempt_id: int | None
    reason: str
    #: The attempt has ended without a start and its copy can go to another printer.
    returned: bool = False


Event = (
    PrinterReady
    | PrinterStateChanged
    | TransferFinished
    | PrintStarting
    | PrintStarted
    | PrintPaused
    | PrintResumed
    | PrintFinished
    | PrintCleared
    | PrintFailed
    | PrintCancelled
    | CommandRefused
)


# Telemetry: lossy, newest wins.


class Heartbeat(Message, frozen=True, kw_only=True):
    """The main loop of a printer's process turns."""


class Progress(Message, frozen=True, kw_only=True):
    """How far a print is."""

    attempt_id: int
    #: 0 to 1.
    progress: float
    time_left_s: float | None = None


class TransferProgress(Message, frozen=True, kw_only=True):
    """How much of a file has been sent to OctoPrint, or fetched for it before."""

    attempt_id: int
    bytes_sent: int
    bytes_total: int
    #: From where the G-code is kept, while none of it is sent yet.
    bytes_fetched: int = 0


class Temperature(msgspec.Struct, frozen=True, kw_only=True):
    """One heater, in °C; `target` is 0 when it is off."""

    actual: float | None = None
    target: float | None = None


class Temperatures(Message, frozen=True, kw_only=True):
    """All heaters of a printer by OctoPrint's names (`tool0`, `bed`)."""

    heaters: dict[str, Temperature]


Telemetry = Heartbeat | Progress | TransferProgress | Temperatures


# Commands: the coordinator tells a printer's process. Doing one twice is doing it once.


class StartPrint(Message, frozen=True, kw_only=True):
    """Print this copy, or take up the attempt that an earlier process left behind."""

    attempt_id: int
    print_id: int
    job_id: int
    #: What the database believes; a new attempt is `claimed`.
    believed: AttemptState
    #: Name of the file on OctoPrint, used once.
    remote_path: str
    #: Known from `staged` on.
    size: int | None = None
    sha1: str | None = None
    finish_marker: int | None = None
    #: Of the file that the job's earlier copies were made from; no other one may be printed.
    job_sha1: str | None = None


class CancelPrint(Message, frozen=True, kw_only=True):
    """End the attempt, at OctoPrint too where it has started."""

    attempt_id: int


class PausePrint(Message, frozen=True, kw_only=True):
    """Pause the print at OctoPrint."""

    attempt_id: int


class ResumePrint(Message, frozen=True, kw_only=True):
    """Go on with a print that is paused before its end marker."""

    attempt_id: int


class ClearBed(Message, frozen=True, kw_only=True):
    """Let the file run to its end, by which the bed is empty at the latest."""

    attempt_id: int
    #: A person has said that the bed is empty. Otherwise the end of the file has to empty it.
    by_person: bool = False


class Reconnect(Message, frozen=True, kw_only=True):
    """Ask OctoPrint and the printer again now, without waiting for the backoff."""


class Stop(Message, frozen=True, kw_only=True):
    """End the process; a print goes on at the printer."""


Command = StartPrint | CancelPrint | PausePrint | ResumePrint | ClearBed | Reconnect | Stop


# What travels in the frames.


class Report(Message, frozen=True, kw_only=True):
    """A numbered event."""

    sequence: int
    event: Event


class Order(Message, frozen=True, kw_only=True):
    """A numbered command."""

    sequence: int
    command: Command


class Acknowledge(Message, frozen=True, kw_only=True):
    """The effect of the other side's message is safe; it need not be sent again."""

    sequence: int
    #: False, for `PrintStarting` alone: the start must not be asked for any more.
    granted: bool = True


Upstream = Report | Acknowledge | Telemetry
Downstream = Order | Acknowledge
