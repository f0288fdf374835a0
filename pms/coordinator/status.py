"""`status --json`: the farm as one plain value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pms.coordinator.farm import Farm, LivePrinter, shown_state
from pms.coordinator.processes import PrinterProcesses
from pms.domain.states import AttemptState, PrinterState
from pms.store import attempts, jobs, printers, queue
from pms.store.attempts import InHand
from pms.store.printers import PrinterRow
from pms.store.queue import Queue

#: An attempt in one of these states has a progress worth showing.
_BEGUN = frozenset({"starting", "printing", "paused", "finished"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The coordinator itself."""

    pid: int
    started_at: datetime
    #: `connected`, or in words why not.
    database: str
    broker: str
    version: str

    def describe(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "pid": self.pid,
            "started_at": self.started_at.isoformat(),
            "database": self.database,
            "broker": self.broker,
            "version": self.version,
        }


def describe(
    connection: Connection,
    *,
    health: Health,
    farm: Farm,
    processes: PrinterProcesses,
    reasons: dict[int, str],
    now: datetime,
) -> dict[str, Any]:
    """Printers, the queue with reasons, and what a person has to see to."""
    rows = printers.all_printers(connection)
    in_hand = {attempt.printer_id: attempt for attempt in attempts.in_hand(connection)}
    waiting = queue.read(connection, now)
    return {
        "coordinator": health.describe(),
        "printers": [_printer(row, farm[row.id], in_hand.get(row.id), processes) for row in rows],
        "queue": _queue(waiting, reasons),
        "attention": _attention(connection, rows),
    }


def _printer(
    row: PrinterRow, live: LivePrinter, attempt: InHand | None, processes: PrinterProcesses
) -> dict[str, Any]:
    begun = attempt is not None and attempt.state in _BEGUN
    runs = begun and live.state in (PrinterState.PRINTING, PrinterState.PAUSED)
    last_seen_at = live.last_seen_at or row.last_seen_at
    return {
        "id": row.id,
        "name": row.name,
        "model": row.model,
        "enabled": row.enabled,
        "state": shown_state(row, live),
        "bed": row.bed,
        "worker_pid": processes.pid(row.id),
        "restarts": processes.restarts(row.id),
        "print_id": attempt.print_id if attempt else row.bed_print_id,
        "job_id": attempt.job_id if attempt else None,
        "progress": _progress(live, attempt) if begun else None,
        "eta_s": live.time_left_s if runs else None,
        "temperatures": {
            name: {"actual": heater.actual, "target": heater.target}
            for name, heater in live.heaters.items()
        },
        "last_seen_at": last_seen_at.isoformat() if last_seen_at else None,
        "detail": live.detail or _own_detail(row),
        "transfer": _transfer(live),
    }


def _progress(live: LivePrinter, attempt: InHand | None) -> float | None:
    if attempt is None:
        return None
    if attempt.state is AttemptState.FINISHED:
        # OctoPrint counts the lines behind the end marker, too.
        return 1.0
    return live.progress if live.attempt_id == attempt.id else attempt.progress


def _transfer(live: LivePrinter) -> float | None:
    """How much of the file is on OctoPrint, 0 to 1."""
    if live.state is not PrinterState.TRANSFERRING or live.transfer is None:
        return None
    total = live.transfer.bytes_total
    return live.transfer.bytes_sent / total if total else None


def _own_detail(row: PrinterRow) -> str:
    if row.suspended:
        return f"{row.consecutive_failures} prints in a row failed: look at it, then enable it"
    return ""


def _queue(waiting: Queue, reasons: dict[int, str]) -> list[dict[str, Any]]:
    told = {copy.print_id: "about to start" for copy in waiting.startable}
    told |= reasons | waiting.held_back
    return [
        {"print_id": print_id, "job_id": job_id, "reason": told[print_id]}
        for print_id, job_id in waiting.job_ids.items()
    ]


def _attention(connection: Connection, rows: list[PrinterRow]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {"job_id": job_id, "text": text} for job_id, text in jobs.attentions(connection)
    ]
    for row in rows:
        text = row.attention or (_own_detail(row) if row.suspended else "")
        if text:
            items.append({"printer_id": row.id, "text": text})
    return items
