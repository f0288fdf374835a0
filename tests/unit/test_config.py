from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from pms.config import BrokerSettings, Settings
from pms.domain.scheduling import MaterialMatch
from pms.errors import SettingsError
from pms.setting_table import TABLE

GIB = 1 << 30


def value_of(name: str, variable: str, text: str) -> Any:
    return getattr(Settings.from_environment({variable: text}), name)


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({})
    assert settings == Settings(
        database_url=f"sqlite:///{tmp_path}/pms-data/pms.sqlite3",
        embedded_database=True,
        broker=None,
        file_server_base_url=None,
        data_dir=tmp_path / "pms-data",
        runtime_dir=tmp_path / "pms-data" / "run",
        poll_interval_s=10.0,
        http_timeout_s=10.0,
        upload_timeout_s=60.0,
        log_level="INFO",
        log_format="console",
        web_host="127.0.0.1",
        web_port=8585,
        web_token=None,
        material_match=MaterialMatch.TRACKED,
        cache_bytes=20 * GIB,
        transfer_retries=5,
        max_transfers=8,
        transfer_rate=None,
        max_heating=None,
        reprints=1,
        printer_failures=3,
        stall_minutes=30,
        max_copies=1000,
        event_retention_days=90,
        file_retention_days=7,
        delete_files_when_completed=False,
        legacy_print_finished=False,
    )


def test_an_empty_variable_counts_as_unset() -> None:
    empty = {row.variable: "" for row in TABLE}
    blank = {row.variable: "  " for row in TABLE}
    assert Settings.from_environment(empty) == Settings.from_environment({})
    assert Settings.from_environment(blank) == Settings.from_environment({})


@pytest.mark.parametrize(
    ("name", "variable", "text", "value"),
    [
        ("poll_interval_s", "PMS_POLL_INTERVAL", "0.5", 0.5),
        ("poll_interval_s", "PMS_POLL_INTERVAL", " 3 ", 3.0),
        ("http_timeout_s", "PMS_HTTP_TIMEOUT", "2", 2.0),
        ("upload_timeout_s", "PMS_UPLOAD_TIMEOUT", "1e2", 100.0),
        ("log_level", "PMS_LOG_LEVEL", "debug", "DEBUG"),
        ("log_format", "PMS_LOG_FORMAT", "JSON", "json"),
        ("web_host", "PMS_WEB_HOST", "::", "::"),
        ("web_host", "PMS_WEB_HOST", "[::1]", "::1"),
        ("web_port", "PMS_WEB_PORT", "0", 0),
        ("web_token", "PMS_WEB_TOKEN", " t ", " t "),
        ("material_match", "PMS_MATERIAL_MATCH", "Strict", MaterialMatch.STRICT),
        ("cache_bytes", "PMS_CACHE_BYTES", "0", 0),
        ("cache_bytes", "PMS_CACHE_BYTES", "1048576", 1 << 20),
        ("cache_bytes", "PMS_CACHE_BYTES", "100B", 100),
        ("cache_bytes", "PMS_CACHE_BYTES", "2 gib", 2 * GIB),
        ("cache_bytes", "PMS_CACHE_BYTES", "2GB", 2 * GIB),
        ("cache_bytes", "PMS_CACHE_BYTES", "3M", 3 << 20),
        ("cache_bytes", "PMS_CACHE_BYTES", "1TiB", 1 << 40),
        ("transfer_retries", "PMS_TRANSFER_RETRIES", "0", 0),
        ("max_transfers", "PMS_MAX_TRANSFERS", "3", 3),
        ("max_heating", "PMS_MAX_HEATING", "3", 3),
        ("max_heating", "PMS_MAX_HEATING", "", None),
        ("transfer_rate", "PMS_TRANSFER_RATE", "2MiB", 2 << 20),
        ("transfer_rate", "PMS_TRANSFER_RATE", "0", None),
        ("transfer_rate", "PMS_TRANSFER_RATE", "", None),
        ("reprints", "PMS_REPRINTS", "+2", 2),
        ("max_copies", "PMS_MAX_COPIES", "1000000", 1_000_000),
        ("stall_minutes", "PMS_STALL_MINUTES", "0.1", 0.1),
        ("event_retention_days", "PMS_EVENT_RETENTION_DAYS", "7", 7),
        ("file_retention_days", "PMS_FILE_RETENTION_DAYS", "0", 0),
        ("file_server_base_url", "FILE_SERVER_BASE_URL", "http://f:80/", "http://f:80"),
        ("file_server_base_url", "FILE_SERVER_BASE_URL", "https://f/a/b", "https://f/a/b"),
        ("data_dir", "PMS_DATA_DIR", "/var/lib/pms", Path("/var/lib/pms")),
        ("runtime_dir", "PMS_DATA_DIR", "/var/lib/pms", Path("/var/lib/pms/run")),
        ("runtime_dir", "PMS_RUNTIME_DIR", "/run/pms", Path("/run/pms")),
        *[
            ("legacy_print_finished", "PMS_LEGACY_PRINT_FINISHED", text, True)
            for text in ("true", "TRUE", "1", "yes", "On")
        ],
        *[
            ("delete_files_when_completed", "PMS_DELETE_FILES_WHEN_COMPLETED", text, False)
            for text in ("false", "False", "0", "no", "OFF")
        ],
    ],
)
def test_values(name: str, variable: str, text: str, value: Any) -> None:
    assert value_of(name, variable, text) == value


