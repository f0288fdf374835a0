"""OpenFarm's messages: the bodies that PMS reads and writes, to the letter.

The other services use .NET's System.Text.Json with its defaults, so what is written here
is what that would write: PascalCase names, no spaces, enums as integers.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NoReturn

from pms.errors import PMSError

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

#: A .NET TimeSpan counts these in 64 bits; 29,000 years are not an estimate any more.
TICKS_PER_SECOND = 10_000_000
LONGEST_TIME_SPAN_S = INT64_MAX // TICKS_PER_SECOND

#: A wrong value is quoted in a reason up to this many characters.
QUOTED_CHARACTERS = 40


class Exchange(StrEnum):
    """The exchanges of OpenFarm that PMS reads from or publishes to; also the messages' names."""

    JOB_PAID = "JobPaid"
    PRINT_STARTED = "PrintStarted"
    PRINT_FINISHED = "PrintFinished"
    PRINT_CLEARED = "PrintCleared"
    JOB_REJECTED = "JobRejected"
    JOB_COMPLETED = "JobCompleted"


class RejectReason(IntEnum):
    """`JobRejected.RejectReason`."""

    CANCELLED_BY_USER = 0
    FAILED_VALIDATION = 1
    REJECTED_BY_APPROVER = 2
    FAILED_TO_PRINT = 3
    FAILED_DOWNLOAD = 4
    JOB_SUBMISSION_FAILED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """A message of PMS to the rest of OpenFarm."""

    exchange: Exchange
    body: bytes
    #: Stays the same when the message is sent again.
    message_id: str
    created_at: datetime


class BadMessageError(PMSError):
    """A message that can't be read; its text is the reason, fit for a dead letter."""


def decode_job_paid(body: bytes) -> int:
    """Return the job's id from the body of a `JobPaid`. Raises BadMessageError."""
    document = _json(body)
    if not isinstance(document, dict):
        raise BadMessageError("the body is JSON, but not an object")
    if "JobId" not in document:
        raise BadMessageError("the body has no JobId")
    job_id = document["JobId"]
    if type(job_id) is not int or not INT64_MIN <= job_id <= INT64_MAX:
        raise BadMessageError(f"JobId is not a 64-bit integer: {_quoted(job_id)}")
    return job_id


def print_started(
    job_id: int, printer_id: int, print_time_s: float | None, start_time: datetime
) -> bytes:
    """Body of `PrintStarted`; a print time that is unknown or makes no sense is 00:00:00."""
    estimate_s = print_time_s or 0.0
    if not 0 <= estimate_s <= LONGEST_TIME_SPAN_S:
        estimate_s = 0.0
    return _body(
        JobId=job_id,
        PrinterId=printer_id,
        PrintTime=_Plain(time_span(estimate_s)),
        StartTime=_Plain(date_time(start_time)),
    )


def print_finished(job_id: int, printer_id: int) -> bytes:
    """Body of `PrintFinished`."""
    return _body(JobId=job_id, PrinterId=printer_id)


def print_cleared(job_id: int, printer_id: int, finish_time: datetime) -> bytes:
    """Body of `PrintCleared`; the printer is that of the job's last copy."""
    return _body(JobId=job_id, PrinterId=printer_id, FinishTime=_Plain(date_time(finish_time)))


def job_rejected(job_id: int, email: str | None, reason: RejectReason) -> bytes:
    """Body of `JobRejected`."""
    return _body(JobId=job_id, Email=email, RejectReason=int(reason))


def job_completed(job_id: int) -> bytes:
    """Body of `JobCompleted`."""
    return _body(JobId=job_id)


def time_span(seconds: float) -> str:
    """Return so many seconds as .NET's constant form of a TimeSpan, `[-][d.]hh:mm:ss[.fffffff]`.

    Raises ValueError if they are not finite.
    """
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} seconds are no time span")
    whole, ticks = divmod(abs(round(seconds * TICKS_PER_SECOND)), TICKS_PER_SECOND)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    sign = "-" if seconds < 0 and (whole or ticks) else ""
    days = f"{day}." if day else ""
    fraction = f".{ticks:07}" if ticks else ""
    return f"{sign}{days}{hour:02}:{minute:02}:{second:02}{fraction}"


def date_time(moment: datetime) -> str:
    """Return an ISO 8601 date-time with its offset. Raises ValueError if it has none."""
    offset = moment.strftime("%z")
    if not offset:
        raise ValueError(f"{moment} has no time zone")
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:5]}"


class _Plain(str):
    """Text that needs no escaping, and gets none: .NET escapes the + of strings, not of dates."""

    __slots__ = ()


def _body(**fields: int | str | None) -> bytes:
    return (
        "{" + ",".join(f'"{name}":{_value(field)}' for name, field in fields.items()) + "}"
    ).encode()


def _value(field: int | str | None) -> str:
    if field is None:
        return "null"
    if isinstance(field, int):
        return str(field)
    return f'"{field}"' if isinstance(field, _Plain) else f'"{_escaped(field)}"'


#: What System.Text.Json writes for these instead of \uXXXX.
_SHORT_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\"}

#: Printable ASCII that it escapes all the same, in case the text ends up in a web page.
_WEB_UNSAFE = frozenset("\"&'+<>`")


def _escaped(text: str) -> str:
    return "".join(map(_escaped_character, text))


def _escaped_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if " " <= character <= "~" and character not in _WEB_UNSAFE:
        return character
    units = character.encode("utf-16-be", "replace")
    return "".join(f"\\u{units[i : i + 2].hex().upper()}" for i in range(0, len(units), 2))


def _json(body: bytes) -> object:
    try:
        document: object = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadMessageError("the body is not JSON") from error
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _quoted(value: object) -> str:
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]}…"
