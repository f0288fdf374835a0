"""What a printer's process reports, written into the database.

Each event is turned into effects, and what has to be sent once the transaction is committed is
returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from pms.bus import messages as bus
from pms.bus.messages import Command, Event
from pms.coordinator.effects import Ledger, Policy
from pms.coordinator.reported_copies import ReportedCopies
from pms.domain import printing
from pms.domain.printing import Copy, Effect
from pms.domain.states import PrinterState
from pms.store import attempts, events, jobs, printers
from pms.store.attempts import Attempt


@dataclass(slots=True)
class Response:
    """What follows a report after its commit."""

    granted: bool = True
    commands: list[Command] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sender:
    """The printer's process that reports."""

    printer_id: int
    incarnation: int
    #: Nobody needs to clear this printer's bed.
    autostart: bool


def handle_all(
    connection: Connection, policy: Policy, reports: Sequence[tuple[Sender, Event]]
) -> list[Response]:
    """Write what printers' processes report, in this order."""
    copies = ReportedCopies(connection, (event for _, event in reports))
    responses = []
    for sender, event in reports:
        responses.append(handle(connection, policy, copies, sender, event))
        copies.changed(sender.printer_id)
    return responses


def handle(
    connection: Connection, policy: Policy, copies: ReportedCopies, sender: Sender, event: Event
) -> Response:
    """Write one report."""
    printer_id = sender.printer_id
    match event:
        case bus.PrinterReady(pid=pid):
            printers.set_worker(connection, printer_id, pid, sender.incarnation)
            return Response(commands=brief(attempts.live_on(connection, printer_id)))
        case bus.PrinterStateChanged():
            return _state_changed(connection, policy, copies, printer_id, event)
        case bus.CommandRefused():
            return _refused(connection, policy, copies, printer_id, event)
        case _:
            return _attempt_event(connection, policy, copies, sender.autostart, event)


def brief(attempt: Attempt | None) -> list[Command]:
    """Tell a new process what it should believe and what is still wanted of it."""
    if attempt is None:
        return []
    commands: list[Command] = [start_print(attempt)]
    if attempt.cancel_requested:
        commands.append(bus.CancelPrint(attempt_id=attempt.id))
    if attempt.clear_requested:
        commands.append(bus.ClearBed(attempt_id=attempt.id, by_person=attempt.cleared_by_person))
    return commands


def start_print(attempt: Attempt) -> bus.StartPrint:
    """The command that hands an attempt to its printer's process."""
    return bus.StartPrint(
        attempt_id=attempt.id,
        print_id=attempt.print_id,
        job_id=attempt.job_id,
        believed=attempt.state,
        remote_path=attempt.remote_path,
        size=attempt.size,
        sha1=attempt.sha1,
        finish_marker=attempt.finish_marker,
        job_sha1=attempt.job_sha1,
    )


def _state_changed(
    connection: Connection,
    policy: Policy,
    copies: ReportedCopies,
    printer_id: int,
    event: bus.PrinterStateChanged,
) -> Response:
    attention = event.detail if event.needs_attention else None
    printers.set_state(
        connection, printer_id, event.state, event.at, detail=event.detail, attention=attention
    )
    if event.state is PrinterState.BUSY:
        printers.occupy_bed(connection, printer_id, None)
    if event.state is PrinterState.TRANSFERRING and event.attempt_id is not None:
        copy = copies.take(event.attempt_id)
        if copy is not None:
            Ledger(connection, policy, copy, event.at).write(printing.transferring(copy))
    kind = "attention" if event.needs_attention else f"printer_{event.state}"
    events.record(
        connection,
        event.at,
        kind,
        printer_id=printer_id,
        attempt_id=event.attempt_id,
        detail=event.detail,
    )
    return Response()


