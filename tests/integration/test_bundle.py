"""`pms-probe bundle` where things are away, and where logs come from."""

from __future__ import annotations

import secrets
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pms.cli.bundle_outside import LOG_BYTES, LOG_LINES
from pms.store import events
from pms.store.database import Database
from tests.support.bundles import Bundle, lines_with
from tests.support.commands import KEY, Commands, command_line
from tests.support.control_socket import STATUS, CoordinatorSockets
from tests.support.ports import HOST, free_port

UNKNOWN_KEY = f"a1-{secrets.token_hex(16)}"


def bundled(commands: Commands, folder: Path, *options: object) -> tuple[Bundle, list[str]]:
    """The bundle, and what could not be had."""
    path = folder / "report.zip"
    told = commands.json("pms-probe", "bundle", path, *options)
    assert told["file"] == str(path)
    bundle = Bundle(path)
    assert ["README.txt", *(part["name"] for part in told["parts"])] == list(bundle.texts)
    problems = [part["problem"] for part in told["parts"] if part["problem"]]
    assert all(problem in bundle.texts["README.txt"] for problem in problems)
    return bundle, problems


def test_everything_may_be_away(commands: Commands, tmp_path: Path) -> None:
    port = free_port()
    commands.environment["DATABASE_CONNECTION_STRING"] = (
        f"postgresql://farm:pg-secret-word@{HOST}:{port}/farm"
    )
    log = tmp_path / "old.log"
    log.write_text(f"a key that nobody knows any more: {UNKNOWN_KEY}, printer_ready\n")
    bundle, problems = bundled(commands, tmp_path, "--log", log)
    no_coordinator, no_database = problems
    assert no_coordinator.startswith("the coordinator: no coordinator runs")
    assert f"PostgreSQL database farm at {HOST}:{port} is not available" in no_database
    assert "every long word" in bundle.texts["README.txt"]
    assert bundle.texts["logs/1-old.log.txt"].endswith("any more: ***, printer_ready\n")
    assert bundle.json("versions.json")["libraries"]["pyzmq"]
    bundle.assert_without([UNKNOWN_KEY, "pg-secret-word"])
    settings = {row["variable"]: row["value"] for row in bundle.json("settings.json")}
    assert settings["DATABASE_CONNECTION_STRING"] == (
        f"postgresql+psycopg://***@{HOST}:{port}/farm"
    )


def test_a_printer_that_is_away_stops_nothing(
    commands: Commands, store: Database, coordinator: CoordinatorSockets, tmp_path: Path
) -> None:
    address = f"{HOST}:{free_port()}"
    options = ("--url", address, "--api-key", KEY, "--model", "MK4")
    commands.run("printer", "add", "mk4-1", *options)
    bundle, problems = bundled(commands, tmp_path)
    (away, no_log) = sorted(problems)
    assert away.startswith(f"mk4-1: http://{address} refuses the connection")
    assert no_log.startswith("no log: name it with --log FILE")
    assert bundle.json("status.json") == STATUS
    (row,) = bundle.json("database/printers.json")
    assert (row["name"], row["has_api_key"]) == ("mk4-1", True)
    assert bundle.json("database/pms_events.json")[0]["kind"] == "printer_added"
    assert bundle.path.stat().st_mode & 0o777 == 0o600


def test_only_the_newest_rows_and_lines_go_in(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    with store.begin() as connection:
        for number in range(1005):
            events.record(connection, datetime.now(UTC), f"kind_{number}")
    log = tmp_path / "pms.log"
    cut = "x" * LOG_BYTES + "secret half of a line"
    log.write_text("\n".join([cut, *(f"line {number}" for number in range(LOG_LINES + 5))]) + "\n")
    bundle, _ = bundled(commands, tmp_path, "--log", log)
    rows = bundle.json("database/pms_events.json")
    assert (rows[0]["kind"], len(rows)) == ("kind_1004", 1000)
    lines = bundle.texts["logs/1-pms.log.txt"].splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("line 5", "line 2004", LOG_LINES)


def test_logs_are_found_named_or_piped_in(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "supervised"
    folder.mkdir()
    (folder / "supervisord.log").write_text("supervisord started\n")
    (folder / "pms-coordinator-stderr---supervisor-ab12.log").write_text("coordinator_started\n")
    environment = commands.environment | {"TMPDIR": str(folder)}

    def texts(*options: str, piped: str = "") -> list[str]:
        path = tmp_path / f"{len(options)}.zip"
        subprocess.run(
            command_line(("pms-probe", "bundle", path, *options)),
            cwd=folder,
            env=environment,
            input=piped,
            text=True,
            check=True,
            capture_output=True,
        )
        return [text for name, text in Bundle(path).texts.items() if name.startswith("logs/")]

    assert texts() == ["supervisord started\n", "coordinator_started\n"]
    assert texts("--log", "-", "--log", "supervisord.log", piped="from a pipe\n") == [
        "from a pipe\n",
        "supervisord started\n",
    ]
    (missing,) = texts("--log", "nowhere.log")
    assert missing == "nowhere.log cannot be read: No such file or directory\n"


def test_a_file_that_is_there_is_not_overwritten(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    path.write_text("mine")
    assert "is there already" in commands.refused("pms-probe", "bundle", path)
    assert path.read_text() == "mine"
    nowhere = tmp_path / "nowhere" / "report.zip"
    assert "cannot be written" in commands.refused("pms-probe", "bundle", nowhere)


def test_secrets_of_the_environment_are_masked(commands: Commands, tmp_path: Path) -> None:
    planted = {
        "PMS_WEB_TOKEN": "swordfish-7",
        "OCTOPRINT_API_KEY": 'o"d\\d k/e+y ü&',
        "OTHER_SECRET": "7F3A9C0D5E1B4826AF90D3C2B1E4F507",
    }
    commands.environment |= planted
    log = tmp_path / "pms.log"
    log.write_text("\n".join(lines_with(planted.values())))
    bundle, _ = bundled(commands, tmp_path, "--log", log)
    bundle.assert_without(planted.values())
    assert "in json form: <***>" in bundle.texts["logs/1-pms.log.txt"]


def test_the_present_folder_is_no_secret(commands: Commands, tmp_path: Path) -> None:
    folders = {"PWD": "/srv/farm", "OLDPWD": "/srv"}
    commands.environment |= folders | {"DB_PWD": "swordfish-7"}
    log = tmp_path / "pms.log"
    log.write_text("/srv/farm/part.gcode is gone, swordfish-7 too\n")
    bundle, _ = bundled(commands, tmp_path, "--log", log)
    assert bundle.texts["logs/1-pms.log.txt"] == "/srv/farm/part.gcode is gone, *** too\n"
