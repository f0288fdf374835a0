"""OctoPrint's answers that only a check reads."""

from __future__ import annotations

import msgspec

from workers.octoprint_answers import Answer
from workers.octoprint_console import SerialConnection
from workers.octoprint_errors import UNREADABLE


class CurrentUser(Answer, frozen=True):
    """`GET /api/currentuser`, which needs no key."""

    permissions: list[str]
    groups: list[str]
    #: None: nobody is logged in, so OctoPrint does not know the key.
    name: str | None = None


class LiveConnection(SerialConnection, frozen=True):
    """The same with its state."""

    state: str = "Closed"


class SerialOptions(Answer, frozen=True):
    """How it could be connected."""

    ports: tuple[str, ...] = ()
    #: The port that is opened unless another one is named; None or AUTO: any.
    port_preference: str | None = None


class SerialAnswer(Answer, frozen=True):
    """`GET /api/connection`."""

    current: LiveConnection
    options: SerialOptions = SerialOptions()


class PrinterError(Answer, frozen=True):
    """`GET /api/printer/error`: empty when there was none."""

    error: str = ""
    reason: str = ""
    consequence: str = ""


class PrinterState(Answer, frozen=True):
    """Text and flags."""

    text: str
    flags: dict[str, bool]


class PrinterAnswer(Answer, frozen=True):
    """`GET /api/printer`, which is there while the printer is operational."""

    state: PrinterState


def read_user(body: bytes) -> CurrentUser | None:
    """Who is logged in; None when the answer is not OctoPrint's."""
    try:
        return msgspec.json.decode(body, type=CurrentUser)
    except UNREADABLE:
        return None
