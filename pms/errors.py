"""Every error that PMS raises on purpose, under one root.

Third-party exceptions are translated to these at the adapter that owns the library.
A message is one line that names the thing and the remedy, and never holds a secret.
"""

from __future__ import annotations


class PMSError(Exception):
    """Root of all errors of PMS; its text is fit for a person to read."""


class SettingsError(PMSError):
    """A setting is missing, malformed or contradicts another one."""


class UsageError(PMSError):
    """A command was called with options that do not go together, or without one that it needs."""


class DatabaseUnavailableError(PMSError):
    """The database does not answer; the same call may work later."""


class DatabaseClaimedError(DatabaseUnavailableError):
    """Another coordinator works on the database."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database's disk is full; what writes nothing may work."""


class SchemaError(PMSError):
    """The database answers but lacks tables that PMS needs."""


class BrokerUnavailableError(PMSError):
    """RabbitMQ does not answer; the same call may work later."""


class RefusedError(PMSError):
    """An operator's request cannot be carried out; the text says why."""


class NotFoundError(RefusedError):
    """An operator named a printer, job or print that does not exist."""


class CoordinatorNotRunningError(PMSError):
    """No coordinator answers on the control socket."""
