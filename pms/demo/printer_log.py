"""What a virtual printer received, read from the log that OctoPrint's plugin writes for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

_RECEIVED = " <<< "
_OPENED = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ -{78}$")
_NUMBERED = re.compile(r"^N(?P<number>\d+) (?P<command>.*)\*\d+$")


def received_commands(log: Path) -> list[str]:
    """Give the commands in the order of their arrival, without line numbers and checksums.

    A command that OctoPrint sent again because the printer had asked for it counts once,
    as it does for the printer. No log yet: nothing was received.
    """
    if not log.exists():
        return []
    with log.open(encoding="utf-8", errors="replace") as lines:
        return list(_accepted(_written_once(line.rstrip("\n") for line in lines)))


def _written_once(lines: Iterable[str]) -> Iterator[str | None]:
    """Yield each received text once, and None where a connection was opened.

    The plugin adds another handler to its log whenever a connection is opened, so behind
    the n-th opening every line, that of the opening too, stands there n times.
    """
    opening, handlers, seen = "", 1, Counter[str]()
    for line in lines:
        if _OPENED.match(line):
            handlers = handlers + 1 if line == opening else 1
            opening = line
            seen.clear()
            yield None
        elif _RECEIVED in line:
            seen[line] += 1
            if seen[line] % handlers == 0:
                yield line.partition(_RECEIVED)[2]


def _accepted(texts: Iterable[str | None]) -> Iterator[str]:
    """Yield the commands that a printer acts on, as its firmware would choose them."""
    last_number, last_text = 0, ""
    for text in texts:
        if text is None:
            last_number, last_text = 0, ""
            continue
        if last_text != text and last_text.endswith(text):
            continue  # the rest of a line for which the printer's buffer was too small
        last_text = text
        numbered = _NUMBERED.match(text)
        if numbered is None:
            yield text
            continue
        number, command = int(numbered["number"]), numbered["command"]
        if command.startswith("M110"):
            last_number = number
        elif number > last_number:
            last_number = number
            yield command
