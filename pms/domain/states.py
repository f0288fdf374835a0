"""The vocabulary of states that the whole of PMS shares."""

from __future__ import annotations

from enum import StrEnum


class AttemptState(StrEnum):
    """How far one try to print one copy on one printer has come."""

    CLAIMED = "claimed"
    TRANSFERRING = "transferring"
    STAGED = "staged"
    STARTING = "starting"
    PRINTING = "printing"
    PAUSED = "paused"
    FINISHED = "finished"
    CLEARED = "cleared"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


#: The attempt is over; no other state follows.
TERMINAL_STATES = frozenset(
    {
        AttemptState.CLEARED,
        AttemptState.FAILED,
        AttemptState.CANCELLED,
        AttemptState.RETURNED,
    }
)

LIVE_STATES = frozenset(AttemptState) - TERMINAL_STATES

#: OctoPrint has not been asked to start yet, so the bed is untouched by this attempt.
UNSTARTED_STATES = frozenset({AttemptState.CLAIMED, AttemptState.TRANSFERRING, AttemptState.STAGED})

#: A start may have happened and the part is not known to be complete.
RUNNING_STATES = frozenset({AttemptState.STARTING, AttemptState.PRINTING, AttemptState.PAUSED})


class PrinterState(StrEnum):
    """What a printer is doing, as `status` shows it.

    A worker reports all but the last two, which only the coordinator knows.
    """

    STARTING = "starting"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    DISCONNECTED = "disconnected"
    IDLE = "idle"
    TRANSFERRING = "transferring"
    PRINTING = "printing"
    PAUSED = "paused"
    FINISHED = "finished"
    BUSY = "busy"
    ERROR = "error"
    SUSPENDED = "suspended"
    DISABLED = "disabled"


class Bed(StrEnum):
    """Whether a start onto the bed is safe."""

    CLEAR = "clear"
    OCCUPIED = "occupied"


class PrintStatus(StrEnum):
    """`prints.print_status`, the state of a copy that the rest of OpenFarm sees."""

    PENDING = "pending"
    PRINTING = "printing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobStatus(StrEnum):
    """`print_jobs.job_status`, shared with the rest of OpenFarm."""

    RECEIVED = "received"
    SYSTEM_APPROVED = "systemApproved"
    OPERATOR_APPROVED = "operatorApproved"
    PRINTING = "printing"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


#: A copy may start while its job is in one of these and paid for.
STARTABLE_JOB_STATUSES = frozenset({JobStatus.OPERATOR_APPROVED, JobStatus.PRINTING})

#: The job gets no new prints, and its pending ones never start.
CLOSED_JOB_STATUSES = frozenset({JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.REJECTED})


class TransferProblem(StrEnum):
    """Why a job's G-code did not get onto an OctoPrint."""

    #: The file server has no such file, or the file holds nothing that prints.
    GCODE_UNUSABLE = "gcode_unusable"
    #: Passing faults of the file server outlasted the retries.
    GCODE_UNAVAILABLE = "gcode_unavailable"
    #: OctoPrint would not take the file, or took another one.
    UPLOAD_FAILED = "upload_failed"
    #: OctoPrint's disk has no room for the file, or seems to have none.
    NO_ROOM = "no_room"