@pytest.mark.parametrize(
    ("variable", "text", "wanted"),
    [
        ("PMS_POLL_INTERVAL", "soon", "must be a number from 0.1 to 3600"),
        ("PMS_POLL_INTERVAL", "0", "must be a number from"),
        ("PMS_POLL_INTERVAL", "nan", "must be a number from"),
        ("PMS_POLL_INTERVAL", "inf", "must be a number from"),
        ("PMS_POLL_INTERVAL", "10s", "must be a number from"),
        ("PMS_WEB_PORT", "65536", "must be a whole number from 0 to 65535"),
        ("PMS_WEB_PORT", "80.5", "must be a whole number"),
        ("PMS_WEB_PORT", "1_000", "must be a whole number"),
        ("PMS_WEB_PORT", "8" * 5000, "must be a whole number"),
        ("RABBITMQ_PORT", "0", "must be a whole number from 1 to 65535"),
        ("PMS_MAX_COPIES", "0", "must be a whole number from 1"),
        ("PMS_REPRINTS", "-1", "must be a whole number from 0"),
        ("PMS_MAX_TRANSFERS", "0", "must be a whole number from 1"),
        ("PMS_MAX_HEATING", "0", "must be a whole number from 1"),
        ("PMS_TRANSFER_RATE", "fast", "must be a number of bytes such as"),
        ("PMS_CACHE_BYTES", "lots", "must be a number of bytes such as"),
        ("PMS_CACHE_BYTES", "-1", "must be a number of bytes such as"),
        ("PMS_CACHE_BYTES", "1.5GiB", "must be a number of bytes such as"),
        ("PMS_LOG_LEVEL", "loud", "must be one of DEBUG, INFO"),
        ("PMS_LOG_FORMAT", "xml", "must be one of console, json"),
        ("PMS_MATERIAL_MATCH", "maybe", "must be one of strict, tracked, off"),
        ("PMS_LEGACY_PRINT_FINISHED", "maybe", "must be true or false"),
        ("RABBITMQ_TLS", "2", "must be true or false"),
        ("RABBITMQ_HOST", "rabbit:5672", "must be a host name or address alone"),
        ("RABBITMQ_HOST", "amqp://rabbit", "must be a host name or address alone"),
        ("RABBITMQ_HOST", "two hosts", "must be a host name or address alone"),
        ("RABBITMQ_USER", "a\nb", "must not contain control characters"),
        ("FILE_SERVER_BASE_URL", "file-server:80", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "ftp://files", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "http://", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "http://h:port", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "http://h:0", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "http://[h", "must be a URL such as"),
        ("FILE_SERVER_BASE_URL", "http://h/?a=b", "without a query"),
        ("DATABASE_CONNECTION_STRING", "postgres", "part 1 is not of the form Key=Value"),
        ("DATABASE_CONNECTION_STRING", "mysql://h/d", "postgresql://… or sqlite:///FILE"),
        ("DATABASE_CONNECTION_STRING", "postgresql+asyncpg://h/d", "or sqlite:///FILE"),
        ("DATABASE_CONNECTION_STRING", "sqlite://", "or sqlite:///FILE"),
        ("DATABASE_CONNECTION_STRING", "sqlite:///:memory:", "or sqlite:///FILE"),
        ("DATABASE_CONNECTION_STRING", "postgresql://u:p@h:x/d", "is not a valid URL"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(variable: str, text: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: text})
    line = str(caught.value)
    assert line.startswith(variable)
    assert wanted in line
    assert len(line) < 300
    assert line.isprintable()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RABBITMQ_PASSWORD", "hunter2\n"),
        ("PMS_WEB_TOKEN", "hunter2\x00"),
        ("FILE_SERVER_BASE_URL", "http://u:hunter2@"),
        ("FILE_SERVER_BASE_URL", "http://u:hunter2/x@h"),
        ("DATABASE_CONNECTION_STRING", "Host=h;Password='hunter2"),
        ("DATABASE_CONNECTION_STRING", "hunter2"),
        ("DATABASE_CONNECTION_STRING", "postgresql://u:a@hunter2@h/d"),
        ("DATABASE_CONNECTION_STRING", "postgresql://u:a/hunter2@h/d"),
        ("DATABASE_CONNECTION_STRING", "postgresql://u:1?hunter2@h/d"),
        ("DATABASE_CONNECTION_STRING", "postgresql://u:a#hunter2@h/d"),
        ("DATABASE_CONNECTION_STRING", "mysql://u:hunter2@h/d"),
    ],
)
def test_errors_never_show_a_secret(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: text})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgres://u:p@h:5433/d", "postgresql+psycopg://u:p@h:5433/d"),
        ("postgresql+psycopg://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql:///d?host=/run/pg", "postgresql+psycopg:///d?host=/run/pg"),
        ("Host=h;Username=u;Password=p;Database=d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:////var/lib/pms.sqlite3", "sqlite:////var/lib/pms.sqlite3"),
        ("sqlite:///pms.sqlite3", "sqlite:///pms.sqlite3"),
    ],
)
def test_database_urls(text: str, url: str) -> None:
    settings = Settings.from_environment({"DATABASE_CONNECTION_STRING": text})
    assert (settings.database_url, settings.embedded_database) == (url, False)
    make_url(url)


