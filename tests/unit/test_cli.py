from __future__ import annotations

import argparse
import importlib
import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from pms.bus import messages as bus
from pms.bus.messages import Event, Telemetry, Temperature
from pms.cli import command, follow, probe_bus
from pms.cli.coordinator import build_parser, main
from pms.cli.events import describe as describe_event
from pms.cli.farm_view import attention_lines, overview, percent_in_steps, queue_lines
from pms.cli.gcode_intake import taken_in
from pms.cli.jobs import NO_COORDINATOR, waiting_reasons
from pms.cli.output import add_row, duration, percent, show, table, visible
from pms.cli.picture import changes, overlay
from pms.domain.states import PrinterState
from pms.errors import (
    CoordinatorNotRunningError,
    NotFoundError,
    PMSError,
    RefusedError,
    SettingsError,
)
from pms.redaction import register_secret
from pms.store.events import EventRow
from pms.store.job_overview import CopyDetails, JobSummary
from tests.support.farm_status import printer, status

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


# -- the tree of commands ------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "target", "values"),
    [
        ("start", "service:start", {}),
        ("init-db", "settings:init_db", {"json": False}),
        ("config --json", "settings:config", {"json": True}),
        ("status --json", "farm:status", {"json": True}),
        ("watch", "watch:watch", {"json": False}),
        ("clear mk4 --print 7", "farm:clear", {"printer": "mk4", "print_id": 7}),
        ("clear mk4", "farm:clear", {"print_id": None}),
        ("pause 12", "farm:pause", {"print_id": 12}),
        ("resume 12", "farm:resume", {"print_id": 12}),
        ("cancel 12 --json", "farm:cancel", {"print_id": 12, "json": True}),
        (
            "submit a.gcode",
            "submit:submit",
            {"file": "a.gcode", "copies": 1, "model": None, "material": None, "wait": False},
        ),
        (
            "submit a.gcode --copies 3 --model MK4 --material PLA/Black --wait",
            "submit:submit",
            {"copies": 3, "model": "MK4", "material": ("PLA", "Black"), "wait": True},
        ),
        ("printer list", "printers:list_printers", {}),
        (
            "printer add a --url u --api-key k --model M",
            "printers:add",
            {"name": "a", "url": "u", "api_key": "k", "model": "M", "autostart": None},
        ),
        (
            "printer add a --url u --api-key k --model M --no-autostart",
            "printers:add",
            {"autostart": False},
        ),
        ("printer remove a", "printers:remove", {"name": "a"}),
        ("printer enable a", "printers:enable", {"name": "a"}),
        ("printer disable a", "printers:disable", {"name": "a"}),
        ("printer set a", "printers:change", {"autostart": None, "material": None}),
        ("printer set a --model-autostart", "printers:change", {"autostart": "model"}),
        ("printer set a --material", "printers:change", {"material": []}),
        (
            "printer set a --material PLA/Red PLA/Blue --material PETG/Red",
            "printers:change",
            {"material": [("PLA", "Red"), ("PLA", "Blue"), ("PETG", "Red")]},
        ),
        ("job list --limit 3", "jobs:list_jobs", {"limit": 3}),
        ("job show 7", "jobs:show_job", {"job_id": 7}),
        ("job priority 7 -5", "jobs:priority", {"job_id": 7, "priority": -5}),
        (
            "events --follow --printer a --job 7 --limit 9",
            "events:events",
            {"follow": True, "printer": "a", "job_id": 7, "limit": 9},
        ),
        (
            "demo --printers 3 --copies 4 --octoprint",
            "service:demo",
            {"printers": 3, "copies": 4, "octoprint": True},
        ),
    ],
)
def test_commands_are_understood(line: str, target: str, values: dict[str, Any]) -> None:
    options = build_parser().parse_args(line.split())
    assert options.target == f"pms.cli.{target}"
    assert {name: getattr(options, name) for name in values} == values
    module, _, function = options.target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "unknown",
        "printer",
        "job",
        "clear",
        "pause x",
        "pause 0",
        "pause 99999999999999999999",
        "submit",
        "submit a.gcode --copies 0",
        "submit a.gcode --cop 2",
        "submit a.gcode --material PLA",
        "submit a.gcode --material /Black",
        "printer add a --url u --api-key k",
        "printer set a --autostart --no-autostart",
        "job priority 7",
        "events --limit 0",
    ],
)
def test_wrong_usage_is_exit_code_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: pms-coordinator")


