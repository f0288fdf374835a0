"""What programs and people are shown, the exit codes, and the start itself."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from typing import Any

import pytest

from pms.domain.states import Bed, PrinterState
from tests.e2e.conftest import CoordinatorFactory, OctoPrints
from tests.support.coordinator import Coordinator
from tests.support.farm import Farm, endless_gcode
from tests.support.gcode import dwelling_gcode
from tests.support.ports import HOST, free_port
from tests.support.postgres import Database
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

COORDINATOR_KEYS = {"pid", "started_at", "database", "broker", "version"}
PRINTER_KEYS = {
    "id", "name", "model", "enabled", "state", "bed", "worker_pid", "restarts", "print_id",
    "job_id", "progress", "eta_s", "temperatures", "last_seen_at", "detail",
}  # fmt: skip
#: How much of a file is on its OctoPrint; came after the others.
MORE_PRINTER_KEYS = {"transfer"}

#: Table → the columns that others may rely on.
TABLES = {
    "pms_printers": "printer_id state state_since detail bed suspended consecutive_failures"
    " last_seen_at worker_pid incarnation",
    "pms_attempts": "id print_id printer_id number state remote_path size sha1 progress"
    " claimed_at ended_at error",
    "pms_jobs": "job_id priority paid_at reprints_left attention",
    "pms_outbox": "id exchange body message_id created_at published_at",
    "pms_events": "id at kind printer_id job_id print_id detail",
}

#: Variable → its default, as `config` shows it; None: it depends on where PMS runs.
DEFAULTS = {
    "DATABASE_CONNECTION_STRING": None,
    "RABBITMQ_HOST": "",
    "RABBITMQ_PORT": "5672",
    "RABBITMQ_VHOST": "/",
    "RABBITMQ_USER": "guest",
    "RABBITMQ_PASSWORD": "***",
    "RABBITMQ_TLS": "false",
    "FILE_SERVER_BASE_URL": "",
    "PMS_DATA_DIR": None,
    "PMS_RUNTIME_DIR": None,
    "PMS_POLL_INTERVAL": "10",
    "PMS_HTTP_TIMEOUT": "10",
    "PMS_UPLOAD_TIMEOUT": "60",
    "PMS_LOG_LEVEL": "INFO",
    "PMS_LOG_FORMAT": "console",
    "PMS_WEB_HOST": "127.0.0.1",
    "PMS_WEB_PORT": "8585",
    "PMS_WEB_TOKEN": "",
    "PMS_MATERIAL_MATCH": "tracked",
    "PMS_CACHE_BYTES": "20GiB",
    "PMS_TRANSFER_RETRIES": "5",
    "PMS_MAX_TRANSFERS": "8",
    "PMS_TRANSFER_RATE": "",
    "PMS_MAX_HEATING": "",
    "PMS_REPRINTS": "1",
    "PMS_PRINTER_FAILURES": "3",
    "PMS_STALL_MINUTES": "30",
    "PMS_MAX_COPIES": "1000",
    "PMS_EVENT_RETENTION_DAYS": "90",
    "PMS_FILE_RETENTION_DAYS": "7",
    "PMS_DELETE_FILES_WHEN_COMPLETED": "false",
    "PMS_LEGACY_PRINT_FINISHED": "false",
}


def outcome(coordinator: Coordinator, *command: str) -> tuple[int, str]:
    """The exit code of a command that says why it failed, and the one line with which it does."""
    done = coordinator.run(*command, check=False)
    assert done.stdout == "", command
    return done.returncode, done.stderr.strip().splitlines()[-1]


def is_time(value: Any) -> bool:
    moment = datetime.fromisoformat(value)
    return moment.tzinfo is not None and moment <= datetime.now(UTC)


# -- status and exit codes -------------------------------------------------------


def assert_printer_is_described(printer: dict[str, Any]) -> None:
    assert set(printer) == PRINTER_KEYS | MORE_PRINTER_KEYS
    for key in ("id", "worker_pid", "restarts"):
        assert type(printer[key]) is int, key
    for key in ("name", "model", "detail"):
        assert type(printer[key]) is str, key
    assert type(printer["enabled"]) is bool
    assert printer["state"] in list(PrinterState)
    assert printer["bed"] in list(Bed)
    assert is_alive(printer["worker_pid"])
    for heater in printer["temperatures"].values():
        assert set(heater) == {"actual", "target"}
    assert is_time(printer["last_seen_at"])


def test_status_and_exit_codes(farm: Farm, octoprints: OctoPrints) -> None:
    (server,) = octoprints(1)
    printing = farm.add_printer("printing", server)
    away = farm.add_printer("away", server, address=f"http://{HOST}:{free_port()}", model="MINI")
    farm.start()
    lost = farm.pay(None)
    farm.wait_for_attempts(lost, "returned")
    running = farm.pay(endless_gcode())
    waiting = farm.pay(dwelling_gcode(seconds=1.0), copies=2)
    farm.wait_for_prints(running, "printing")
    farm.wait_for_printer("printing", "printing")
    farm.wait_for_printer("away", "unreachable")
    farm.wait_for_prints(waiting, "pending", "pending")
    # OctoPrint reads them every few seconds.
    wait_until(
        lambda: "tool0" in farm.printer("printing")["temperatures"], 30.0, "the temperatures"
    )

    status = farm.coordinator.json("status")
    assert set(status) == {"coordinator", "printers", "queue", "attention"}
    assert set(status["coordinator"]) == COORDINATOR_KEYS
    assert status["coordinator"]["pid"] == farm.coordinator.pid
    assert is_time(status["coordinator"]["started_at"])
    assert status["coordinator"]["database"] == status["coordinator"]["broker"] == "connected"
    assert [printer["id"] for printer in status["printers"]] == [printing, away]
    for printer in status["printers"]:
        assert_printer_is_described(printer)
    busy, idle = status["printers"]
    (copy,) = farm.openfarm.prints(running)
    assert (busy["print_id"], busy["job_id"]) == (copy["id"], running)
    assert (busy["model"], busy["enabled"], busy["bed"]) == ("MK4", True, "occupied")
    assert 0.0 <= busy["progress"] <= 1.0
    assert busy["eta_s"] is None or busy["eta_s"] >= 0
    assert busy["temperatures"]["tool0"]["actual"] > 0
    assert {idle[key] for key in ("print_id", "job_id", "progress", "eta_s")} == {None}
    assert (idle["bed"], idle["temperatures"]) == ("clear", {})
    assert "refuses the connection" in idle["detail"]
    assert all(set(entry) == {"print_id", "job_id", "reason"} for entry in status["queue"])
    queued = [(entry["job_id"], entry["print_id"]) for entry in status["queue"]]
    assert queued == [
        (job, row["id"]) for job in (lost, waiting) for row in farm.openfarm.prints(job)
    ]
    (concern,) = status["attention"]
    assert set(concern) == {"job_id", "text"}
    assert concern["job_id"] == lost

    shown = farm.coordinator.run("status").stdout
    for words in ("printing", "away", "unreachable", "MINI", concern["text"], "1 printing"):
        assert words in shown
    assert "\x1b" not in shown
    assert_exit_codes(farm)


def assert_exit_codes(farm: Farm) -> None:
    coordinator = farm.coordinator
    for command in ("clear nobody", "pause 4711", "resume 4711", "cancel 4711", "job show 4711"):
        assert outcome(coordinator, *command.split())[0] == 1, command
    for command in ("", "status --jsn", "pause", "pause x", "clear", "no-such-command"):
        assert outcome(coordinator, *command.split())[0] == 2, command
    for command in ("status", "config", "printer list", "job list", "events", "--version"):
        assert coordinator.run(*command.split()).stdout, command
    assert coordinator.stop() == 0
    for command in ("status", "status --json", "clear printing", "pause 1"):
        code, line = outcome(coordinator, *command.split())
        assert code == 1
        assert "start it with `pms-coordinator start`" in line


# -- the start --------------------------------------------------------------------------


def test_start_on_an_empty_database(
    coordinator_factory: CoordinatorFactory, empty_database: Database
) -> None:
    coordinator = coordinator_factory(empty_database.environment)
    code, line = outcome(coordinator, "start")
    assert code == 1
    assert "lacks OpenFarm's tables" in line
    assert "pms-coordinator init-db" in line
    assert empty_database.password not in line
    assert columns_of(empty_database) == {}

    created = coordinator.json("init-db")["created"]
    assert {"printers", "print_jobs", "prints", "maintenance"} <= set(created)
    assert coordinator.json("init-db")["created"] == []
    before = columns_of(empty_database)
    coordinator.start()
    assert columns_of(empty_database) == before
    ours = {name for name in before if name.startswith("pms_")}
    assert set(before) - ours == set(created)
    assert ours - {"pms_alembic_version"} == set(TABLES)
    for table, columns in TABLES.items():
        assert set(columns.split()) <= before[table], table

    code, line = outcome(coordinator, "start")
    assert code == 1
    runtime_dir = coordinator.environment["PMS_RUNTIME_DIR"]
    assert f"another coordinator runs on PMS_RUNTIME_DIR={runtime_dir}" in line
    code, line = outcome(coordinator_factory(empty_database.environment), "start")
    assert code == 1
    assert f"another coordinator works on PostgreSQL database {empty_database.name} at" in line
    assert coordinator.json("status")["coordinator"]["pid"] == coordinator.pid
    assert coordinator.stop() == 0
    assert not coordinator.left_over()


def test_openfarms_tables_stay_as_they_are(in_openfarm: Coordinator, database: Database) -> None:
    before = columns_of(database)
    in_openfarm.start()
    after = columns_of(database)
    assert {name: columns for name, columns in after.items() if name in before} == before
    assert all(name.startswith("pms_") for name in set(after) - set(before))
    assert in_openfarm.stop() == 0


def columns_of(database: Database) -> dict[str, set[str]]:
    """Table → its columns, of all tables that there are."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        ).fetchall()
    names = {row["table_name"] for row in rows}
    return {
        name: {row["column_name"] for row in rows if row["table_name"] == name} for name in names
    }