@pytest.mark.parametrize("name", ["data", "with space", "a?b", "100%25", "#1", "a{b}"])
def test_the_embedded_database_lies_in_any_data_directory(name: str) -> None:
    settings = Settings.from_environment({"PMS_DATA_DIR": f"/srv/{name}"})
    assert make_url(settings.database_url).database == f"/srv/{name}/pms.sqlite3"
    assert settings.runtime_dir == Path(f"/srv/{name}/run")


def test_the_broker() -> None:
    settings = Settings.from_environment(
        {
            "RABBITMQ_HOST": "rabbit",
            "RABBITMQ_PORT": "5671",
            "RABBITMQ_VHOST": "farm",
            "RABBITMQ_USER": "u",
            "RABBITMQ_PASSWORD": " hunter2 ",
            "RABBITMQ_TLS": "true",
        }
    )
    assert settings.broker == BrokerSettings(
        host="rabbit", port=5671, virtual_host="farm", user="u", password=" hunter2 ", tls=True
    )
    bare = Settings.from_environment({"RABBITMQ_HOST": "rabbit"})
    assert bare.broker == BrokerSettings(host="rabbit")


WITH_SECRETS = {
    "DATABASE_CONNECTION_STRING": "Host=h;Username=u;Password='pass;word1'",
    "RABBITMQ_HOST": "rabbit",
    "RABBITMQ_PASSWORD": "password2",
    "PMS_WEB_TOKEN": "password3",
    "FILE_SERVER_BASE_URL": "http://u:password4@files",
}


def test_descriptions_say_value_source_and_meaning() -> None:
    settings = Settings.from_environment({**WITH_SECRETS, "PMS_CACHE_BYTES": "3145728"})
    described = {row.variable: row for row in settings.describe()}
    assert list(described) == [row.variable for row in TABLE]
    texts = {variable: (row.value_text, row.source) for variable, row in described.items()}
    assert texts["DATABASE_CONNECTION_STRING"] == ("postgresql+psycopg://u:***@h", "environment")
    assert texts["RABBITMQ_PASSWORD"] == ("***", "environment")
    assert texts["PMS_WEB_TOKEN"] == ("***", "environment")
    assert texts["FILE_SERVER_BASE_URL"] == ("http://u:***@files", "environment")
    assert texts["PMS_CACHE_BYTES"] == ("3MiB", "environment")
    assert texts["PMS_POLL_INTERVAL"] == ("10", "default")
    assert texts["RABBITMQ_TLS"] == ("false", "default")
    assert texts["PMS_MATERIAL_MATCH"] == ("tracked", "default")
    assert all(row.meaning and row.meaning.isprintable() for row in described.values())


def test_an_unset_token_is_described_as_empty() -> None:
    described = {row.variable: row.value_text for row in Settings.from_environment({}).describe()}
    assert described["PMS_WEB_TOKEN"] == ""


def test_secrets_are_known_and_not_in_the_representation() -> None:
    settings = Settings.from_environment(WITH_SECRETS)
    assert settings.secrets == ("pass;word1", "password2", "password3", "password4")
    for shown in (repr(settings), str(settings.describe())):
        assert not any(secret in shown for secret in settings.secrets)
        assert "word1" not in shown


def test_the_default_broker_password_is_no_secret() -> None:
    assert Settings.from_environment({"RABBITMQ_HOST": "rabbit"}).secrets == ()


def test_oddities_are_noted() -> None:
    settings = Settings.from_environment(
        {
            "PMS_POLL_INTERVALL": "5",
            "RABBITMQ_USER": "u",
            "DATABASE_CONNECTION_STRING": "Host=h;Pooling=true",
            "PATH": "/bin",
        }
    )
    assert settings.notes == (
        "PMS_POLL_INTERVALL is not a setting of PMS and is ignored",
        "RABBITMQ_USER is ignored because RABBITMQ_HOST is not set",
        "DATABASE_CONNECTION_STRING: Pooling is not used by PMS and is ignored",
    )


def test_settings_can_be_sent_to_another_process() -> None:
    settings = Settings.from_environment(WITH_SECRETS)
    assert pickle.loads(pickle.dumps(settings)) == settings
