from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from pms import logs, redaction

logger = logging.getLogger("pms.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_secrets", redaction._Secrets())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


def written(
    act: Callable[[], None], style: str = "console", level: str = "INFO", stream: Any = None
) -> str:
    stream = stream or io.StringIO()
    logs.configure(level, style, "coordinator", stream)
    act()
    text: str = stream.getvalue()
    return text


def as_json(act: Callable[[], None]) -> dict[str, Any]:
    text = written(act, "json")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.isascii()
    line: dict[str, Any] = json.loads(text)
    return line


def refuse(*arguments: object) -> None:
    raise ValueError(*arguments)


def fail() -> None:
    try:
        refuse("bad\nluck")
    except ValueError:
        logger.exception("look_failed", extra={"printer_id": 3})


def test_console_line() -> None:
    extra = {"printer_id": 1, "job_id": 7, "fields": {"name": "left one", "empty": "", "size": 2.5}}
    text = written(lambda: logger.info("print_started", extra=extra))
    stamp, _, rest = text.partition(" ")
    assert stamp.endswith("Z")
    assert rest == (
        "INFO     coordinator pms.test: print_started printer_id=1 job_id=7"
        ' name="left one" empty="" size=2.5\n'
    )


def test_json_line() -> None:
    ids = {"printer_id": 1, "job_id": 7, "print_id": 8, "attempt_id": 9}
    line = as_json(lambda: logger.warning("print_failed", extra={**ids, "fields": {"reason": "ä"}}))
    stamp = line.pop("timestamp")
    assert len(stamp) == len("2026-01-02T03:04:05.678Z")
    assert stamp.endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "pms.test",
        "event": "print_failed",
        "process": "coordinator",
        **ids,
        "reason": "ä",
    }


def test_json_keeps_types_and_never_overwrites_its_own_keys() -> None:
    fields = {
        "count": 3,
        "share": 0.5,
        "broken": float("nan"),
        "yes": True,
        "nothing": None,
        "list": [1, "a", {"b": 2}],
        "error": ValueError("x"),
        "level": "mine",
    }
    line = as_json(lambda: logger.info("facts", extra={"fields": fields}))
    assert line["level"] == "INFO"
    assert {name: line[name] for name in [*list(fields)[:-1], "field_level"]} == {
        "count": 3,
        "share": 0.5,
        "broken": "nan",
        "yes": True,
        "nothing": None,
        "list": [1, "a", {"b": 2}],
        "error": "x",
        "field_level": "mine",
    }


def test_a_stack_follows_in_console_format() -> None:
    lines = written(fail).splitlines()
    assert lines[0].endswith("look_failed printer_id=3")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-2:] == ["ValueError: bad", "luck"]


def test_a_stack_is_inside_the_line_in_json_format() -> None:
    line = as_json(fail)
    assert line["event"] == "look_failed"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: bad\nluck")


@pytest.mark.parametrize("style", ["console", "json"])
def test_one_event_is_one_line(style: str) -> None:
    nasty = "a\nb\r\x1b[31mc\x85\u2028d"
    text = written(lambda: logger.info("got %s", nasty, extra={"fields": {"said": nasty}}), style)
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


def test_a_message_that_does_not_fit_its_arguments_is_still_logged() -> None:
    record = logging.makeLogRecord({"msg": "%d of %s password=p", "args": ("x",)})
    assert logs.ConsoleFormatter("web", False).format(record).endswith("%d of %s password=***")


