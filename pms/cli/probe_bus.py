"""`pms-probe bus`: listens to what a running coordinator publishes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import zmq

from pms.bus.codec import CodecError
from pms.bus.control import GetStatus, ask
from pms.bus.endpoints import Endpoints
from pms.bus.messages import Event, Telemetry
from pms.bus.telemetry import decode, subscribe
from pms.cli.output import show_json_line, show_line, warn
from pms.cli.session import read_settings
from pms.errors import NotFoundError, PMSError

#: Each printer's process says every second that it is there.
SILENCE_S = 5.0


def bus(options: argparse.Namespace) -> int:
    """Show each message that comes, until Ctrl-C."""
    endpoints = Endpoints(read_settings().runtime_dir)
    names = _names(endpoints)
    printer_id = None if options.printer is None else _find(names, options.printer)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for sender, message in _messages(subscribe(context, endpoints.telemetry, printer_id)):
            if options.json:
                show_json_line(as_json(sender, message))
                continue
            if sender not in names:
                # Added since, or the coordinator is gone by now.
                with suppress(PMSError):
                    names = _names(endpoints)
            show_line(describe(names.get(sender, f"printer {sender}"), message))
    except KeyboardInterrupt:
        pass
    finally:
        context.destroy(linger=0)
    return 0


def _names(endpoints: Endpoints) -> dict[int, str]:
    status = ask(endpoints.control, GetStatus())
    return {printer["id"]: printer["name"] for printer in status["printers"]}


def _find(names: dict[int, str], name_or_id: str) -> int:
    for printer_id, name in names.items():
        if name == name_or_id:
            return printer_id
    if name_or_id.isdecimal() and int(name_or_id) in names:
        return int(name_or_id)
    known = ", ".join(names.values()) or "none"
    raise NotFoundError(f"the coordinator has no printer {name_or_id!r}; it has {known}")


def _messages(socket: zmq.Socket[Any]) -> Iterator[tuple[int, Event | Telemetry]]:
    """What comes, for ever; says on stderr when nothing does, and when something does again."""
    silent = False
    while True:
        if not silent and not socket.poll(int(SILENCE_S * 1000)):
            silent = True
            warn(
                f"nothing for {SILENCE_S:g} s: the coordinator has ended, hangs, or has no printer"
            )
        frames = socket.recv_multipart()
        if silent:
            silent = False
            warn("the coordinator is heard again")
        try:
            yield decode(frames)
        except CodecError as error:
            warn(str(error))


def as_json(printer_id: int, message: Event | Telemetry) -> dict[str, Any]:
    """The message for programs: its own fields beside its type and printer."""
    fields = msgspec.to_builtins(message)
    kind = fields.pop("type")
    return {
        "received_at": datetime.now(UTC),
        "printer_id": printer_id,
        "type": kind,
        "fields": fields,
    }


def describe(name: str, message: Event | Telemetry) -> str:
    """The message as one line for people."""
    fields = msgspec.to_builtins(message)
    kind = fields.pop("type")
    words = " ".join(f"{field}={value}" for field, value in fields.items())
    return f"{datetime.now():%H:%M:%S.%f} {name} {kind} {words}".rstrip()