def test_the_tree_of_commands_imports_nothing_heavy() -> None:
    program = "import sys, pms.cli.coordinator, pms.cli.probe; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    heavy = {"rich", "sqlalchemy", "zmq", "msgspec", "pika", "psycopg", "requests", "logging"}
    assert loaded & heavy == set()


# -- errors and exit codes ---------------------------------------------------------


def _run(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | int) -> int:
    def function(_options: argparse.Namespace) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(command, "_function", lambda _target: function)
    return command.run("pms-x", argparse.Namespace(target="a:b"))


@pytest.mark.parametrize(
    ("outcome", "code", "complaint"),
    [
        (0, 0, ""),
        (SettingsError("PMS_X='y': wrong"), 2, "pms-x: PMS_X='y': wrong\n"),
        (RefusedError("no"), 1, "pms-x: no\n"),
        (NotFoundError("none"), 1, "pms-x: none\n"),
        (PMSError("two\n lines\x1b[2J"), 1, "pms-x: two lines\\x1b[2J\n"),
        (PMSError("http://u:secret7@host/"), 1, "pms-x: http://u:***@host/\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: BaseException | int,
    code: int,
    complaint: str,
) -> None:
    assert _run(monkeypatch, outcome) == code
    assert capsys.readouterr() == ("", complaint)


def test_errors_show_no_registered_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register_secret("a-key-for-test-cli")
    _run(monkeypatch, RefusedError("key a-key-for-test-cli was refused"))
    assert "a-key-for-test-cli" not in capsys.readouterr().err


# -- words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (-3.0, "0 s"),
        (59.4, "59 s"),
        (754.0, "12 min"),
        (3600.0, "1 h 0 min"),
        (90061.0, "1 d 1 h"),
    ],
)
def test_durations_are_words(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"), [(None, "-"), (0.0, "0 %"), (0.29, "29 %"), (0.999, "99 %"), (1.0, "100 %")]
)
def test_percentages_are_complete_only_at_the_end(share: float | None, words: str) -> None:
    assert percent(share) == words


def test_control_characters_are_shown_not_obeyed() -> None:
    assert visible("a\x1b[31m\nb ü") == "a\\x1b[31m\\nb ü"


