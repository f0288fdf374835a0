"""Reads the connection strings of Npgsql, which OpenFarm's other services share with PMS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from pms.errors import SettingsError

DRIVER = "postgresql+psycopg"

#: Npgsql's names, lower case without spaces, and what each is called here.
_ALIASES = {
    "host": "host",
    "server": "host",
    "datasource": "host",
    "port": "port",
    "database": "database",
    "db": "database",
    "initialcatalog": "database",
    "username": "username",
    "userid": "username",
    "user": "username",
    "uid": "username",
    "password": "password",
    "pwd": "password",
    "psw": "password",
    "sslmode": "sslmode",
    "timeout": "connect_timeout",
    "connectiontimeout": "connect_timeout",
    "connecttimeout": "connect_timeout",
    "applicationname": "application_name",
    "rootcertificate": "sslrootcert",
    "sslcertificate": "sslcert",
    "sslkey": "sslkey",
    "passfile": "passfile",
    "options": "options",
    "targetsessionattributes": "target_session_attrs",
}

#: Npgsql's usual names that PMS has no use for; any other name may be a piece of a password.
_UNUSED = frozenset(
    {
        "channelbinding",
        "commandtimeout",
        "connectionidlelifetime",
        "encoding",
        "enlist",
        "includeerrordetail",
        "integratedsecurity",
        "keepalive",
        "logparameters",
        "maximumpoolsize",
        "minimumpoolsize",
        "multiplexing",
        "noresetonclose",
        "persistsecurityinfo",
        "pooling",
        "searchpath",
        "timezone",
        "trustservercertificate",
    }
)

_SSL_MODES = {
    "disable": "disable",
    "allow": "allow",
    "prefer": "prefer",
    "require": "require",
    "verifyca": "verify-ca",
    "verifyfull": "verify-full",
}

_SESSION_ATTRIBUTES = {
    "any": "any",
    "primary": "primary",
    "standby": "standby",
    "preferprimary": "any",
    "preferstandby": "prefer-standby",
    "readwrite": "read-write",
    "readonly": "read-only",
}

_KEY = re.compile(r"\s*(?P<key>(?:[^=;]|==)*)=(?!=)")
_QUOTED = re.compile(r"""\s*(?:"(?P<double>(?:[^"]|"")*)"|'(?P<single>(?:[^']|'')*)')\s*(?:;|$)""")
_PLAIN = re.compile(r"\s*(?P<plain>[^;]*)(?:;|$)")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]/@\s]+)(?::(?P<port>\d{1,5}))?")
_GAP = re.compile(r"[\s;]*")


@dataclass(frozen=True)
class ConnectionString:
    """What an Npgsql connection string says, as far as PMS can use it."""

    #: URL for SQLAlchemy; holds the password.
    url: str = field(repr=False)
    #: One line for each key that was ignored, without its value.
    notes: tuple[str, ...] = ()


def parse(text: str) -> ConnectionString:
    """Translate `Host=…;Username=…` into a SQLAlchemy URL.

    Raises SettingsError when the text is malformed or names no host. Neither the error nor the
    notes quote a value.
    """
    known: dict[str, str] = {}
    notes = []
    for number, (key, value) in enumerate(_pairs(text), start=1):
        plain_key = key.lower().replace(" ", "")
        name = _ALIASES.get(plain_key)
        if name is None:
            shown = key if plain_key in _UNUSED else f"the key of part {number}"
            notes.append(f"{shown} is not used by PMS and is ignored")
        elif value:
            known[name] = value
        else:
            known.pop(name, None)
    return ConnectionString(_url(known), tuple(notes))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Split by the rules of .NET's DbConnectionStringBuilder; of a repeated key the last counts."""
    pairs: list[tuple[str, str]] = []
    position = _skip(text, 0)
    while position < len(text):
        key = _KEY.match(text, position)
        if key is None or not key["key"].strip():
            raise SettingsError(f"part {len(pairs) + 1} is not of the form Key=Value")
        value, position = _value(text, key.end(), len(pairs) + 1)
        pairs.append((key["key"].strip().replace("==", "="), value))
        position = _skip(text, position)
    return pairs


def _skip(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position


def _value(text: str, position: int, number: int) -> tuple[str, int]:
    if text[position:].lstrip().startswith(('"', "'")):
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            raise SettingsError(f"the quoted value of part {number} does not end properly")
        if quoted["double"] is not None:
            return quoted["double"].replace('""', '"'), quoted.end()
        return quoted["single"].replace("''", "'"), quoted.end()
    plain = _PLAIN.match(text, position)
    if plain is None:
        raise SettingsError(f"the value of part {number} cannot be read")
    return plain["plain"].strip(), plain.end()


def _url(known: Mapping[str, str]) -> str:
    if "host" not in known:
        raise SettingsError("has no Host")
    port = _whole_number(known, "port", "Port", 1, 65535)
    hosts = [_host_and_port(part.strip(), port) for part in known["host"].split(",")]
    query = _query(known)
    address = ""
    if len(hosts) == 1 and not hosts[0][0].startswith("/"):
        address = _address(*hosts[0])
    else:
        query = [("host", _address(*host)) for host in hosts] + query
    path = "/" + quote(known["database"], safe="") if "database" in known else ""
    if query:
        path = f"{path or '/'}?{urlencode(query)}"
    return f"{DRIVER}://{_credentials(known)}{address}{path}"


def _credentials(known: Mapping[str, str]) -> str:
    if "username" not in known:
        if "password" in known:
            raise SettingsError("has a Password but no Username")
        return ""
    password = ":" + quote(known["password"], safe="") if "password" in known else ""
    return quote(known["username"], safe="") + password + "@"


def _host_and_port(host: str, port: int | None) -> tuple[str, int | None]:
    """Npgsql lets a host carry a port of its own; a bare IPv6 address is not split."""
    split = _HOST_AND_PORT.fullmatch(host)
    if split:
        return split["host"].strip("[]"), int(split["port"]) if split["port"] else port
    if host.startswith("/") or re.fullmatch(r"[0-9A-Fa-f:.]+", host):
        return host, port
    raise SettingsError("has a Host that is neither a name, an address nor a socket directory")


def _address(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _query(known: Mapping[str, str]) -> list[tuple[str, str]]:
    values = {
        "sslmode": _choice(known, "sslmode", "SSL Mode", _SSL_MODES),
        "connect_timeout": _whole_number(known, "connect_timeout", "Timeout", 0, 1024),
        "target_session_attrs": _choice(
            known, "target_session_attrs", "Target Session Attributes", _SESSION_ATTRIBUTES
        ),
    }
    verbatim = ("application_name", "sslrootcert", "sslcert", "sslkey", "passfile", "options")
    query = [(name, str(value)) for name, value in values.items() if value is not None]
    return query + [(name, known[name]) for name in verbatim if name in known]


def _choice(
    known: Mapping[str, str], name: str, label: str, choices: Mapping[str, str]
) -> str | None:
    if name not in known:
        return None
    chosen = choices.get(re.sub(r"[\s_-]", "", known[name]).lower())
    if chosen is None:
        raise SettingsError(f"has an unknown {label}; known are {', '.join(choices)}")
    return chosen


def _whole_number(
    known: Mapping[str, str], name: str, label: str, least: int, most: int
) -> int | None:
    if name not in known:
        return None
    if not re.fullmatch(r"\d{1,6}", known[name]) or not least <= int(known[name]) <= most:
        raise SettingsError(f"has a {label} that is not a whole number from {least} to {most}")
    return int(known[name])
