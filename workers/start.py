"""The request to print an attempt's file: when it may be sent, and what is known of its fate.

The one thing that must never happen twice, so all that decides over it is here.
"""

from __future__ import annotations

from workers.steps import CallFailed

#: Requests that OctoPrint has provably ignored before a person is asked.
MOST_STARTS = 3


class Start:
    """How far the start of an attempt has come, as this process knows it."""

    def __init__(self, *, begun_before: bool) -> None:
        """`begun_before`: an earlier process may have sent the request."""
        #: The coordinator was asked for its permission; that is done once.
        self.announced = begun_before
        #: OctoPrint's words, if it has refused the only request there ever was.
        self.refusal = ""
        #: The server that the last request went to; None: not known, so nothing is proved.
        self.epoch: int | None = None
        #: When the last request was answered or given up, monotonic seconds.
        self.answered_at: float | None = None
        self._granted = False
        self._wanted = False
        self._requests = 0

    @property
    def certainly_not_sent(self) -> bool:
        """Permission was given to this process, which has not made use of it."""
        return self._granted and self._requests == 0

    @property
    def certainly_not_done(self) -> bool:
        """OctoPrint was not asked, or has refused."""
        return self.certainly_not_sent or bool(self.refusal)

    @property
    def is_hopeless(self) -> bool:
        """OctoPrint was asked often enough."""
        return self._requests >= MOST_STARTS

    def grant(self) -> None:
        """The start is recorded, so it may be asked for."""
        self._granted = self._wanted = True

    def repeat(self) -> None:
        """Ask again: the last request has provably had no effect."""
        self._wanted = self._granted

    def drop(self) -> None:
        """Do not ask any more."""
        self._wanted = False

    def is_due(self, *, same_server: bool | None) -> bool:
        """Whether the request is to be sent now."""
        if self._requests > 0 and same_server is not True:
            # The proof has not outlived the wait for its turn.
            self._wanted = False
        return self._wanted

    def sent(self, epoch: int | None) -> None:
        """The request is on its way."""
        self._wanted = False
        self._requests += 1
        self.epoch = epoch
        self.answered_at = None
        self.refusal = ""

    def answered(self, failure: CallFailed | None, now: float) -> None:
        """OctoPrint has answered, or its answer is lost."""
        self.answered_at = now
        # An earlier request whose answer was lost may be what a later refusal is about.
        if failure is not None and failure.certainly_not_done and self._requests == 1:
            self.refusal = f"OctoPrint refused the start: {failure.text}"

    def suspected(self) -> None:
        """Push has shown a print that begins: no proof of the contrary counts any more."""
        self.epoch = None
