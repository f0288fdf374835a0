"""What a watcher knows of the farm: the last status, with the telemetry since laid over it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq

from pms.bus import messages as bus
from pms.bus.codec import CodecError
from pms.bus.control import GetStatus, ask
from pms.bus.endpoints import Endpoints
from pms.bus.messages import Event, Telemetry
from pms.bus.telemetry import decode, subscribe
from pms.cli.farm_view import Status, attention_lines, percent_in_steps
from pms.cli.output import count
from pms.errors import PMSError

#: Between two questions for the status, unless an event makes one worthwhile at once.
ASK_INTERVAL_S = 1.0
#: Between two pictures; telemetry that comes meanwhile shows in the next one.
PICTURE_INTERVAL_S = 0.25
#: A later answer would hold up the telemetry and the keys.
ANSWER_TIMEOUT_S = 2.0
#: Messages taken in at once.
_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Picture:
    """The farm as of now."""

    status: Status
    #: The status is new; otherwise only telemetry has changed it.
    asked: bool
    #: Why there is no newer status, for a person.
    problem: str | None = None


def pictures(endpoints: Endpoints, keyboard: int | None = None) -> Iterator[Picture]:
    """Look at the farm for ever, several times a second, and whenever a key waits to be read.

    Goes on when the coordinator ends; raises CoordinatorNotRunningError only if none runs at first.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        status: Status = ask(endpoints.control, GetStatus())
        problem: str | None = None
        telemetry = _Telemetry(subscribe(context, endpoints.telemetry), keyboard)
        yield Picture(status, asked=True)
        asked_at = time.monotonic()
        while True:
            status, eventful = telemetry.listen(status)
            due = eventful or time.monotonic() - asked_at >= ASK_INTERVAL_S
            if due:
                try:
                    status, problem = ask(endpoints.control, GetStatus(), ANSWER_TIMEOUT_S), None
                except PMSError as error:
                    problem = str(error)
                asked_at = time.monotonic()
            yield Picture(status, asked=due and problem is None, problem=problem)
    finally:
        context.destroy(linger=0)


class _Telemetry:
    """What the printers' processes publish, and beside it the keyboard."""

    def __init__(self, socket: zmq.Socket[Any], keyboard: int | None) -> None:
        self._socket = socket
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        if keyboard is not None:
            self._poller.register(keyboard, zmq.POLLIN)

    def listen(self, status: Status) -> tuple[Status, bool]:
        """A newer status when the next picture is due; True: something was reported."""
        # A copy, because whoever got the last picture may still compare it.
        printers = {printer["id"]: dict(printer) for printer in status["printers"]}
        deadline = time.monotonic() + PICTURE_INTERVAL_S
        eventful = False
        while (left_s := deadline - time.monotonic()) > 0:
            ready = dict(self._poller.poll(int(left_s * 1000) + 1))
            if self._socket not in ready:
                break
            for printer_id, message in _received(self._socket):
                eventful = overlay(printers.get(printer_id), message) or eventful
        return {**status, "printers": list(printers.values())}, eventful


def _received(socket: zmq.Socket[Any]) -> Iterator[tuple[int, Event | Telemetry]]:
    for _ in range(_LIMIT):
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        with suppress(CodecError):
            yield decode(frames)


def overlay(printer: dict[str, Any] | None, message: Event | Telemetry) -> bool:
    """Change a printer of the status by a message; True: only a new status can show it."""
    if printer is None:
        return False
    match message:
        case bus.Progress(progress=progress, time_left_s=time_left_s):
            printer["progress"], printer["eta_s"] = progress, time_left_s
        case bus.TransferProgress(bytes_sent=sent, bytes_total=total):
            printer["transfer"] = sent / total if total else None
        case bus.Temperatures(heaters=heaters):
            printer["temperatures"] = {
                name: {"actual": heater.actual, "target": heater.target}
                for name, heater in heaters.items()
            }
        case bus.Heartbeat():
            pass
        case _:
            return True
    return False


def changes(before: Status | None, after: Status) -> list[str]:
    """What is new, a line for each printer, the queue, and each point that needs attention."""
    lines: list[str] = []
    known = {printer["id"]: printer for printer in before["printers"]} if before else {}
    for printer in after["printers"]:
        old = known.pop(printer["id"], None)
        if old is None or _line(old) != _line(printer):
            lines.append(_line(printer))
    lines += [f"{printer['name']}: removed" for printer in known.values()]
    if before is None or len(before["queue"]) != len(after["queue"]):
        lines.append(f"queue: {count(len(after['queue']), 'copy', 'copies')} waiting")
    raised = attention_lines(before) if before else []
    lines += [f"attention: {text}" for text in attention_lines(after) if text not in raised]
    return lines


def _line(printer: dict[str, Any]) -> str:
    words = [f"{printer['name']}: {printer['state']}, bed {printer['bed']}"]
    if printer["print_id"] is not None:
        job = "" if printer["job_id"] is None else f" of job {printer['job_id']}"
        words.append(f"print {printer['print_id']}{job}")
    return ", ".join(filter(None, [*words, percent_in_steps(printer), printer["detail"]]))
