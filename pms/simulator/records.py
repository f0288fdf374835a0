"""The prints of a machine as a person who stands beside it would note them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["printing", "done", "cancelled", "failed", "lost"]


@dataclass(slots=True)
class Record:
    """One print. Times are Unix times; it is `lost` when its OctoPrint was killed."""

    path: str
    sha1: str
    started_at: float
    ended_at: float | None = None
    outcome: Outcome = "printing"


class Records:
    """All prints, whatever OctoPrint remembers of them."""

    def __init__(self) -> None:
        self.all: list[Record] = []

    def begin(self, path: str, sha1: str, now: float) -> None:
        """A print has started."""
        self.all.append(Record(path, sha1, now))

    def end(self, outcome: Outcome, now: float) -> None:
        """The print that runs, if there is one, has ended."""
        if self.all and self.all[-1].ended_at is None:
            self.all[-1].ended_at, self.all[-1].outcome = now, outcome