@pytest.mark.parametrize("colours", [False, True])
def test_no_line_ends_in_blanks(
    colours: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    made = table("Name", "Words")
    add_row(made, "a", Text("short", style="green"))
    add_row(made, "b", "rather long")
    show(made, Text(), Text("end ", style="bold"))
    output = capsys.readouterr().out
    assert ("\x1b[32m" in output) == colours
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert plain.splitlines() == ["Name  Words", "a     short", "b     rather long", "", "end"]


def test_events_are_lines() -> None:
    row = EventRow(1, NOW, "attempt_printing", 1, 7, 12, 3, "")
    words = describe_event(row, {1: "mk4-a"}).split()[2:]
    assert words == ["attempt_printing", "mk4-a", "job", "7", "print", "12"]
    gone = describe_event(row._replace(printer_id=9, job_id=None, print_id=None, detail="x"), {})
    assert gone.endswith("  printer 9  x")


# -- the farm's status --------------------------------------------------------------


PRINTING = printer(
    1, "mk4-a", state="printing", bed="occupied", print_id=12, job_id=3, progress=0.436, eta_s=754.0
)
SENDING = printer(2, "mk4-b", state="transferring", print_id=13, job_id=3, transfer=0.29)
AWAY = printer(
    3, "mini-1", model="MINI", state="unreachable", detail="no answer from http://10.0.0.9"
)


def rendered(renderable: Any, width: int, **options: Any) -> str:
    output = io.StringIO()
    Console(file=output, width=width, **options).print(renderable)
    return output.getvalue()


@pytest.mark.parametrize("width", [80, 130])
def test_the_status_is_readable_without_colours(width: int) -> None:
    farm = status(
        PRINTING,
        SENDING,
        AWAY,
        queue=[{"print_id": 14, "job_id": 4, "reason": "1 MINI printer: 1 unreachable"}],
        attention=[{"job_id": 9, "text": "the G-code is empty"}],
    )
    text = rendered(overview(farm, width), width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    models = ("MK4 ", "MINI ") if width > 80 else ("", "")
    heaters = " -" if width > 80 else ""
    assert f"1 mk4-a {models[0]}printing occupied 12 (job 3) 43 % 12 min{heaters}" in lines
    assert f"2 mk4-b {models[0]}transferring clear 13 (job 3) 29 % sent -{heaters}" in lines
    assert f"3 mini-1 {models[1]}unreachable clear - - -{heaters}" in lines
    assert "mini-1: no answer from http://10.0.0.9" in lines
    assert "3 printers: 1 printing, 1 transferring, 1 unreachable" in lines
    assert "1 copy of job 4: 1 MINI printer: 1 unreachable" in lines
    assert lines[lines.index("needs attention:") + 1] == "job 9: the G-code is empty"
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text


def test_colours_only_repeat_what_words_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    options = {"force_terminal": True, "color_system": "standard", "legacy_windows": False}
    coloured = rendered(overview(status(PRINTING), 130), 130, **options)
    assert "\x1b[1;36mprinting" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;36m" not in rendered(overview(status(PRINTING), 130), 130, **options)


def test_a_finished_print_is_complete() -> None:
    finished = PRINTING | {"state": "finished", "progress": 0.93}
    assert " 100 %" in rendered(overview(status(finished), 100), 100)


def test_names_cannot_steer_the_terminal_or_the_layout() -> None:
    text = rendered(overview(status(printer(1, "\x1b[2J[red]x", detail="\x1b]0;y\x07")), 100), 100)
    assert "\x1b" not in text
    assert "\\x1b[2J[red]x" in text


def test_a_farm_without_printers_says_what_to_do() -> None:
    assert "pms-coordinator printer add" in rendered(overview(status(), 80), 80)


def waiting(reason: str, *job_ids: int) -> list[dict[str, Any]]:
    return [
        {"print_id": number, "job_id": job_id, "reason": reason}
        for number, job_id in enumerate(job_ids)
    ]


@pytest.mark.parametrize(
    ("queue", "lines"),
    [
        ([], ["queue: empty"]),
        (waiting("busy", 7), ["queue: 1 copy waiting", "  1 copy of job 7: busy"]),
        (
            waiting("busy", 7, 7, 8) + waiting("not paid", 9),
            [
                "queue: 4 copies waiting",
                "  3 copies of jobs 7, 8: busy",
                "  1 copy of job 9: not paid",
            ],
        ),
        (
            waiting("busy", *range(1, 10_001)),
            [
                "queue: 10000 copies waiting",
                "  10000 copies of jobs 1, 2, 3, 4, 5, 6 and 9994 more: busy",
            ],
        ),
    ],
)
def test_the_queue_is_grouped_by_reason(queue: list[dict[str, Any]], lines: list[str]) -> None:
    assert queue_lines(queue) == lines


def test_many_reasons_are_only_counted() -> None:
    queue = [item for number in range(12) for item in waiting(f"reason {number}", number)]
    lines = queue_lines(queue)
    assert len(lines) == 10
    assert lines[-1] == "  4 copies for 4 more reasons: see `status --json`"


def test_attention_names_the_printer() -> None:
    items = [{"printer_id": 3, "text": "look"}, {"printer_id": 8, "text": "gone"}]
    assert attention_lines(status(AWAY, attention=items)) == [
        "printer mini-1: look",
        "printer 8: gone",
    ]


# -- what a watcher sees between two looks -----------------------------------------------


@pytest.mark.parametrize(
    ("message", "eventful", "changed"),
    [
        (bus.Heartbeat(), False, {}),
        (
            bus.Progress(attempt_id=1, progress=0.5, time_left_s=60.0),
            False,
            {"progress": 0.5, "eta_s": 60.0},
        ),
        (
            bus.TransferProgress(attempt_id=1, bytes_sent=1, bytes_total=4),
            False,
            {"transfer": 0.25},
        ),
        (
            bus.TransferProgress(attempt_id=1, bytes_sent=0, bytes_total=0),
            False,
            {"transfer": None},
        ),
        (
            bus.Temperatures(heaters={"bed": Temperature(actual=59.5, target=60.0)}),
            False,
            {"temperatures": {"bed": {"actual": 59.5, "target": 60.0}}},
        ),
        (bus.PrintFinished(at=NOW, attempt_id=1), True, {}),
        (bus.PrinterStateChanged(at=NOW, state=PrinterState.IDLE), True, {}),
    ],
)
def test_telemetry_is_laid_over_the_status(
    message: Event | Telemetry, eventful: bool, changed: dict[str, Any]
) -> None:
    shown = dict(PRINTING)
    assert overlay(shown, message) is eventful
    assert shown == PRINTING | changed


def test_telemetry_of_an_unknown_printer_is_ignored() -> None:
    assert overlay(None, bus.PrintFinished(at=NOW, attempt_id=1)) is False


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (
            None,
            status(PRINTING),
            [
                "mk4-a: printing, bed occupied, print 12 of job 3, 40 %",
                "queue: 0 copies waiting",
            ],
        ),
        (status(PRINTING), status(PRINTING | {"progress": 0.499, "eta_s": 1.0}), []),
        (
            status(PRINTING),
            status(PRINTING | {"progress": 0.5}),
            ["mk4-a: printing, bed occupied, print 12 of job 3, 50 %"],
        ),
        (
            status(SENDING),
            status(SENDING | {"transfer": 0.3}),
            ["mk4-b: transferring, bed clear, print 13 of job 3, 30 % sent"],
        ),
        (
            status(printer(3, "mini-1")),
            status(AWAY),
            ["mini-1: unreachable, bed clear, no answer from http://10.0.0.9"],
        ),
        (status(AWAY), status(), ["mini-1: removed"]),
        (
            status(AWAY, attention=[{"job_id": 1, "text": "old"}]),
            status(
                AWAY,
                queue=waiting("busy", 7),
                attention=[{"job_id": 1, "text": "old"}, {"printer_id": 3, "text": "new"}],
            ),
            ["queue: 1 copy waiting", "attention: printer mini-1: new"],
        ),
    ],
)
def test_changes_are_lines(
    before: dict[str, Any] | None, after: dict[str, Any], lines: list[str]
) -> None:
    assert changes(before, after) == lines


