"""What an order to OctoPrint means: when it fits, and when it has had its effect. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from pms.domain.observation import ACTIVE, Activity, Observation
from pms.domain.reconciliation import is_ours

#: How long an order to connect may show no effect at all.
CONNECT_GRACE_S = 3.0

_AWAY = frozenset({Activity.DISCONNECTED, Activity.ERROR})
#: A print from the SD card is among the others.
_WORKING = frozenset({Activity.PRINTING, Activity.OTHER})


class Order(StrEnum):
    """What OctoPrint can be told to do; also the commands' names."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    CONNECT = "connect"
    DISCONNECT = "disconnect"


def is_so(order: Order, seen: Observation) -> bool:
    """Whether what the order is for is so already."""
    match order:
        case Order.PAUSE:
            return seen.activity is Activity.PAUSED
        case Order.RESUME:
            return seen.activity is Activity.PRINTING and seen.state_text != "Pausing"
        case Order.CANCEL:
            return False
        case Order.CONNECT:
            return seen.activity not in _AWAY | {Activity.CONNECTING}
        case Order.DISCONNECT:
            return seen.activity in _AWAY
    assert_never(order)


def objection(order: Order, seen: Observation, *, force: bool = False) -> str | None:
    """Why the order must not be given now."""
    activity = seen.activity
    match order:
        case Order.PAUSE if activity not in _WORKING:
            return "nothing prints that could be paused"
        case Order.RESUME if activity is Activity.PRINTING:
            return "the print is still pausing; try again in a moment"
        case Order.RESUME if activity is not Activity.PAUSED:
            return "no print is paused"
        case Order.CANCEL if activity not in _WORKING | {Activity.PAUSED}:
            return "nothing prints that could be cancelled"
        case Order.DISCONNECT if activity in ACTIVE and not force:
            return "a print is in progress, and that would end it; add --force to do it"
    return None


def question(order: Order, path: str | None, name: str) -> str:
    """What a person is asked to agree to."""
    file = path or "a file"
    match order:
        case Order.PAUSE:
            return f"Pause the print of {file} on {name}"
        case Order.RESUME:
            return (
                f"Go on with {file} on {name}; if it waits for its part to be removed, "
                "the bed must be empty"
            )
        case Order.CANCEL if is_ours(path):
            return (
                f"End the print of {file} on {name}; PMS counts that as a failure and may print "
                "the copy again, unless it is given up with `pms-coordinator cancel`"
            )
        case Order.CANCEL:
            return f"End the print of {file} on {name}"
        case Order.CONNECT:
            return f"Connect {name} to its printer"
        case Order.DISCONNECT:
            return f"Disconnect {name} from its printer"
    assert_never(order)


def outcome(order: Order, before: Observation, seen: Observation, waited_s: float) -> bool | None:
    """Whether the order has had its effect; False: something else has happened, None: not yet."""
    activity = seen.activity
    match order:
        case Order.PAUSE:
            return None if activity in _WORKING else activity is Activity.PAUSED
        case Order.RESUME:
            # A print may come to its next pause at once.
            waits = activity is Activity.PAUSED and seen.filepos == before.filepos
            return None if waits else activity not in _AWAY
        case Order.CANCEL:
            return None if activity in ACTIVE else True
        case Order.CONNECT:
            if activity in _AWAY:
                return None if waited_s < CONNECT_GRACE_S else False
            return None if activity is Activity.CONNECTING else True
        case Order.DISCONNECT:
            return True if activity in _AWAY else None
    assert_never(order)
