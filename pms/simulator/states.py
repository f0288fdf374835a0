"""The states of an OctoPrint's printer, with their names, texts and flags."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """The value is the text; the name is what events call the state."""

    OFFLINE = "Offline"
    CLOSED_WITH_ERROR = "Offline after error"
    ERROR = "Error"
    OPEN_SERIAL = "Opening serial connection"
    CONNECTING = "Connecting"
    OPERATIONAL = "Operational"
    STARTING = "Starting"
    PRINTING = "Printing"
    PAUSING = "Pausing"
    PAUSED = "Paused"
    RESUMING = "Resuming"
    CANCELLING = "Cancelling"
    FINISHING = "Finishing"

    @property
    def is_closed(self) -> bool:
        """Whether there is no connection to the printer."""
        return self in (State.OFFLINE, State.CLOSED_WITH_ERROR)

    @property
    def is_operational(self) -> bool:
        """Whether the printer takes commands."""
        return self is State.OPERATIONAL or self.is_busy

    @property
    def is_printing(self) -> bool:
        """Whether the printer is in the middle of a print and not paused."""
        return self in _PRINTING

    @property
    def is_busy(self) -> bool:
        """Whether there is a print, paused or not."""
        return self is State.PAUSED or self.is_printing

    @property
    def flags(self) -> dict[str, bool]:
        """As `/api/printer` and the push socket show them."""
        return {
            "operational": self.is_operational,
            "printing": self.is_printing,
            "cancelling": self is State.CANCELLING,
            "pausing": self is State.PAUSING,
            "resuming": self is State.RESUMING,
            "finishing": self is State.FINISHING,
            "closedOrError": self.is_closed or self is State.ERROR,
            "error": self is State.ERROR,
            "paused": self is State.PAUSED,
            "ready": self is State.OPERATIONAL,
            "sdReady": self.is_operational,
        }


_PRINTING = frozenset(
    {
        State.STARTING,
        State.PRINTING,
        State.PAUSING,
        State.RESUMING,
        State.CANCELLING,
        State.FINISHING,
    }
)