@pytest.mark.parametrize("tenths", range(11))
def test_steps_are_reached_where_they_are_said_to_be(tenths: int) -> None:
    assert percent_in_steps(PRINTING | {"progress": tenths / 10}) == f"{tenths * 10} %"


def test_the_bus_is_shown_as_lines_and_as_json() -> None:
    message = bus.Progress(attempt_id=7, progress=0.5)
    assert probe_bus.describe("mk4-a", message).split()[1:] == [
        "mk4-a",
        "Progress",
        "attempt_id=7",
        "progress=0.5",
        "time_left_s=None",
    ]
    event = bus.PrinterStateChanged(at=NOW, state=PrinterState.IDLE)
    data = probe_bus.as_json(3, event)
    assert (data["printer_id"], data["type"]) == (3, "PrinterStateChanged")
    assert json.loads(json.dumps(data["fields"]))["state"] == "idle"


# -- one job ------------------------------------------------------------------------


def job(**values: Any) -> JobSummary:
    given: dict[str, Any] = {
        "id": 3,
        "status": "printing",
        "paid": True,
        "copies": 2,
        "prints": {"pending": 1, "printing": 1, "completed": 0, "failed": 0, "cancelled": 0},
        "model": None,
        "material": None,
        "priority": 0,
        "reprints_left": 1,
        "submitted_at": NOW,
        "paid_at": NOW,
        "completed_at": None,
        "attention": None,
    }
    return JobSummary(**given | values)


