"""What a run's own parts did and when: faults, payments, the operator's hands."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One deed; `facts` name what it was done to."""

    at: datetime
    what: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        facts = " ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.at:%H:%M:%S.%f} {self.what} {facts}"


class History:
    """Kept in memory for the audit, and in a file for people."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self.entries: list[Entry] = []

    def note(self, what: str, **facts: Any) -> None:
        """Keep that this happens now."""
        with self._lock:
            entry = Entry(datetime.now(UTC), what, facts)
            self.entries.append(entry)
            row = {"at": entry.at.isoformat(), "what": what, **facts}
            self._file.write(json.dumps(row, default=str) + "\n")
            self._file.flush()

    def of(self, what: str, **facts: Any) -> list[Entry]:
        """The entries of one kind that have these facts."""
        return [
            entry
            for entry in self.entries
            if entry.what == what and all(entry.facts.get(k) == v for k, v in facts.items())
        ]

    def count(self, what: str, fact: str) -> Counter[str]:
        """How often each value of a fact occurs among the entries of one kind."""
        return Counter(str(entry.facts.get(fact)) for entry in self.of(what))

    def close(self) -> None:
        self._file.close()