# -- settings ------------------------------------------------------------------------------


def test_config_shows_every_setting(coordinator_factory: CoordinatorFactory) -> None:
    given = {
        "DATABASE_CONNECTION_STRING": "Host=db;Database=openfarm;Username=u;Password=one-secret",
        "RABBITMQ_PASSWORD": "another-secret",
        "PMS_WEB_TOKEN": "a-third-secret",
        "PMS_REPRINTS": "4",
        "PMS_MATERIAL_MATCH": "",
    }
    coordinator = coordinator_factory(given)
    for variable in ("PMS_POLL_INTERVAL", "PMS_LOG_LEVEL"):
        del coordinator.environment[variable]
    settings = {each["variable"]: each for each in coordinator.json("config")}
    assert set(settings) == set(DEFAULTS)
    for variable, setting in settings.items():
        assert set(setting) == {"variable", "value", "source", "meaning"}
        assert setting["meaning"]
        # An empty value counts as unset.
        is_given = bool(coordinator.environment.get(variable))
        assert setting["source"] == ("environment" if is_given else "default"), variable
        if not is_given and DEFAULTS[variable] is not None:
            assert setting["value"] == DEFAULTS[variable], variable
    assert settings["PMS_REPRINTS"]["value"] == "4"
    assert settings["PMS_WEB_TOKEN"]["value"] == "***"
    shown = coordinator.run("config").stdout + str(settings)
    assert "secret" not in shown


def test_it_takes_as_many_descriptors_as_it_may_have(alone: Coordinator) -> None:
    alone.start("prlimit", "--nofile=64:")
    soft, hard = resource.prlimit(alone.pid, resource.RLIMIT_NOFILE)
    assert soft == hard > 64


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PMS_POLL_INTERVAL", "soon"),
        ("PMS_MAX_COPIES", "0"),
        ("PMS_MATERIAL_MATCH", "perhaps"),
        ("RABBITMQ_TLS", "a bit"),
        ("FILE_SERVER_BASE_URL", "file-processor"),
        ("DATABASE_CONNECTION_STRING", "Hots=db;Password=one-secret"),
        ("PMS_RUNTIME_DIR", f"/tmp/{'far-too-long' * 9}"),
    ],
)
def test_a_wrong_setting_ends_the_start(
    coordinator_factory: CoordinatorFactory,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    coordinator = coordinator_factory({})
    monkeypatch.setitem(coordinator.environment, variable, value)
    code, line = outcome(coordinator, "start")
    assert code == 2
    assert variable in line
    assert "secret" not in line
    assert variable == "DATABASE_CONNECTION_STRING" or value in line
