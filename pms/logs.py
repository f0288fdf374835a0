"""Logging of all processes of PMS: one line an event, for people or for programs, no secrets.

The message of a record is a stable event name. Its facts are in `extra`: printer_id, job_id,
print_id and attempt_id by name, anything else inside `fields`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from pms.redaction import MASK, names_secret, redact, register_secret

__all__ = ["configure", "redact", "register_secret"]

logger = logging.getLogger(__name__)

#: Whatever our own level is: at DEBUG, SQLAlchemy would show whole rows, API keys included, and
#: pika reports every failed connection at length, which the broker's adapter says in one line;
#: psycopg warns of a transaction that fails, which its error tells anyway.
_LIBRARY_LEVELS = {
    "pika": logging.CRITICAL,
    "psycopg": logging.ERROR,
    "urllib3": logging.WARNING,
    "websocket": logging.WARNING,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
}

_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

#: What every record has by itself; all else was added by the caller.
_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields"}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_STACK = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_NEEDS_QUOTES = re.compile(r"""[\s"'=\\]|^$""")


def configure(level: str, format: str, process: str, stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (stderr), replacing what an earlier call set up.

    `format` is `console` or `json`; `process` names this process in every line. Exceptions that
    nobody catches are logged too.
    """
    output = stream or sys.stderr
    formatter = (
        JsonFormatter(process) if format == "json" else ConsoleFormatter(process, _coloured(output))
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, LineFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(library_level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _log_uncaught(
    kind: type[BaseException], error: BaseException, stack: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, stack)
    else:
        logger.critical("uncaught_exception", exc_info=(kind, error, stack))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    logger.critical(
        "uncaught_exception",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        extra={"fields": {"thread": args.thread.name if args.thread else ""}},
    )


class LineFormatter(logging.Formatter):
    """What both formats share: the parts of a record, free of secrets."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def _event(self, record: logging.LogRecord) -> str:
        try:
            return redact(record.getMessage())
        except (TypeError, ValueError, KeyError):
            # A library's message does not fit its arguments; logging would print both unmasked.
            return redact(str(record.msg))

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        given = {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            given.update(fields)
        facts: dict[str, Any] = _plain(given)
        return facts

    def _stack(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return redact(_escape("\n".join(parts), _CONTROL_IN_STACK))


class ConsoleFormatter(LineFormatter):
    """For people: `time LEVEL process logger: event key=value …`, then a stack if there is one."""

    def __init__(self, process: str, coloured: bool) -> None:
        super().__init__(process)
        self._is_coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as text without a newline at its end."""
        event = _escape(self._event(record))
        facts = [f"{name}={_quoted(value)}" for name, value in self._facts(record).items()]
        line = redact(" ".join([event, *facts]))
        source = f"{self._process} {record.name}"
        text = f"{_timestamp(record)} {self._level(record)} {source}: {line}"
        stack = self._stack(record)
        return f"{text}\n{stack}" if stack else text

    def _level(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelname) if self._is_coloured else None
        name = f"{record.levelname:<8}"
        return f"\x1b[{colour}m{name}\x1b[0m" if colour else name


class JsonFormatter(LineFormatter):
    """For programs: one JSON object a line, the stack inside it."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as one line of ASCII."""
        line: dict[str, Any] = {
            "timestamp": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "event": self._event(record),
            "process": self._process,
        }
        if stack := self._stack(record):
            line["exception"] = stack
        for name, value in self._facts(record).items():
            line[f"field_{name}" if name in line else name] = value
        return json.dumps(line)


def _timestamp(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any, name: str = "") -> Any:
    """The value as JSON can hold it, without secrets; `name` is the field's."""
    if value is None or isinstance(value, bool):
        return value
    if names_secret(name):
        return MASK
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): _plain(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return redact(str(value))


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and _NEEDS_QUOTES.search(text):
        text = json.dumps(text, ensure_ascii=False)
    return _escape(text)


def _escape(text: str, characters: re.Pattern[str] = _CONTROL) -> str:
    return characters.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
