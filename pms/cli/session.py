"""What commands work with: the settings, and the coordinator if one runs."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from pms.bus.control import Ask, GetStatus, Wake, ask
from pms.bus.endpoints import Endpoints
from pms.config import Settings
from pms.errors import CoordinatorNotRunningError, RefusedError, SettingsError
from pms.redaction import register_secret

#: A coordinator that is too busy to answer looks at the database by itself soon enough.
WAKE_TIMEOUT_S = 1.0


def read_settings() -> Settings:
    """The settings of this process; raises SettingsError."""
    settings = Settings.from_environment(os.environ)
    for secret in settings.secrets:
        register_secret(secret)
    return settings


def ask_coordinator(settings: Settings, question: Ask) -> Any:
    """Put a question to the coordinator.

    Raises RefusedError with its reason, CoordinatorNotRunningError and SettingsError.
    """
    return ask(Endpoints(settings.runtime_dir).control, question)


def status_if_running(settings: Settings) -> dict[str, Any] | None:
    """The farm's status; None when no coordinator runs."""
    with suppress(CoordinatorNotRunningError):
        status: dict[str, Any] = ask_coordinator(settings, GetStatus())
        return status
    return None


def wake(settings: Settings) -> None:
    """Let a coordinator notice at once what has changed in the database, if one runs."""
    with suppress(CoordinatorNotRunningError, RefusedError, SettingsError):
        ask(Endpoints(settings.runtime_dir).control, Wake(), WAKE_TIMEOUT_S)
