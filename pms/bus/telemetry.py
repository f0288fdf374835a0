"""The live picture of the farm, for whoever watches. Lossy: nobody who looks can slow PMS down."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import zmq

from pms.bus.codec import CodecError, decode_published, encode
from pms.bus.endpoints import bind, open_socket
from pms.bus.messages import Event, Telemetry

logger = logging.getLogger(__name__)

_PREFIX = b"printer."


class Publisher:
    """The coordinator's end. The main loop owns it."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        """Listen; raises SettingsError when the endpoint cannot be used."""
        self.socket = open_socket(context, zmq.PUB)
        bind(self.socket, endpoint)

    def publish(self, printer_id: int, message: Event | Telemetry) -> None:
        """Show a message to those who watch now; never blocks."""
        self.socket.send_multipart([_topic(printer_id), encode(message)], zmq.NOBLOCK)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def subscribe(
    context: zmq.Context[Any], endpoint: str, printer_id: int | None = None
) -> zmq.Socket[Any]:
    """A SUB socket that receives what is published of one printer, or of all."""
    socket = open_socket(context, zmq.SUB)
    socket.subscribe(_PREFIX if printer_id is None else _topic(printer_id))
    socket.connect(endpoint)
    return socket


def decode(frames: Sequence[bytes]) -> tuple[int, Event | Telemetry]:
    """The printer's id and the message of what a SUB socket received; raises CodecError."""
    try:
        topic, payload = frames
        printer_id = int(topic.removeprefix(_PREFIX).removesuffix(b"."))
    except ValueError as error:
        raise CodecError(f"{len(frames)} frames are no message of a printer") from error
    return printer_id, decode_published(payload)


def _topic(printer_id: int) -> bytes:
    # Subscriptions match by prefix; without the dot, printer 1 would bring printer 10 along.
    return b"%s%d." % (_PREFIX, printer_id)
