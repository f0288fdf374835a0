"""The settings of PMS, read once from the environment and then passed down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pms.domain.scheduling import MaterialMatch
from pms.errors import SettingsError
from pms.redaction import MASK, redact
from pms.setting_table import TABLE, Setting

ENVIRONMENT = "environment"
DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    """How to reach RabbitMQ."""

    host: str
    port: int = 5672
    virtual_host: str = "/"
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: bool = False


@dataclass(frozen=True, kw_only=True)
class SettingDescription:
    """A setting as `pms-coordinator config` prints it; secrets are masked."""

    variable: str
    value_text: str
    #: ENVIRONMENT or DEFAULT.
    source: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, validated; `setting_table.TABLE` says what each means."""

    #: For SQLAlchemy; may hold a password.
    database_url: str = field(repr=False)
    #: Nobody named a database, so PMS keeps one of its own in the data directory.
    embedded_database: bool
    #: None: no broker, embedded mode.
    broker: BrokerSettings | None
    file_server_base_url: str | None = field(repr=False)
    data_dir: Path
    runtime_dir: Path
    poll_interval_s: float
    http_timeout_s: float
    upload_timeout_s: float
    log_level: str
    log_format: str
    web_host: str
    web_port: int
    web_token: str | None = field(repr=False)
    material_match: MaterialMatch
    cache_bytes: int
    transfer_retries: int
    max_transfers: int
    #: Bytes a second for each printer; None: any number.
    transfer_rate: int | None
    #: None: any number.
    max_heating: int | None
    reprints: int
    printer_failures: int
    stall_minutes: float
    max_copies: int
    event_retention_days: float
    file_retention_days: float
    delete_files_when_completed: bool
    legacy_print_finished: bool
    #: Oddities that are not errors, one line each, to be logged at start.
    notes: tuple[str, ...] = ()
    descriptions: tuple[SettingDescription, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check every setting; an empty variable counts as unset.

        Raises SettingsError, in one line that names the variable and what is wanted.
        """
        given = _given(environ)
        values = _read_all(given)
        descriptions = tuple(_describe(row, values[row.name], given) for row in TABLE)
        database = values.pop("database")
        return cls(
            database_url=database.url,
            embedded_database="DATABASE_CONNECTION_STRING" not in given,
            broker=_pop_broker(values),
            notes=(*_notes(environ, given), *_prefixed(database.notes)),
            descriptions=descriptions,
            **values,
        )

    def describe(self) -> list[SettingDescription]:
        """All settings with their values, where these come from and what they mean."""
        return list(self.descriptions)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords and tokens that must not be seen, for `logs.register_secret`."""
        secrets = {self.web_token, *_passwords(self.database_url)}
        secrets.update(_passwords(self.file_server_base_url or ""))
        if self.broker:
            # RabbitMQ's well-known default is no secret.
            secrets.update({self.broker.password} - {"guest"})
        return tuple(sorted(filter(None, secrets)))


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    texts = ((row, environ.get(row.variable, "")) for row in TABLE)
    return {
        row.variable: text if row.secret else text.strip() for row, text in texts if text.strip()
    }


def _read_all(given: Mapping[str, str]) -> dict[str, Any]:
    data_dir = next(_read(row, given, {}) for row in TABLE if row.name == "data_dir")
    known = {"data_dir": str(data_dir), "data_dir_url": quote(str(data_dir))}
    return {row.name: _read(row, given, known) for row in TABLE}


def _read(row: Setting, given: Mapping[str, str], known: Mapping[str, str]) -> Any:
    text = given[row.variable] if row.variable in given else row.default.format_map(known)
    if not text:
        return None
    try:
        return row.read(text)
    except SettingsError as error:
        raise SettingsError(f"{row.variable}{_quoted(row, text)}: {error}") from None


def _quoted(row: Setting, text: str) -> str:
    """The value in an error, unless it is or may hold a secret."""
    harmless = not row.secret and row.name != "database" and "@" not in text
    return f"={text[:100]!r}" if harmless else ""


def _describe(row: Setting, value: Any, given: Mapping[str, str]) -> SettingDescription:
    value_text = redact(row.show(value))
    return SettingDescription(
        variable=row.variable,
        value_text=MASK if row.secret and value_text else value_text,
        source=ENVIRONMENT if row.variable in given else DEFAULT,
        meaning=row.meaning,
    )


def _pop_broker(values: dict[str, Any]) -> BrokerSettings | None:
    prefix = "broker_"
    names = [name for name in values if name.startswith(prefix)]
    broker = {name.removeprefix(prefix): values.pop(name) for name in names}
    return BrokerSettings(**broker) if broker["host"] else None


def _notes(environ: Mapping[str, str], given: Mapping[str, str]) -> Iterator[str]:
    known = {row.variable for row in TABLE}
    for variable in sorted(environ):
        if variable.startswith("PMS_") and variable not in known:
            yield f"{variable} is not a setting of PMS and is ignored"
        elif (
            variable.startswith("RABBITMQ_") and variable in given and "RABBITMQ_HOST" not in given
        ):
            yield f"{variable} is ignored because RABBITMQ_HOST is not set"


def _prefixed(notes: tuple[str, ...]) -> Iterator[str]:
    return (f"DATABASE_CONNECTION_STRING: {note}" for note in notes)


def _passwords(url: str) -> set[str]:
    parts = urlsplit(url)
    return {unquote(parts.password or ""), *parse_qs(parts.query).get("password", [])}
