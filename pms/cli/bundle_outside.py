"""What a bug report tells of what is outside of PMS: logs, and each printer's OctoPrint."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from pms.cli.bundle_parts import Part
from pms.store.catalog import PrinterAccess
from workers.exchange import Exchange
from workers.octoprint_errors import OctoPrintError, Rejected

LOG_LINES = 2000
#: Read from the end of a log; lines are a few hundred bytes long.
LOG_BYTES = 2 << 20
#: OctoPrints that are asked at a time, and how long each may take for one answer.
ASKED_AT_ONCE = 64
ANSWER_TIMEOUT_S = 5.0
#: What an OctoPrint is asked; nothing here changes anything there.
QUESTIONS = ("version", "server", "connection", "printer", "printer/error", "job", "currentuser")
#: What supervisord calls the logs of a program when nobody has told it how.
_SUPERVISORD_LOGS = "pms-coordinator-std*---supervisor-*.log"


# -- logs --------------------------------------------------------------------------------------


def logs(named: Sequence[str]) -> list[Part]:
    """The last lines of these logs, of stdin for `-`, or of those that supervisord makes."""
    if named:
        return [_log(number, name) for number, name in enumerate(named, start=1)]
    found = [_log(number, path) for number, path in enumerate(_usual_logs(), start=1)]
    return found or [
        Part(
            name="logs/none.txt",
            about="no log",
            content="no log was named or found\n",
            problem="no log: name it with --log FILE, or pipe it in with --log -",
        )
    ]


def _usual_logs() -> Iterator[str]:
    own = Path("supervisord.log")
    if own.exists():
        yield str(own)
    yield from (str(path) for path in sorted(Path(tempfile.gettempdir()).glob(_SUPERVISORD_LOGS)))


def _log(number: int, name: str) -> Part:
    shown = "stdin" if name == "-" else Path(name).name
    file = f"logs/{number}-{re.sub(r'[^A-Za-z0-9._-]', '_', shown)}.txt"
    about = f"the last lines of {shown}"
    try:
        text = last_lines(sys.stdin.buffer.read() if name == "-" else _tail(Path(name)))
    except OSError as error:
        problem = f"{shown} cannot be read: {error.strerror}"
        return Part(name=file, about=about, content=f"{problem}\n", problem=problem)
    return Part(name=file, about=about, content=text)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(0, size - LOG_BYTES)
        file.seek(begin)
        # A line whose beginning is missing may hold half of a secret, which nobody would know.
        return file.read().partition(b"\n")[2] if begin else file.read()


def last_lines(content: bytes) -> str:
    """The end of a log, in whole lines."""
    lines = content.decode(errors="replace").splitlines(keepends=True)
    return "".join(lines[-LOG_LINES:])


# -- OctoPrint ----------------------------------------------------------------------------------


def octoprints(printers: Iterable[PrinterAccess]) -> list[Part]:
    """What each printer's OctoPrint answers."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return list(pool.map(_octoprint, printers))


def _octoprint(printer: PrinterAccess) -> Part:
    answers: dict[str, Any] = {}
    problem = None
    try:
        exchange = Exchange(
            printer.address or "", printer.api_key or "", ANSWER_TIMEOUT_S, ANSWER_TIMEOUT_S
        )
        try:
            for question in QUESTIONS:
                answers[question] = _answer(exchange, question)
        finally:
            exchange.close()
    except OctoPrintError as error:
        answers["error"] = str(error)
        problem = f"{printer.name}: {error}"
    return Part(
        name=f"octoprint/{printer.id}.json",
        about=f"what the OctoPrint of {printer.name} answers",
        content={"printer": printer.name, "address": printer.address, "answers": answers},
        problem=problem,
    )


def _answer(exchange: Exchange, question: str) -> Any:
    try:
        answer = msgspec.json.decode(exchange.send("GET", f"/api/{question}"))
    except Rejected as error:
        # Of one that is not connected, there is no state; the other questions go on.
        return {"error": str(error)}
    except msgspec.DecodeError:
        return {"error": "no JSON"}
    if question == "currentuser" and isinstance(answer, dict):
        # The name of an account, which in other answers is called something else.
        return {"user": answer.pop("name", None), **answer}
    return answer
