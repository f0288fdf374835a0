"""Every setting of PMS: what it is called, means, defaults to, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pms import setting_values
from pms.domain.scheduling import MaterialMatch
from pms.setting_values import (
    boolean,
    number,
    one_of,
    rate,
    shown,
    size,
    size_text,
    text,
    whole_number,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row of the table of settings."""

    name: str
    variable: str
    #: As it would stand in the environment; `{data_dir}`, and `{data_dir_url}` with the characters
    #: quoted that a URL cannot hold, are filled in. Empty is nothing.
    default: str
    read: Callable[[str], Any]
    meaning: str
    secret: bool = False
    show: Callable[[Any], str] = shown


TABLE = (
    Setting(
        name="database",
        variable="DATABASE_CONNECTION_STRING",
        default="sqlite:///{data_dir_url}/pms.sqlite3",
        read=setting_values.database,
        show=setting_values.database_text,
        meaning="database, as Npgsql's Host=…;Username=… or SQLAlchemy's postgresql:// or"
        " sqlite:/// URL; unset: a file in the data directory",
    ),
    Setting(
        name="broker_host",
        variable="RABBITMQ_HOST",
        default="",
        read=setting_values.host,
        meaning="RabbitMQ's host; unset: no broker, notifications go to the diary and the log",
    ),
    Setting(
        name="broker_port",
        variable="RABBITMQ_PORT",
        default="5672",
        read=whole_number(1, 65535),
        meaning="RabbitMQ's port, usually 5671 with TLS",
    ),
    Setting(
        name="broker_virtual_host",
        variable="RABBITMQ_VHOST",
        default="/",
        read=text,
        meaning="RabbitMQ's virtual host",
    ),
    Setting(
        name="broker_user",
        variable="RABBITMQ_USER",
        default="guest",
        read=text,
        meaning="user name at RabbitMQ",
    ),
    Setting(
        name="broker_password",
        variable="RABBITMQ_PASSWORD",
        default="guest",
        read=text,
        secret=True,
        meaning="password at RabbitMQ",
    ),
    Setting(
        name="broker_tls",
        variable="RABBITMQ_TLS",
        default="false",
        read=boolean,
        meaning="encrypt the connection to RabbitMQ and check its certificate",
    ),
    Setting(
        name="file_server_base_url",
        variable="FILE_SERVER_BASE_URL",
        default="",
        read=setting_values.http_url,
        meaning="base URL of the server that G-code comes from; unset: the data directory",
    ),
    Setting(
        name="data_dir",
        variable="PMS_DATA_DIR",
        default="./pms-data",
        read=setting_values.folder,
        meaning="folder for the embedded database, local G-code and the G-code cache",
    ),
    Setting(
        name="runtime_dir",
        variable="PMS_RUNTIME_DIR",
        default="{data_dir}/run",
        read=setting_values.folder,
        meaning="folder for sockets; its path must be short (about 80 bytes)",
    ),
    Setting(
        name="poll_interval_s",
        variable="PMS_POLL_INTERVAL",
        default="10",
        read=number(0.1, 3600),
        meaning="seconds between looks at the printers table, at jobs and at each OctoPrint",
    ),
    Setting(
        name="http_timeout_s",
        variable="PMS_HTTP_TIMEOUT",
        default="10",
        read=number(0.1, 600),
        meaning="seconds to wait for an answer of OctoPrint or the file server",
    ),
    Setting(
        name="upload_timeout_s",
        variable="PMS_UPLOAD_TIMEOUT",
        default="60",
        read=number(0.1, 3600),
        meaning="seconds without progress after which a transfer of G-code is given up",
    ),
    Setting(
        name="log_level",
        variable="PMS_LOG_LEVEL",
        default="INFO",
        read=one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        meaning="least important level that is logged",
    ),
    Setting(
        name="log_format",
        variable="PMS_LOG_FORMAT",
        default="console",
        read=one_of("console", "json"),
        meaning="console for people, json for programs",
    ),
    Setting(
        name="web_host",
        variable="PMS_WEB_HOST",
        default="127.0.0.1",
        read=setting_values.host,
        meaning="address that the web page listens on",
    ),
    Setting(
        name="web_port",
        variable="PMS_WEB_PORT",
        default="8585",
        read=whole_number(0, 65535),
        meaning="port that the web page listens on; 0 is any free one",
    ),
    Setting(
        name="web_token",
        variable="PMS_WEB_TOKEN",
        default="",
        read=text,
        secret=True,
        meaning="token that the web page and its API ask for; unset: none",
    ),
    Setting(
        name="material_match",
        variable="PMS_MATERIAL_MATCH",
        default="tracked",
        read=setting_values.member(MaterialMatch),
        meaning="strict: a printer must have the job's material loaded; tracked: or none recorded;"
        " off: materials do not matter",
    ),
    Setting(
        name="cache_bytes",
        variable="PMS_CACHE_BYTES",
        default="20GiB",
        read=size,
        show=size_text,
        meaning="most bytes that the G-code cache may take, also as 20GiB",
    ),
    Setting(
        name="transfer_retries",
        variable="PMS_TRANSFER_RETRIES",
        default="5",
        read=whole_number(0, 1000),
        meaning="times that a transfer of G-code is tried again before the copy goes back",
    ),
    Setting(
        name="max_transfers",
        variable="PMS_MAX_TRANSFERS",
        default="8",
        read=whole_number(1, 100_000),
        meaning="printers that may receive a file at the same time",
    ),
    Setting(
        name="transfer_rate",
        variable="PMS_TRANSFER_RATE",
        default="",
        read=rate,
        show=size_text,
        meaning="most bytes a second that are sent to each printer, also as 2MiB; unset or 0: any",
    ),
    Setting(
        name="max_heating",
        variable="PMS_MAX_HEATING",
        default="",
        read=whole_number(1, 100_000),
        meaning="printers that may heat up at the same time; unset: any number",
    ),
    Setting(
        name="reprints",
        variable="PMS_REPRINTS",
        default="1",
        read=whole_number(0, 1000),
        meaning="failed prints of a job that are replaced without asking",
    ),
    Setting(
        name="printer_failures",
        variable="PMS_PRINTER_FAILURES",
        default="3",
        read=whole_number(1, 1000),
        meaning="failures in a row after which a printer is suspended",
    ),
    Setting(
        name="stall_minutes",
        variable="PMS_STALL_MINUTES",
        default="30",
        read=number(0.01, 100_000),
        meaning="minutes without progress after which a print needs attention",
    ),
    Setting(
        name="max_copies",
        variable="PMS_MAX_COPIES",
        default="1000",
        read=whole_number(1, 1_000_000),
        meaning="most copies that one job may ask for",
    ),
    Setting(
        name="event_retention_days",
        variable="PMS_EVENT_RETENTION_DAYS",
        default="90",
        read=number(0.01, 100_000),
        meaning="days that the farm's diary is kept",
    ),
    Setting(
        name="file_retention_days",
        variable="PMS_FILE_RETENTION_DAYS",
        default="7",
        read=number(0, 100_000),
        meaning="days that the G-code of failed and cancelled prints stays on OctoPrint; 0: it goes"
        " as soon as it can",
    ),
    Setting(
        name="delete_files_when_completed",
        variable="PMS_DELETE_FILES_WHEN_COMPLETED",
        default="false",
        read=boolean,
        meaning="publish JobCompleted, on which the file server deletes the job's G-code",
    ),
    Setting(
        name="legacy_print_finished",
        variable="PMS_LEGACY_PRINT_FINISHED",
        default="false",
        read=boolean,
        meaning="put the printer's id into PrintFinished.JobId, as the former service did",
    ),
)
