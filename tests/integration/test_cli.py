"""The commands as their users run them: as processes, on real databases and sockets."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from pms.bus.control import (
    Cancel,
    Clear,
    Resume,
    Wake,
)
from pms.domain.scheduling import Assignment
from pms.errors import RefusedError
from pms.store import attempts, catalog, printers, tables
from pms.store.database import Database
from tests.support.commands import KEY, TIMEOUT_S, Commands, command_line
from tests.support.control_socket import PRINTER, STATUS, CoordinatorSockets
from tests.support.gcode import dwelling_gcode
from tests.support.postgres import Database as PostgreSQL
from tests.support.waiting import wait_until

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def add_printer(commands: Commands, name: str, *options: str, model: str = "MK4") -> None:
    url = ("--url", "10.0.0.7:5000")
    commands.run("printer", "add", name, *url, "--api-key", KEY, "--model", model, *options)


def gcode_file(folder: Path) -> Path:
    file = folder / "part.gcode"
    file.write_bytes(dwelling_gcode(1.0).content)
    return file


# -- printers ---------------------------------------------------------------------


def test_printers_are_added_changed_and_removed(either: Commands) -> None:
    add_printer(either, "mk4-1")
    add_printer(either, "belt", "--autostart", model="Belt")
    either.run("printer", "set", "mk4-1", "--material", "PLA/Black", "PETG/Red", "--autostart")
    either.run("printer", "set", "mk4-1", "--url", "https://mk4.local/", "--model", "mk4")
    either.run("printer", "disable", "belt")
    mk4, belt = either.json("printer", "list")
    assert mk4 == {
        "id": 1,
        "name": "mk4-1",
        "model": "MK4",
        "address": "https://mk4.local",
        "has_api_key": True,
        "enabled": True,
        "suspended": False,
        "autostart": True,
        "own_autostart": True,
        "materials": ["PETG/Red", "PLA/Black"],
    }
    assert (belt["enabled"], belt["address"]) == (False, "http://10.0.0.7:5000")
    either.run("printer", "set", "1", "--model-autostart", "--material")
    either.run("printer", "remove", "belt")
    (mk4,) = either.json("printer", "list")
    assert (mk4["autostart"], mk4["own_autostart"], mk4["materials"]) == (False, None, [])
    assert "mk4-1" in either.run("printer", "list")


def test_a_new_model_is_told_of(commands: Commands) -> None:
    options = ("--url", "a.local", "--api-key", KEY, "--model", "MK4")
    assert "created the printer model MK4" in commands.run("printer", "add", "a", *options)
    assert commands.json("printer", "add", "b", *options)["model_created"] is False


def test_what_cannot_be_done_is_refused(commands: Commands) -> None:
    add_printer(commands, "a")
    complaints = {
        "printer add a --url b.local --api-key k --model M": "there is a printer 'a' already",
        "printer add b --url http:// --api-key k --model M": "is malformed",
        "printer add b --url u:p@h --api-key k --model M": "user name or password",
        "printer set a": "nothing to change",
        "printer enable nobody": "there is no printer 'nobody'",
        "printer remove nobody": "there is no printer 'nobody'",
        "job show 9": "there is no job 9",
        "job priority 9 1": "there is no job 9",
        "events --printer nobody": "there is no printer 'nobody'",
    }
    for line, complaint in complaints.items():
        assert complaint in commands.refused(*line.split())
    assert [each["name"] for each in commands.json("printer", "list")] == ["a"]


def test_entering_the_same_at_the_same_time_is_refused_once(database: PostgreSQL) -> None:
    store = Database(database.url)

    def enter() -> tuple[int, bool]:
        with store.begin() as connection:
            return catalog.find_or_create_model(connection, "MK4")

    with ThreadPoolExecutor(1) as threads:
        with store.begin() as first:
            assert catalog.find_or_create_model(first, "MK4") == (1, True)
            second = threads.submit(enter)
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            wait_until(lambda: first.scalar(waiting), TIMEOUT_S, "the second one's wait")
        with pytest.raises(RefusedError, match="printer model 'MK4' has just been entered"):
            second.result()
    assert enter() == (1, False)
    store.close()


def test_enabling_lifts_a_suspension(commands: Commands, store: Database) -> None:
    add_printer(commands, "a")
    with store.begin() as connection:
        printers.meet_new_ones(connection, NOW)
        printers.suspend(connection, 1)
    assert commands.json("printer", "list")[0]["suspended"] is True
    commands.run("printer", "enable", "a")
    assert commands.json("printer", "list")[0]["suspended"] is False


def test_a_printer_with_a_copy_is_not_removed(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    add_printer(commands, "a")
    job_id = int(commands.run("submit", gcode_file(tmp_path)))
    with store.begin() as connection:
        attempts.claim(connection, Assignment(1, job_id, 1), NOW)
    assert "printer a has print 1 (claimed)" in commands.refused("printer", "remove", "a")


# -- jobs -------------------------------------------------------------------------


def test_a_file_becomes_a_paid_approved_job(either: Commands, tmp_path: Path) -> None:
    add_printer(either, "a")
    part = dwelling_gcode(1.0)
    (tmp_path / "part.gcode").write_bytes(part.content)
    options = ("--copies", 3, "--model", "mk4", "--material", "PLA/Black")
    job_id = int(either.run("submit", tmp_path / "part.gcode", *options))
    stored = either.data_dir / "gcode" / f"job_{job_id}.gcode"
    assert stored.read_bytes() == part.content
    assert list(stored.parent.iterdir()) == [stored]
    (listed,) = either.json("job", "list")
    shown = either.json("job", "show", job_id)
    details = shown.pop("details")
    assert shown == listed
    assert {name: shown[name] for name in ("status", "paid", "copies", "model", "material")} == {
        "status": "operatorApproved",
        "paid": True,
        "copies": 3,
        "model": "MK4",
        "material": "PLA/Black",
    }
    assert [copy["status"] for copy in details] == ["pending"] * 3
    assert "no coordinator runs" in details[0]["reason"]
    with either.database() as database, database.read() as connection:
        marker = connection.scalar(select(tables.print_jobs.c.finished_byte_pos))
    assert marker == part.finished_byte_pos


def test_files_that_cannot_be_printed_leave_nothing(commands: Commands, tmp_path: Path) -> None:
    empty = tmp_path / "empty.gcode"
    empty.touch()
    part = gcode_file(tmp_path)
    assert "is empty" in commands.refused("submit", empty)
    assert "cannot read" in commands.refused("submit", tmp_path / "missing.gcode")
    assert "Is a directory" in commands.refused("submit", tmp_path)
    assert "no printer model 'MK9'; known models: none" in commands.refused(
        "submit", part, "--model", "MK9"
    )
    assert "PMS_MAX_COPIES" in commands.refused("submit", part, "--copies", 1001)
    commands.environment["FILE_SERVER_BASE_URL"] = "http://files.local"
    assert "FILE_SERVER_BASE_URL" in commands.refused("submit", part)
    assert commands.json("job", "list") == []
    assert list((commands.data_dir / "gcode").iterdir()) == []


def test_a_job_is_shown_with_what_was_tried(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    add_printer(commands, "mk4-1")
    job_id = commands.json("submit", gcode_file(tmp_path), "--copies", 2)["job_id"]
    with store.begin() as connection:
        attempt = attempts.claim(connection, Assignment(1, job_id, 1), NOW)
    first, second = commands.json("job", "show", job_id)["details"]
    assert (first["printer"], first["reason"], second["attempts"]) == ("mk4-1", None, [])
    (shown,) = first["attempts"]
    assert (shown["number"], shown["printer"], shown["state"]) == (1, "mk4-1", "claimed")
    assert shown["remote_path"] == attempt.remote_path
    text = commands.run("job", "show", job_id)
    assert "attempts" in text
    assert "claimed" in text


def test_a_job_gets_a_priority_once_it_is_paid(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    job_id = commands.json("submit", gcode_file(tmp_path))["job_id"]
    commands.run("job", "priority", job_id, -4)
    assert commands.json("job", "show", job_id)["priority"] == -4
    with store.begin() as connection:
        connection.execute(insert(tables.print_jobs).values(submitted_at=NOW))
    assert "has to be paid first" in commands.refused("job", "priority", job_id + 1, 1)


def test_a_narrow_terminal_shows_less_of_each_job(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    commands.quickly("submit", gcode_file(tmp_path))
    for columns, more in (("80", []), ("120", ["Model", "Material", "Priority"])):
        commands.environment["COLUMNS"] = columns
        titles, job = commands.quickly("job", "list").splitlines()
        assert [title for title in ("Model", "Material", "Priority") if title in titles] == more
        assert job.split()[:2] == ["1", "operatorApproved"]


# -- the diary ----------------------------------------------------------------------


def test_the_diary_can_be_read_and_followed(commands: Commands) -> None:
    add_printer(commands, "a")
    add_printer(commands, "b")
    kinds = [event["kind"] for event in commands.json("events")]
    assert kinds == ["printer_added", "printer_added"]
    (last,) = commands.json("events", "--limit", 1)
    assert (last["printer_id"], last["detail"]) == (2, "b at http://10.0.0.7:5000")
    with commands.running("events", "--follow", "--printer", "b") as following:
        following.wait_for("printer_added")
        commands.run("printer", "disable", "a")
        commands.run("printer", "disable", "b")
        following.wait_for("printer_disabled")
        assert following.interrupt() == 0
        assert len(following.lines()) == 2


# -- settings -----------------------------------------------------------------------


def test_settings_are_shown_without_secrets(commands: Commands) -> None:
    commands.environment |= {"RABBITMQ_HOST": "mq", "RABBITMQ_PASSWORD": "mq-secret-word"}
    settings = {each["variable"]: each for each in commands.json("config")}
    assert settings["RABBITMQ_HOST"]["value"] == "mq"
    assert settings["RABBITMQ_HOST"]["source"] == "environment"
    assert settings["PMS_POLL_INTERVAL"]["source"] == "default"
    assert settings["RABBITMQ_PASSWORD"]["value"] == "***"
    assert "mq-secret-word" not in commands.run("config")


def test_wrong_settings_are_exit_code_2(commands: Commands) -> None:
    commands.environment["PMS_POLL_INTERVAL"] = "soon"
    for line in ("config", "status", "printer list", "start"):
        assert "PMS_POLL_INTERVAL='soon'" in commands.refused(*line.split(), code=2)


def test_a_data_folder_that_cannot_be_made_is_named(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    commands.environment["PMS_DATA_DIR"] = str(tmp_path / "file" / "data")
    assert "PMS_DATA_DIR=" in commands.refused("printer", "list", code=2)


def test_openfarms_tables_are_made_only_on_request(
    tmp_path: Path, empty_database: PostgreSQL
) -> None:
    commands = Commands(tmp_path, empty_database)
    complaint = commands.refused("printer", "list")
    assert "pms-coordinator init-db" in complaint
    assert empty_database.password not in complaint
    assert "print_jobs" in commands.json("init-db")["created"]
    assert commands.json("init-db")["created"] == []
    assert commands.json("printer", "list") == []


def test_a_refusal_is_the_exit_code_of_the_process(commands: Commands) -> None:
    done = subprocess.run(
        command_line(("status",)),
        env=commands.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_output_that_nobody_reads_is_no_error(commands: Commands) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command_line(("config",)),
        env=commands.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


# -- with a coordinator -----------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["status", "status --json", "watch", "clear a", "pause 1", "resume 1", "cancel 1"],
)
def test_without_a_coordinator_the_remedy_is_named(commands: Commands, line: str) -> None:
    assert "pms-coordinator start" in commands.refused(*line.split())


def test_the_status_is_the_coordinators_own(
    commands: Commands, coordinator: CoordinatorSockets
) -> None:
    assert commands.json("status") == STATUS
    text = commands.run("status")
    assert "mk4-1" in text
    assert "1 MK4 printer: 1 printing" in text


def test_orders_reach_the_coordinator(commands: Commands, coordinator: CoordinatorSockets) -> None:
    assert commands.run("clear", "mk4-1", "--print", 12) == "printer mk4-1: doing\n"
    assert commands.json("clear", "mk4-1") == {"state": "doing"}
    commands.run("resume", 12)
    commands.run("cancel", 13)
    assert coordinator.asked == [
        Clear(printer="mk4-1", print_id=12),
        Clear(printer="mk4-1"),
        Resume(print_id=12),
        Cancel(print_id=13),
    ]
    assert commands.refused("pause", 12).endswith(": print 12 is paused, not printing\n")


def test_changes_wake_the_coordinator(
    commands: Commands, coordinator: CoordinatorSockets, tmp_path: Path
) -> None:
    add_printer(commands, "a")
    commands.run("printer", "disable", "a")
    commands.run("submit", gcode_file(tmp_path))
    commands.run("job", "priority", 1, 5)
    assert coordinator.asked == [Wake()] * 4


def test_why_a_copy_waits_comes_from_the_coordinator(
    commands: Commands, coordinator: CoordinatorSockets, tmp_path: Path
) -> None:
    commands.run("submit", gcode_file(tmp_path))
    queue = [{"print_id": 1, "job_id": 1, "reason": "all are busy"}]
    coordinator.status = STATUS | {"queue": queue}
    assert commands.json("job", "show", 1)["details"][0]["reason"] == "all are busy"


def test_watching_tells_of_changes_in_lines(
    commands: Commands, coordinator: CoordinatorSockets
) -> None:
    with commands.running("watch") as watching:
        watching.wait_for("mk4-1: printing, bed occupied, print 12 of job 3, 20 %")
        finished = PRINTER | {"state": "finished", "progress": 1.0}
        coordinator.status = STATUS | {"printers": [finished], "queue": []}
        watching.wait_for("mk4-1: finished, bed occupied, print 12 of job 3, 100 %")
        watching.wait_for("queue: 0 copies waiting")
        assert watching.interrupt() == 0
        assert "Traceback" not in "\n".join(watching.lines())


def test_watching_survives_the_coordinators_restart(commands: Commands) -> None:
    first = CoordinatorSockets(commands.data_dir / "run")
    try:
        with commands.running("watch", "--json") as watching:
            watching.wait_for("mk4-1")
            first.close()
            watching.wait_for("no coordinator runs")
            second = CoordinatorSockets(commands.data_dir / "run")
            try:
                watching.wait_for("the coordinator is back")
            finally:
                second.close()
            assert watching.interrupt() == 0
            assert json.loads(watching.lines()[0]) == STATUS
    finally:
        first.close()


@pytest.mark.parametrize(("outcome", "code"), [("completed", 0), ("cancelled", 1), ("rejected", 1)])
def test_waiting_for_a_job_ends_as_the_job_does(
    commands: Commands, store: Database, tmp_path: Path, outcome: str, code: int
) -> None:
    with commands.running("submit", gcode_file(tmp_path), "--wait") as waiting:
        waiting.wait_for("no coordinator runs")
        with store.begin() as connection:
            connection.execute(update(tables.print_jobs).values(job_status=outcome))
        assert waiting.wait_for_exit() == code
        assert waiting.lines()[0] == "1"
        assert f"job 1 {outcome}" in "\n".join(waiting.lines())


def test_waiting_ends_when_a_job_needs_attention(
    commands: Commands, store: Database, coordinator: CoordinatorSockets, tmp_path: Path
) -> None:
    coordinator.status = STATUS | {"printers": [PRINTER | {"job_id": 1}], "queue": []}
    with commands.running("submit", gcode_file(tmp_path), "--wait", "--json") as waiting:
        waiting.wait_for("mk4-1")
        with store.begin() as connection:
            connection.execute(update(tables.pms_jobs).values(attention="the file is odd"))
        assert waiting.wait_for_exit() == 1
        first, *_, last = waiting.lines()
        assert json.loads(first)["printers"][0]["progress"] == 0.25
        assert "job 1 needs attention: the file is odd" in last


# -- pms-probe --------------------------------------------------------------------------


def test_the_bus_is_listened_to(commands: Commands, coordinator: CoordinatorSockets) -> None:
    coordinator.progress = 0.5
    with commands.running("pms-probe", "bus", "--printer", "mk4-1", "--json") as listening:
        listening.wait_for("Progress")
        assert listening.interrupt() == 0
        message = json.loads(listening.lines()[0])
        assert (message["printer_id"], message["type"]) == (1, "Progress")
        assert message["fields"]["progress"] == 0.5
    assert "it has mk4-1" in commands.refused("pms-probe", "bus", "--printer", "other")


def test_the_bus_tells_of_silence_and_of_new_printers(
    commands: Commands, coordinator: CoordinatorSockets
) -> None:
    coordinator.status = STATUS | {"printers": []}
    with commands.running("pms-probe", "bus") as listening:
        listening.wait_for("nothing for 5 s")
        coordinator.progress = 0.5
        listening.wait_for("printer 1 Progress")
        coordinator.status = STATUS
        listening.wait_for("mk4-1 Progress attempt_id=1 progress=0.5")
        assert listening.interrupt() == 0
        lines = listening.lines()
    assert lines.count("the coordinator is heard again") == 1
    assert "\x1b" not in "".join(lines)


def test_a_waiting_job_is_explained_from_the_database(
    commands: Commands, store: Database, tmp_path: Path
) -> None:
    job_id = commands.json("submit", gcode_file(tmp_path), "--copies", 3)["job_id"]
    told = commands.json("pms-probe", "explain", "job", job_id)
    assert [story["account"]["why"] for story in told["copies"]] == ["there are no printers"] * 3
    text = commands.run("pms-probe", "explain", "job", job_id)
    assert "prints 1 to 3 (3 copies): each waits" in text
    assert "1. no coordinator runs" in text
    assert "2. add a printer" in text
    assert "there is no job 99" in commands.refused("pms-probe", "explain", "job", 99)
    assert "there is no print 99" in commands.refused("pms-probe", "explain", "print", 99)


@pytest.mark.parametrize(
    "line", ["explain job 1", "state --printer mk4-1", "check --printer mk4-1", "check --all"]
)
def test_looking_makes_no_database(commands: Commands, line: str) -> None:
    assert "there is no database" in commands.refused("pms-probe", *line.split())
    assert not commands.data_dir.exists()