@pytest.mark.parametrize(
    ("stream", "no_colour", "coloured"),
    [(Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), "", False)],
)
def test_colour_only_on_a_terminal(
    stream: io.StringIO, no_colour: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    text = written(lambda: logger.error("broken"), stream=stream)
    assert ("\x1b[31mERROR" in text) is coloured


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize(
    "secret", ["0123456789ABCDEF", 'p@ss "w\\ord/ +', "pässword", "1234", "tok3n'\"x"]
)
def test_registered_secrets_are_masked_everywhere(style: str, secret: str) -> None:
    logs.register_secret(secret)
    quoted = quote(secret, safe="")

    def act() -> None:
        fields = {"a": secret, "b": [secret], "c": {secret: 1}, "d": ValueError(secret)}
        logger.info("got %s", secret, extra={"fields": fields})
        logger.info("url http://host/?k=%s", quoted)
        try:
            refuse(f"refused {secret} and {quoted}", {"k": secret})
        except ValueError:
            logger.exception("failed")

    text = written(act, style)
    for form in (secret, quoted, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in text
    if style == "json":
        assert json.loads(text.splitlines()[0])["event"] == "got ***"


def test_short_secrets_are_masked_only_where_they_stand_alone() -> None:
    logs.register_secret("test")
    logs.register_secret("abc")
    logs.register_secret("")
    logs.register_secret(None)
    assert logs.redact("test latest abc 'test'") == "*** latest abc '***'"


def test_the_longer_secret_is_masked_first() -> None:
    logs.register_secret("longsecret")
    logs.register_secret("longsecretextended")
    assert logs.redact("longsecretextended longsecret") == "*** ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /api/version?apikey=ABC&x=1", "GET /api/version?apikey=***&x=1"),
        ("X-Api-Key: ABC", "X-Api-Key: ***"),
        ("{'X-Api-Key': 'A B', 'x': 1}", "{'X-Api-Key': '***', 'x': 1}"),
        ('{"api_key":"A","x":1}', '{"api_key":"***","x":1}'),
        (r"{\"api_key\": \"A\"}", r"{\"api_key\": \"***\"}"),
        ("Host=h;Password=a b;Port=1", "Host=h;Password=*** b;Port=1"),
        ('Password="a;b""c";Port=1', 'Password="***";Port=1'),
        ("password='it', x", "password='***', x"),
        ('password="unclosed', 'password="***'),
        ("PWD=x", "PWD=***"),
        ("Authorization: Basic dTpw", "Authorization: Basic ***"),
        ("{'Authorization': 'Bearer a.b'}", "{'Authorization': 'Bearer ***'}"),
        ("amqp://u:p@rabbit:5672/%2F", "amqp://u:***@rabbit:5672/%2F"),
        ("http://u:p@ss@h/a@b", "http://u:***@h/a@b"),
        ("postgresql://h/d?password=p&x=1", "postgresql://h/d?password=***&x=1"),
        # Nothing to hide.
        ("password authentication failed", "password authentication failed"),
        ("RABBITMQ_PASSWORD: must be set", "RABBITMQ_PASSWORD: must be set"),
        ("api_key=None", "api_key=None"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("password=***", "password=***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert logs.redact(text) == masked
    assert logs.redact(masked) == masked


def test_fields_named_like_secrets_are_masked() -> None:
    fields = {"api_key": "ABC", "rabbitmq_password": 1, "inner": {"X-Api-Key": "A"}, "pwd": None}
    line = as_json(lambda: logger.info("facts", extra={"fields": fields}))
    assert [line[name] for name in fields] == ["***", "***", {"X-Api-Key": "***"}, None]


@pytest.mark.parametrize(
    ("name", "level", "at", "shown"),
    [
        ("pika.adapters", "INFO", logging.ERROR, False),
        ("pika.adapters", "INFO", logging.CRITICAL, True),
        ("pika.adapters", "DEBUG", logging.DEBUG, False),
        ("urllib3.connectionpool", "INFO", logging.INFO, False),
        ("urllib3.connectionpool", "INFO", logging.WARNING, True),
        ("alembic.runtime.migration", "INFO", logging.INFO, False),
        ("sqlalchemy.engine", "DEBUG", logging.INFO, False),
        ("pms.test", "INFO", logging.DEBUG, False),
        ("pms.test", "WARNING", logging.INFO, False),
    ],
)
def test_libraries_are_quiet(name: str, level: str, at: int, shown: bool) -> None:
    text = written(lambda: logging.getLogger(name).log(at, "hello"), level=level)
    assert bool(text) is shown


def test_configuring_again_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("INFO", "console", "a", first)
    logs.configure("INFO", "json", "b", second)
    logger.info("once")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["process"] == "b"


def test_uncaught_exceptions_are_logged_and_masked() -> None:
    logs.register_secret("hunter2hunter2")

    def act() -> None:
        thread = threading.Thread(target=refuse, args=("hunter2hunter2",), name="push")
        thread.start()
        thread.join()
        try:
            refuse("hunter2hunter2")
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)

    lines = [json.loads(line) for line in written(act, "json").splitlines()]
    assert [line["event"] for line in lines] == ["uncaught_exception"] * 2
    assert lines[0]["thread"] == "push"
    assert all(line["exception"].endswith("ValueError: ***") for line in lines)


def test_warnings_are_log_lines() -> None:
    text = written(lambda: warnings.warn("old\nthing", DeprecationWarning, stacklevel=1))
    assert len(text.splitlines()) == 1


def test_formatting_is_lazy() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted although nobody logs it")

    written(lambda: logger.debug("%s", Costly()))
