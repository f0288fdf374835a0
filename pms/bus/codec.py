"""Messages to frames and back: msgpack, one encoder, one decoder per direction."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pms.bus.messages import Downstream, Event, Message, Telemetry, Upstream
from pms.errors import PMSError

#: ZeroMQ drops the connection of a peer that sends more; `encode` refuses to come near it.
MAX_FRAME_BYTES = 1 << 20

M = TypeVar("M")

_encoder = msgspec.msgpack.Encoder()
_upstream: msgspec.msgpack.Decoder[Upstream] = msgspec.msgpack.Decoder(Upstream)
_downstream: msgspec.msgpack.Decoder[Downstream] = msgspec.msgpack.Decoder(Downstream)
_published: msgspec.msgpack.Decoder[Event | Telemetry] = msgspec.msgpack.Decoder(Event | Telemetry)


class CodecError(PMSError):
    """A frame is no message, or a message does not fit into a frame."""


def encode(message: Message) -> bytes:
    """The message as a frame; raises CodecError when it is too long to be delivered."""
    frame = _encoder.encode(message)
    if len(frame) > MAX_FRAME_BYTES:
        raise CodecError(
            f"{type(message).__name__} takes {len(frame)} bytes, more than {MAX_FRAME_BYTES}"
        )
    return frame


def decode_upstream(frame: bytes) -> Upstream:
    """What a printer's process sent to the coordinator; raises CodecError."""
    return _decode(_upstream, frame)


def decode_downstream(frame: bytes) -> Downstream:
    """What the coordinator sent to a printer's process; raises CodecError."""
    return _decode(_downstream, frame)


def decode_published(frame: bytes) -> Event | Telemetry:
    """What the coordinator published for whoever watches; raises CodecError."""
    return _decode(_published, frame)


def _decode(decoder: msgspec.msgpack.Decoder[M], frame: bytes) -> M:
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CodecError(f"a frame of {len(frame)} bytes is no message: {error}") from error
