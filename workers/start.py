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
        """`begun_before`: an earlier process had permission, and may have sent the request."""
        #: This process has asked the coordinator for its permission.
        self.announced = False
        #: OctoPrint's words, if it has refused the only request there ever was.
        self.refusal = ""
        #: OctoPrint is provably not the process that was asked, or has shown signs of a print.
        self.unprovable = False
        self._granted = False
        self._wanted = False
        self._requests = 1 if begun_before else 0

    @property
    def certainly_not_sent(self) -> bool:
        """Permission was given to this process, which has not made use of it."""
        return self._granted and self._requests == 0

    @property
    def is_hopeless(self) -> bool:
        """OctoPrint was asked often enough."""
        return self._requests >= MOST_STARTS

    @property
    def awaits_grant(self) -> bool:
        """The coordinator was asked, and has not answered."""
        return self.announced and not self._granted

    @property
    def may_repeat(self) -> bool:
        """The permission is this process's own: what an earlier one had may be out of date."""
        return self._granted

    def grant(self) -> None:
        """The start is recorded, so it may be asked for; a second one only upon proof."""
        self._granted = True
        self._wanted = self._requests == 0

    def repeat(self) -> None:
        """Ask again: the last request has provably had no effect."""
        self._wanted = self._granted

    def drop(self) -> None:
        """Do not ask any more."""
        self._wanted = False

    @property
    def is_due(self) -> bool:
        """Whether the request is to be sent now."""
        return self._wanted

    def sent(self) -> None:
        """The request is on its way."""
        self._wanted = False
        self._requests += 1
        self.refusal = ""
        self.unprovable = False

    def answered(self, failure: CallFailed | None) -> None:
        """OctoPrint has answered, or its answer is lost."""
        # An earlier request whose answer was lost may be what a later refusal is about.
        if failure is not None and failure.certainly_not_done and self._requests == 1:
            self.refusal = f"OctoPrint did not start the print: {failure.text}"
