"""What a step of a check can find; for programs and people alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How a step went."""

    OK = "ok"
    #: It works, and something about it is wrong all the same.
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


#: With one of these, something is wrong with the printer.
WRONG = frozenset({Result.WARNING, Result.FAILED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one step found; cause and remedy are there when something is wrong."""

    result: Result
    detail: str = ""
    cause: str = ""
    remedy: str = ""


def ok(detail: str = "") -> Finding:
    """All is well."""
    return Finding(result=Result.OK, detail=detail)


def warning(cause: str, remedy: str, detail: str = "") -> Finding:
    """Works, but not as it should."""
    return Finding(result=Result.WARNING, detail=detail, cause=cause, remedy=remedy)


def failed(cause: str, remedy: str, detail: str = "") -> Finding:
    """Does not work."""
    return Finding(result=Result.FAILED, detail=detail, cause=cause, remedy=remedy)


def skipped(detail: str) -> Finding:
    """There is nothing to find out here."""
    return Finding(result=Result.SKIPPED, detail=detail)
