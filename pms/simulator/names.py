"""Where OctoPrint puts a file that is called so-and-so."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

PRINTABLE = frozenset({".gcode", ".gco", ".g"})
LONGEST_NAME = 255

_DROPPED = re.compile(r"""[\x00-\x1f\x7f:*?"<>|&;]""")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|clock\$|com[1-9]|lpt[1-9])", re.IGNORECASE)


class BadNameError(ValueError):
    """There can be no such path."""


def stored_path(folder: str, name: str) -> str:
    """The path at which a file of this name is stored; raises BadNameError."""
    inner, _, name = name.rpartition("/")
    return "/".join([*_folders(folder or inner), sanitized(name)])


def folder_path(folder: str) -> str:
    """The path of a folder; raises BadNameError."""
    return "/".join(_folders(folder))


def sanitized(name: str) -> str:
    """The name as it is stored; raises BadNameError."""
    if "\\" in name or "/" in name:
        raise BadNameError(name)
    kept = _DROPPED.sub("", name).strip().lstrip(".")
    stem, dot, suffix = kept.partition(".")
    return f"{stem}_{dot}{suffix}" if _DEVICES.fullmatch(stem) else kept


def is_printable(path: str) -> bool:
    """Whether OctoPrint takes it for G-code."""
    name = PurePosixPath(path)
    return name.suffix.lower() in PRINTABLE and len(name.name.encode()) <= LONGEST_NAME


def _folders(folder: str) -> list[str]:
    found: list[str] = []
    for part in folder.removeprefix("/").removeprefix("./").split("/"):
        if part == "..":
            if not found:
                raise BadNameError(folder)
            found.pop()
        elif part not in ("", "."):
            found.append(sanitized(part))
    return found
