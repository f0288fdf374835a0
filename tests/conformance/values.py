"""What the tests send and expect, with stand-ins for values that differ from run to run."""

from __future__ import annotations

import hashlib
from typing import Any


class Kind:
    """Equal to everything of these types."""

    def __init__(self, *types: type) -> None:
        self._types = types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self._types) and not isinstance(other, bool)

    def __hash__(self) -> int:
        return hash(self._types)

    def __repr__(self) -> str:
        return f"<{' or '.join(kind.__name__ for kind in self._types)}>"


NUMBER = Kind(int, float)
TEXT = Kind(str)

#: Takes 50 ms.
DWELL = b"G4 P50\n"
#: Longer than any test.
LONG = DWELL * 2000

NO_FILE = dict.fromkeys(("name", "path", "display", "origin", "size", "date"))
NO_PROGRESS = dict.fromkeys(
    ("completion", "filepos", "printTime", "printTimeLeft", "printTimeLeftOrigin")
)
NOT_FOUND = {
    "error": "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
}
FORBIDDEN = {
    "error": "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
}
CSRF = {"error": "CSRF validation failed"}
NOT_OPERATIONAL = {"error": "Printer is not operational"}
THERMAL_RUNAWAY = "Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!"


def sha1(content: bytes) -> str:
    """As OctoPrint shows it."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def selected(path: str, size: int) -> dict[str, Any]:
    """How `/api/job` shows a file that has never been printed to its end."""
    name = path.rpartition("/")[2]
    return {
        "averagePrintTime": None,
        "estimatedPrintTime": None,
        "filament": None,
        "file": {
            "date": NUMBER,
            "display": name,
            "name": name,
            "origin": "local",
            "path": path,
            "size": size,
        },
        "lastPrintTime": None,
        "user": "admin",
    }


def unselected() -> dict[str, Any]:
    """How `/api/job` shows that nothing is selected any more."""
    return {
        "averagePrintTime": None,
        "estimatedPrintTime": None,
        "filament": None,
        "file": NO_FILE,
        "lastPrintTime": None,
        "user": None,
    }
