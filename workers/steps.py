"""What goes into and comes out of the decisions of a printer's process, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from pms.bus.messages import Event, Telemetry
from pms.domain.observation import FileFacts, Observation
from pms.domain.states import TransferProblem


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks: `monotonic` in seconds for deadlines, `utc` for what is recorded."""

    monotonic: float
    utc: datetime


# Calls to OctoPrint; one at a time is under way.


@dataclass(frozen=True, slots=True)
class Look:
    """Read the connection, the job and the facts about a file."""

    path: str | None


@dataclass(frozen=True, slots=True)
class ConnectPrinter:
    """Let OctoPrint open its serial connection."""


@dataclass(frozen=True, slots=True)
class StartFile:
    """Select and print."""

    path: str


@dataclass(frozen=True, slots=True)
class PauseFile:
    """Pause the running print."""


@dataclass(frozen=True, slots=True)
class ResumeFile:
    """Resume the paused print."""


@dataclass(frozen=True, slots=True)
class CancelFile:
    """Cancel the running print."""


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove a file that is not needed any more."""

    path: str


@dataclass(frozen=True, slots=True)
class ProveServer:
    """Find out whether OctoPrint is still the process that was asked to start this file."""

    path: str


@dataclass(frozen=True, slots=True)
class TakeStock:
    """List the files of PMS, and measure the room beside them."""


Call = (
    Look
    | ConnectPrinter
    | StartFile
    | ProveServer
    | PauseFile
    | ResumeFile
    | CancelFile
    | DeleteFile
    | TakeStock
)


@dataclass(frozen=True, slots=True)
class ServerProof:
    """OctoPrint is provably the same process as before the start, or provably another one."""

    same: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """What PMS has on OctoPrint, and how many bytes are free there, if that is known."""

    files: tuple[FileFacts, ...]
    free_bytes: int | None


class FailureKind(Enum):
    """Why a call failed, as far as it matters for what follows."""

    #: Nothing listens there; cheap to ask again soon.
    REFUSED = auto()
    #: No answer, a broken answer, or an answer that is not OctoPrint's.
    UNREACHABLE = auto()
    UNAUTHORIZED = auto()
    #: OctoPrint answered and said no.
    REJECTED = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class CallFailed:
    """A call did not succeed; `text` is for a person."""

    kind: FailureKind
    text: str
    #: OctoPrint has certainly not done what was asked.
    certainly_not_done: bool


CallOutcome = Observation | ServerProof | Stock | CallFailed | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferOutcome:
    """How a transfer ended; the facts about the file hold where `problem` is None."""

    attempt_id: int
    remote_path: str = ""
    size: int = 0
    sha1: str = ""
    finish_marker: int | None = None
    problem: TransferProblem | None = None
    detail: str = ""
    #: How much has to be free on OctoPrint for the file, if that is what it fails for.
    bytes_needed: int | None = None


# Actions.


@dataclass(frozen=True, slots=True)
class Emit:
    """Report an event to the coordinator."""

    event: Event


@dataclass(frozen=True, slots=True)
class Tell:
    """Send telemetry."""

    message: Telemetry


@dataclass(frozen=True, slots=True)
class MakeCall:
    """Make a call to OctoPrint; its outcome comes back as a stimulus."""

    call: Call


@dataclass(frozen=True, slots=True)
class BeginTransfer:
    """Bring a job's G-code onto OctoPrint."""

    attempt_id: int
    print_id: int
    job_id: int
    remote_path: str
    #: The only content that may be sent; None: the job's first copy decides.
    expected_sha1: str | None = None
    #: Nobody has ever begun to bring a file of this name there, as far as is known.
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class AbortTransfer:
    """End the transfer of this attempt; its outcome does not matter any more."""

    attempt_id: int


@dataclass(frozen=True, slots=True)
class WakePush:
    """OctoPrint answers again: let the push connection be tried now."""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process."""


Action = Emit | Tell | MakeCall | BeginTransfer | AbortTransfer | WakePush | Exit
