"""Turns the text of a setting into its value, and back into text for a person.

Every reader raises SettingsError with the rest of a sentence that begins with the variable's
name ("must be …"). None quotes the text, which may be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from pms import npgsql
from pms.errors import SettingsError

E = TypeVar("E", bound=StrEnum)

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

_SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d{1,19})\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")


def text(value: str) -> str:
    """Any text that fits on a line."""
    if not value.isprintable():
        raise SettingsError("must not contain control characters")
    return value


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,19}", value, re.ASCII) or not least <= int(value) <= most:
            raise SettingsError(f"must be a whole number from {least} to {most}")
        return int(value)

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers, with or without a fraction, from `least` to `most`."""

    def read(value: str) -> float:
        try:
            result = float(value)
        except ValueError:
            result = math.nan
        if not least <= result <= most:
            raise SettingsError(f"must be a number from {least:g} to {most:g}")
        return result

    return read


def boolean(value: str) -> bool:
    """True or false, as people write them."""
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise SettingsError("must be true or false (1/0, yes/no, on/off)") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one of some words; capitals do not matter."""
    by_name = {choice.lower(): choice for choice in choices}

    def read(value: str) -> str:
        if value.lower() not in by_name:
            raise SettingsError(f"must be one of {', '.join(choices)}")
        return by_name[value.lower()]

    return read


def member(kind: type[E]) -> Callable[[str], E]:
    """A reader of the members of an enumeration; capitals do not matter."""
    read_name = one_of(*kind)
    return lambda value: kind(read_name(value))


def size(value: str) -> int:
    """A number of bytes; K, M, G and T, also as KB or KiB, are powers of 1024."""
    match = _SIZE.fullmatch(value)
    if match is None:
        raise SettingsError("must be a number of bytes such as 21474836480 or 20GiB")
    return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]


def rate(value: str) -> int | None:
    """A number of bytes a second, written like a size; 0 is no limit."""
    return size(value) or None


def size_text(value: int | None) -> str:
    """The shortest exact way to write a number of bytes; empty for nothing."""
    if value is None:
        return ""
    for unit in "TGMK":
        if value and value % _SIZE_UNITS[unit.lower()] == 0:
            return f"{value // _SIZE_UNITS[unit.lower()]}{unit}iB"
    return str(value)


def folder(value: str) -> Path:
    """A folder, made absolute so that every process means the same one."""
    return Path(text(value)).absolute()


def host(value: str) -> str:
    """A host name or an address, without a port."""
    if not _HOST.fullmatch(value):
        raise SettingsError("must be a host name or address alone; its port has its own setting")
    return value.strip("[]")


def http_url(value: str) -> str:
    """A base URL, without the slash at its end."""
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError("must be a URL such as http://file-processor:80")
    if parts.query or parts.fragment:
        raise SettingsError("must be a URL without a query (?) or a fragment (#)")
    return value.rstrip("/")


def database(value: str) -> npgsql.ConnectionString:
    """A URL for SQLAlchemy, from one or from an Npgsql connection string."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+]*:", value):
        return npgsql.parse(value)
    scheme, _, rest = value.partition(":")
    if scheme.lower() in {"postgresql", "postgres", npgsql.DRIVER} and rest.startswith("//"):
        return _postgresql(f"{npgsql.DRIVER}:{rest}")
    if scheme.lower() == "sqlite" and re.match(r"///[^?:]", rest):
        return npgsql.ConnectionString(f"sqlite:{rest}")
    raise SettingsError(
        "must be Host=…;Port=…;Database=…;Username=…;Password=…, postgresql://… or sqlite:///FILE"
    )


def database_text(value: npgsql.ConnectionString) -> str:
    """The URL; its password has still to be masked."""
    return value.url


def _postgresql(url: str) -> npgsql.ConnectionString:
    parts = _split(url)
    if parts is None or parts.fragment or url.count("@") > int("@" in parts.netloc):
        raise SettingsError(
            "is not a valid URL; characters such as @ : / ? # in a password must be written as %40"
            " and so on"
        )
    return npgsql.ConnectionString(url)


def _split(value: str) -> SplitResult | None:
    """The parts of a URL, or None where it is malformed."""
    if not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        # Reading the port is what checks it.
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def shown(value: Any) -> str:
    """A value as a person would write it; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
