"""Which printers' processes hang.

Silence proves something only while we listen: after our own loop was away, what came meanwhile
has yet to be read, so everybody's silence is counted anew. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: A worker that has not been heard of for so long hangs; its loop beats once a second.
HEARTBEAT_TIMEOUT_S = 5.0

#: A turn of our own loop, its wait of up to a second included, never takes so long, unless it
#: was stopped or starved.
ABSENCE_S = 2.5


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Since when we have been listening without an absence."""

    since: float
    last_turn_at: float


def begin(now: float) -> Attention:
    """Listening begins."""
    return Attention(since=now, last_turn_at=now)


def turn(attention: Attention, now: float) -> Attention:
    """Our loop turns; call it once each turn, after having read what has come and before `hung`."""
    was_away = now - attention.last_turn_at > ABSENCE_S
    return Attention(since=now if was_away else attention.since, last_turn_at=now)


def hung(
    last_heard: Mapping[int, float],
    attention: Attention,
    now: float,
    timeout_s: float = HEARTBEAT_TIMEOUT_S,
) -> list[int]:
    """The printers whose processes have been silent for longer than `timeout_s`.

    `last_heard` holds those that have been heard of since they started; how long a start may
    take is the restart policy's affair.
    """
    return [
        printer_id
        for printer_id, heard_at in last_heard.items()
        if now - max(heard_at, attention.since) > timeout_s
    ]
