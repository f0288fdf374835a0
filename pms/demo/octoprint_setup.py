"""The files that an OctoPrint needs before its first start, so that nobody has to click.

Users are written with their API keys, the wizard and everything that asks the internet is
off, and so are the bundled plugins that neither a demonstration nor a test needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Speed = Literal["fast", "brisk", "normal", "slow"]

#: Percent for M220 and M221. The virtual printer sleeps a tenth of a move's nominal time.
SPEED_PERCENT: Mapping[Speed, int] = {"fast": 10_000_000, "brisk": 500, "normal": 100, "slow": 10}

PASSWORD_ROUNDS = 29_000

_DISABLED_PLUGINS = (
    "achievements",
    "announcements",
    "backup",
    "classicwebcam",
    "corewizard",
    "customcontrolmanager",
    "discovery",
    "errortracking",
    "eventmanager",
    "file_check",
    "firmware_check",
    "gcodeviewer",
    "health_check",
    "logging",
    "pi_support",
    "pluginmanager",
    "softwareupdate",
    "tracking",
    "uploadmanager",
)


@dataclass(frozen=True, kw_only=True)
class User:
    """A user of an OctoPrint; its groups are admins, users, readonly or guests."""

    api_key: str
    groups: tuple[str, ...] = ("users",)
    permissions: tuple[str, ...] = ()


def write_setup(
    folder: Path,
    *,
    users: Mapping[str, User],
    autoconnect: bool,
    speed: Speed,
    virtual_printer: Mapping[str, Any],
    config: Mapping[str, Any],
) -> None:
    """Write users, configuration and speed into a base folder of OctoPrint's.

    `virtual_printer` is laid over the settings of the plugin, `config` over all settings.
    """
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    printer = _merged(_virtual_printer(speed), virtual_printer)
    _write_json(folder / "config.yaml", _merged(_config(autoconnect, printer), config))
    _write_json(folder / "users.yaml", _users(users))
    script = folder / "scripts" / "gcode" / "afterPrinterConnected"
    script.parent.mkdir(parents=True, exist_ok=True)
    percent = SPEED_PERCENT[speed]
    script.write_text(f"M220 S{percent}\nM221 S{percent}\n", encoding="utf-8")


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    # JSON is YAML too.
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)


def _virtual_printer(speed: Speed) -> dict[str, Any]:
    # The default injects four communication errors into every print.
    settings: dict[str, Any] = {"enabled": True, "simulated_errors": []}
    if speed in {"fast", "brisk"}:
        # Hot already, so that M109 and M190 return at once; a pause waits for the next "wait".
        settings |= {"ambientTemperature": 300.0, "waitInterval": 0.2}
    return settings


def _config(autoconnect: bool, virtual_printer: Mapping[str, Any]) -> dict[str, Any]:
    off = {"enabled": False}
    return {
        "server": {
            "firstRun": False,
            # Else a kill during a start makes the next one a start in safe mode.
            "ignoreIncompleteStartup": True,
            "onlineCheck": off,
            "pluginBlacklist": off,
            "pythonEolCheck": off,
            "ipCheck": off,
        },
        "serial": {
            "port": "VIRTUAL",
            "baudrate": 115200,
            "autoconnect": autoconnect,
            "autorefresh": False,
            "log": False,
        },
        "gcodeAnalysis": {"runAt": "never"},
        "webcam": {"timelapseEnabled": False, "watermark": False},
        "devel": {"cache": {"preemptive": False}, "webassets": {"clean_on_startup": False}},
        "plugins": {"_disabled": list(_DISABLED_PLUGINS), "virtual_printer": virtual_printer},
    }


def _users(users: Mapping[str, User]) -> dict[str, Any]:
    return {"_version": 2} | {
        name: {
            "active": True,
            "apikey": user.api_key,
            "groups": list(user.groups),
            "password": _hash(secrets.token_urlsafe()),
            "permissions": list(user.permissions),
            "settings": {},
        }
        for name, user in users.items()
    }


def _hash(password: str) -> str:
    """Hash a password as passlib's pbkdf2_sha256 does, which is what OctoPrint reads."""
    salt = os.urandom(16)
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, PASSWORD_ROUNDS)
    return f"$pbkdf2-sha256${PASSWORD_ROUNDS}${_base64(salt)}${_base64(digest)}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw, altchars=b"./").decode().rstrip("=")


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree of settings over another; everything but mappings replaces."""
    result = dict(base)
    for key, value in extra.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result
