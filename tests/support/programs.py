"""The programs that the tests run; a missing one fails the tests that need it."""

from __future__ import annotations

import shutil
from pathlib import Path


class MissingProgramError(Exception):
    """A test needs a program that is not installed."""


def find_program(name: str, *folders: Path) -> Path:
    """Find a program in the first of `folders` that has it, else on PATH."""
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    if found := shutil.which(name):
        return Path(found)
    raise MissingProgramError(f"{name} is not installed: run `make test`, which installs it")


def debian_folders(pattern: str) -> list[Path]:
    """Folders such as /usr/lib/postgresql/15/bin, the highest version first."""
    found = Path("/usr/lib").glob(pattern)
    return sorted(found, key=lambda path: [int(n) for n in path.parts if n.isdigit()], reverse=True)
