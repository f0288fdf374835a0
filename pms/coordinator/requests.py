"""What operators ask for over the control socket, carried out in one transaction each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pms.bus import messages as bus
from pms.bus.messages import Command
from pms.coordinator.effects import Policy, complete_if_done
from pms.coordinator.farm import Farm
from pms.domain.states import RUNNING_STATES, AttemptState, Bed, PrinterState, PrintStatus
from pms.errors import NotFoundError, RefusedError
from pms.store import attempts, events, jobs, printers
from pms.store.attempts import Attempt

#: A print that turns out to go on must not find a wish that was meant for its end.
_CLEARED_LATER = frozenset({AttemptState.STARTING, AttemptState.FINISHED})


@dataclass(slots=True)
class Reply:
    """The answer, and the commands to send once it is committed."""

    data: dict[str, Any]
    commands: list[tuple[int, Command]] = field(default_factory=list)


def clear(
    connection: Connection, farm: Farm, name_or_id: str, print_id: int | None, now: datetime
) -> Reply:
    """A person says that a printer's bed is empty; raises RefusedError where that cannot be."""
    printer_id = printers.find(connection, name_or_id)
    attempt = attempts.live_on(connection, printer_id)
    row = printers.get(connection, printer_id)
    lying = attempt.print_id if attempt else row.bed_print_id
    if print_id is not None and print_id != lying:
        if row.bed is Bed.CLEAR or lying is not None:
            return Reply({"printer_id": printer_id, "print_id": print_id, "state": "cleared"})
        raise RefusedError(f"print {print_id} does not lie on printer {row.name}")
    if attempt is not None:
        return _clear_attempt(connection, farm, row.name, attempt, now)
    if farm[printer_id].state is PrinterState.BUSY:
        raise RefusedError(f"printer {row.name} is printing; clear it when that has ended")
    printers.free_bed(connection, printer_id)
    events.record(connection, now, "bed_cleared", printer_id=printer_id, print_id=lying)
    return Reply({"printer_id": printer_id, "print_id": lying, "state": "cleared"})


def _clear_attempt(
    connection: Connection, farm: Farm, name: str, attempt: Attempt, now: datetime
) -> Reply:
    in_doubt = (
        attempt.state in RUNNING_STATES and farm[attempt.printer_id].state is PrinterState.ERROR
    )
    if attempt.state is not AttemptState.FINISHED and not in_doubt:
        raise RefusedError(
            f"printer {name} has print {attempt.print_id} in state {attempt.state};"
            " it can be cleared once it has finished"
        )
    if attempt.state in _CLEARED_LATER:
        attempts.request_clear(connection, attempt.id, now, by_person=True)
    events.record(
        connection,
        now,
        "clear_requested",
        printer_id=attempt.printer_id,
        job_id=attempt.job_id,
        print_id=attempt.print_id,
        attempt_id=attempt.id,
    )
    return Reply(
        {"printer_id": attempt.printer_id, "print_id": attempt.print_id, "state": "clearing"},
        [(attempt.printer_id, bus.ClearBed(attempt_id=attempt.id, by_person=True))],
    )


def pause(connection: Connection, print_id: int) -> Reply:
    """Pause a running print."""
    attempt = _attempt_in(connection, print_id, AttemptState.PRINTING)
    command = bus.PausePrint(attempt_id=attempt.id)
    return Reply({"print_id": print_id, "state": "pausing"}, [(attempt.printer_id, command)])


def resume(connection: Connection, print_id: int) -> Reply:
    """Go on with a paused print."""
    attempt = _attempt_in(connection, print_id, AttemptState.PAUSED)
    command = bus.ResumePrint(attempt_id=attempt.id)
    return Reply({"print_id": print_id, "state": "resuming"}, [(attempt.printer_id, command)])


def _attempt_in(connection: Connection, print_id: int, wanted: AttemptState) -> Attempt:
    attempt = attempts.live_of_print(connection, print_id)
    if attempt is None:
        raise NotFoundError(f"no printer works on print {print_id}; see `pms-coordinator status`")
    if attempt.state is not wanted:
        raise RefusedError(f"print {print_id} is {attempt.state}, not {wanted}")
    return attempt


def cancel(connection: Connection, policy: Policy, print_id: int, now: datetime) -> Reply:
    """Cancel a copy, wherever it is; it is not printed again."""
    attempt = attempts.live_of_print(connection, print_id)
    if attempt is None:
        return _cancel_waiting(connection, policy, print_id, now)
    if attempt.state is AttemptState.FINISHED:
        raise RefusedError(f"print {print_id} is complete; clear its printer instead")
    attempts.request_cancel(connection, attempt.id, now)
    command = bus.CancelPrint(attempt_id=attempt.id)
    return Reply({"print_id": print_id, "state": "cancelling"}, [(attempt.printer_id, command)])


def _cancel_waiting(connection: Connection, policy: Policy, print_id: int, now: datetime) -> Reply:
    found = jobs.find_print(connection, print_id)
    if found is None:
        raise NotFoundError(f"there is no print {print_id}")
    job_id, status = found
    if status is not PrintStatus.PENDING:
        raise RefusedError(f"print {print_id} is {status} already")
    jobs.set_print(connection, print_id, PrintStatus.CANCELLED, finished_at=now)
    events.record(connection, now, "print_cancelled", job_id=job_id, print_id=print_id)
    if job_id is not None:
        complete_if_done(connection, policy, job_id, now)
    return Reply({"print_id": print_id, "state": "cancelled"})
