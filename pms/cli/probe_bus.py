"""`pms-probe bus`: listens to what a running coordinator publishes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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
from pms.errors import NotFoundError


def bus(options: argparse.Namespace) -> int:
    """Show each message that comes, until Ctrl-C."""
    endpoints = Endpoints(read_settings().runtime_dir)
    status = ask(endpoints.control, GetStatus())
    names = {printer["id"]: printer["name"] for printer in status["printers"]}
    printer_id = None if options.printer is None else _find(names, options.printer)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for sender, message in _messages(subscribe(context, endpoints.telemetry, printer_id)):
            if options.json:
                show_json_line(as_json(sender, message))
            else:
                show_line(describe(names.get(sender, f"printer {sender}"), message))
    except KeyboardInterrupt:
        pass
    finally:
        context.destroy(linger=0)
    return 0


def _find(names: dict[int, str], name_or_id: str) -> int:
    for printer_id, name in names.items():
        if name == name_or_id:
            return printer_id
    if name_or_id.isdecimal() and int(name_or_id) in names:
        return int(name_or_id)
    known = ", ".join(names.values()) or "none"
    raise NotFoundError(f"the coordinator has no printer {name_or_id!r}; it has {known}")


def _messages(socket: zmq.Socket[Any]) -> Iterator[tuple[int, Event | Telemetry]]:
    while True:
        frames = socket.recv_multipart()
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