def _refused(
    connection: Connection,
    policy: Policy,
    copies: ReportedCopies,
    printer_id: int,
    event: bus.CommandRefused,
) -> Response:
    copy = None
    if event.attempt_id is not None:
        copy = copies.take(event.attempt_id)
    if copy is not None and event.returned:
        Ledger(connection, policy, copy, event.at).write(
            printing.given_back(copy, event.reason, event.at)
        )
        return Response()
    events.record(
        connection,
        event.at,
        "command_refused",
        printer_id=printer_id,
        attempt_id=event.attempt_id,
        detail=f"{event.command}: {event.reason}",
    )
    return Response()


AttemptEvent = (
    bus.TransferFinished
    | bus.PrintStarting
    | bus.PrintStarted
    | bus.PrintPaused
    | bus.PrintResumed
    | bus.PrintFinished
    | bus.PrintCleared
    | bus.PrintFailed
    | bus.PrintCancelled
)


def _attempt_event(
    connection: Connection,
    policy: Policy,
    copies: ReportedCopies,
    autostart: bool,
    event: AttemptEvent,
) -> Response:
    copy = copies.take(event.attempt_id)
    if copy is None:
        return Response(granted=False)
    ledger = Ledger(connection, policy, copy, event.at)
    if isinstance(event, bus.TransferFinished):
        _transfer_finished(connection, ledger, copy, event)
        return Response()
    if isinstance(event, bus.PrintStarting):
        ledger.write(printing.starting(copy))
        return Response(granted=printing.may_start(copy))
    ledger.write(_effects(copy, event, policy))
    if isinstance(event, bus.PrintFinished) and autostart:
        return Response(commands=eject(connection, copy.attempt_id, event.at))
    return Response()


def eject(connection: Connection, attempt_id: int, at: datetime) -> list[Command]:
    """Let the file run to its end, which takes the part off the bed."""
    attempts.request_clear(connection, attempt_id, at, by_person=False)
    return [bus.ClearBed(attempt_id=attempt_id)]


def _effects(
    copy: Copy,
    event: (
        bus.PrintStarted
        | bus.PrintPaused
        | bus.PrintResumed
        | bus.PrintFinished
        | bus.PrintCleared
        | bus.PrintFailed
        | bus.PrintCancelled
    ),
    policy: Policy,
) -> list[Effect]:
    match event:
        case bus.PrintStarted():
            return printing.started(copy)
        case bus.PrintPaused():
            return printing.paused(copy)
        case bus.PrintResumed():
            return printing.resumed(copy)
        case bus.PrintFinished():
            return printing.finished(copy, event.at)
        case bus.PrintCleared():
            return printing.cleared(copy)
        case bus.PrintFailed():
            return printing.failed(
                copy,
                event.reason,
                event.at,
                printer_failures=policy.printer_failures,
                bed_is_empty=event.bed_is_empty,
            )
        case bus.PrintCancelled():
            return printing.cancelled(copy, event.at, may_have_started=event.may_have_started)
        case _:
            assert_never(event)


def _transfer_finished(
    connection: Connection, ledger: Ledger, copy: Copy, event: bus.TransferFinished
) -> None:
    if event.problem is not None:
        ledger.write(printing.transfer_failed(copy, event.problem, event.detail, event.at))
        return
    effects = printing.staged(copy)
    ledger.write(effects)
    if effects:
        attempts.set_file(
            connection,
            copy.attempt_id,
            path=event.remote_path,
            size=event.size,
            sha1=event.sha1,
            finish_marker=event.finish_marker,
        )
        jobs.end_postponement(connection, copy.job_id)
        _compare_markers(ledger, copy, event.finish_marker)


def _compare_markers(ledger: Ledger, copy: Copy, own: int | None) -> None:
    """The file's own marker is right; that the job names another one is worth a line."""
    if copy.finished_byte_pos is not None and copy.finished_byte_pos != own:
        ledger.note(
            "finish_marker_differs",
            f"the job says {copy.finished_byte_pos}, the file itself {own}: the file is right",
        )
