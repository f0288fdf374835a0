"""How long files of PMS stay on an OctoPrint."""

from __future__ import annotations

from collections.abc import Iterable

from pms.domain.observation import FileFacts
from pms.domain.reconciliation import is_ours


def expired(files: Iterable[FileFacts], *, clock: float, retention_s: float) -> list[str]:
    """The paths of those that PMS has put there and that nobody needs any more.

    `clock` is the time of OctoPrint's own clock, by which it dates files, as Unix time. A file
    from the future, or without a date, stays; with a retention of 0 everything goes.
    """
    return [
        file.path
        for file in files
        if is_ours(file.path) and (retention_s == 0 or _age_s(file, clock) >= retention_s)
    ]


def _age_s(file: FileFacts, clock: float) -> float:
    return 0.0 if file.uploaded_at is None else clock - file.uploaded_at
