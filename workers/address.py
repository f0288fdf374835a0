"""Reading a printer's `ip_address` as the operator wrote it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, urlsplit

from workers.octoprint_errors import BadAddress, one_line

_HOST_NAME = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXAMPLES = "http://10.0.0.7:5000, printer.local or 10.0.0.7:5000"


def normalize_address(text: str) -> str:
    """The base URL (`http://10.0.0.7:5000`, without a slash at the end) for a printer's address.

    A bare host, host:port, and URLs with a path prefix are accepted; what a browser appends
    (`?`, `#temp`) is dropped. Raises BadAddress.
    """
    text = text.strip()
    if not text:
        raise BadAddress(f"the printer has no address: set its ip_address, for example {_EXAMPLES}")
    shown = re.split("[?#]", text)[0]
    if "@" in shown:
        raise BadAddress(
            "the printer's ip_address holds a user name or password: remove it, "
            "PMS logs in with the printer's api_key"
        )
    parts = _split(text)
    if parts is None:
        raise BadAddress(
            f"the printer's ip_address {one_line(shown)!r} is malformed: use {_EXAMPLES}"
        )
    return _base_url(parts)


def _split(text: str) -> SplitResult | None:
    """The parts of the address; None when it is malformed."""
    if any(character.isspace() or not character.isprintable() for character in text):
        return None
    try:
        parts = urlsplit(_as_url(text))
        usable = parts.scheme in _DEFAULT_PORTS and parts.port != 0
        usable = usable and not parts.netloc.endswith(":")
        return parts if usable and _host(parts) else None
    except ValueError:
        return None


def _as_url(text: str) -> str:
    if "://" in text:
        return text
    try:
        return f"http://[{ipaddress.IPv6Address(text)}]"
    except ValueError:
        return f"http://{text}"


def _host(parts: SplitResult) -> str:
    """The host as it goes into the URL; raises ValueError for what cannot be one."""
    host = parts.hostname or ""
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host)}]"
    if re.fullmatch(r"[0-9.]+", host):
        return str(ipaddress.IPv4Address(host))
    host = host.encode("idna").decode("ascii")
    if not _HOST_NAME.fullmatch(host.removesuffix(".")):
        raise ValueError(host)
    return host


def _base_url(parts: SplitResult) -> str:
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    prefix = quote(parts.path, safe="/%:@!$&'()*+,;=~").rstrip("/")
    return f"{parts.scheme}://{_host(parts)}{port}{prefix}"