def test_following_a_job_tells_of_its_printers_and_its_waiting_copies() -> None:
    done = printer(4, "mk4-c", state="finished", bed="occupied", print_id=11, job_id=3)
    other = printer(5, "mk4-d", state="printing", print_id=20, job_id=9, progress=0.1)
    queue = waiting("1 MK4 printer: 1 printing", 3, 3, 8)
    look = follow.look_at(job(), status(PRINTING, AWAY, done, other, queue=queue))
    assert follow.describe(look) == (
        "job 3 printing: 1 pending, 1 printing; mk4-a printing 40 %;"
        " mk4-c finished, to be cleared; waiting: 1 MK4 printer: 1 printing"
    )
    assert follow.as_json(look)["printers"][0] == {
        "id": 1,
        "name": "mk4-a",
        "state": "printing",
        "print_id": 12,
        "progress": 0.436,
        "eta_s": 754.0,
    }


def test_following_a_job_without_a_coordinator_says_so() -> None:
    assert NO_COORDINATOR in follow.describe(follow.look_at(job(), None))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"status": "cancelled"}, "job 3 is cancelled"),
        ({"status": "rejected"}, "job 3 is rejected"),
        ({"attention": "the G-code is empty"}, "job 3 needs attention: the G-code is empty"),
    ],
)
def test_following_ends_where_a_job_cannot_go_on(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RefusedError, match=complaint):
        follow.check(job(**changed))
    follow.check(job())


def test_reasons_are_those_of_copies_that_no_printer_has() -> None:
    def copy(print_id: int, state: str, printer_id: int | None = None) -> CopyDetails:
        return CopyDetails(
            print_id=print_id,
            status=state,
            printer_id=printer_id,
            printer=None,
            created_at=NOW,
            started_at=None,
            finished_at=None,
            attempts=(),
        )

    copies = [copy(0, "pending"), copy(1, "pending", 1), copy(2, "completed", 1)]
    assert waiting_reasons(None, copies) == {0: NO_COORDINATOR}
    farm = status(queue=waiting("busy", 3, 3, 3))
    assert waiting_reasons(farm, copies) == {0: "busy"}
    assert waiting_reasons(status(), copies) == {}


# -- G-code that is submitted ----------------------------------------------------------


def test_a_file_is_copied_and_given_to_its_job(tmp_path: Path) -> None:
    source = tmp_path / "part.gcode"
    source.write_bytes(b"G28\nM0\nM84\n")
    with taken_in(source, tmp_path / "data") as gcode:
        assert gcode.facts.finish_marker == 7
        gcode.give_to(5)
    assert [path.name for path in (tmp_path / "data/gcode").iterdir()] == ["job_5.gcode"]
    assert (tmp_path / "data/gcode/job_5.gcode").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"; only\n\n ; comments\n", "no G-code command"),
        (None, "cannot read .*No such file"),
    ],
)
def test_a_file_that_prints_nothing_is_refused_and_not_kept(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    source = tmp_path / "part.gcode"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(RefusedError, match=complaint), taken_in(source, tmp_path):
        pass
    assert list(tmp_path.glob("gcode/*")) == []


def test_a_copy_that_no_job_takes_is_removed(tmp_path: Path) -> None:
    source = tmp_path / "part.gcode"
    source.write_bytes(b"G28\n")
    with pytest.raises(CoordinatorNotRunningError), taken_in(source, tmp_path):
        raise CoordinatorNotRunningError("anything")
    assert list(tmp_path.glob("gcode/*")) == []
