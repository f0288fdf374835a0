"""`watch` in a real terminal, with a farm of two hundred printers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.commands import Commands, command_line
from tests.support.control_socket import CoordinatorSockets
from tests.support.farm_status import big_farm, printer, status
from tests.support.terminal import Terminal

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
ERASED = b"\x1b[2J"


@pytest.fixture
def farm(coordinator: CoordinatorSockets) -> CoordinatorSockets:
    coordinator.status = big_farm(200)
    return coordinator


@contextmanager
def watching(commands: Commands, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    command = command_line(("watch",))
    with Terminal(command, commands.environment, columns, lines) as terminal:
        terminal.wait_for("q quit", row=lines - 1)
        yield terminal


@pytest.mark.parametrize(("columns", "lines", "shown"), [(80, 24, 10), (200, 60, 32)])
def test_two_hundred_printers_fit_any_screen(
    commands: Commands, farm: CoordinatorSockets, columns: int, lines: int, shown: int
) -> None:
    with watching(commands, columns, lines) as terminal:
        rows = terminal.rows()
        assert rows[0].startswith("database connected; broker connected")
        assert rows[1].startswith("200 printers: 80 printing")
        assert rows[2] == "job 0: no reprints are left"
        urgent = next(row for row in rows if row.startswith("mk4-7 "))
        assert "look at the bed, then clear it" in urgent
        assert "queue: 600 copies waiting" in rows
        assert rows[-1].startswith(f"rows 1-{shown} of 140")
        assert sum(row.startswith("mk4-") for row in rows) == shown


def test_keys_scroll_sort_and_quit(commands: Commands, farm: CoordinatorSockets) -> None:
    with watching(commands) as terminal:
        terminal.press("\x1b[B\x1b[B")
        terminal.wait_for("rows 3-12 of 140")
        terminal.press("\x1b[6~")
        terminal.wait_for("rows 13-22 of 140")
        terminal.press("\x1b[F")
        terminal.wait_for("rows 131-140 of 140")
        terminal.press("s")
        terminal.wait_for("order: time left")
        terminal.press("s")
        rows = terminal.wait_for("rows 1-11 of 200")
        assert [row.split()[0] for row in rows[8:11]] == ["mk4-1", "mk4-2", "mk4-3"]
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
        assert terminal.output.count(LEFT) == 1
        assert terminal.is_echoing()


def test_the_window_may_change_its_size(commands: Commands, farm: CoordinatorSockets) -> None:
    with watching(commands) as terminal:
        terminal.resize(120, 40)
        terminal.wait_for("q quit", row=39)
        assert "since 2026-05-04" in terminal.rows()[0]
        terminal.resize(60, 12)
        terminal.wait_for("q quit", row=11)


def test_only_what_changes_is_drawn(commands: Commands, coordinator: CoordinatorSockets) -> None:
    quiet = printer(2, "quiet-1", state="finished", bed="occupied", print_id=2)
    busy = printer(1, "mk4-1", state="printing", print_id=1, progress=0.25)
    coordinator.status = status(busy, quiet)
    with watching(commands) as terminal:
        drawn = len(terminal.output)
        coordinator.status = status(busy | {"progress": 0.75}, quiet)
        terminal.wait_for("75 %")
        later = bytes(terminal.output[drawn:])
        assert ERASED not in later
        assert b"quiet-1" not in later
        assert b"q quit" not in later


def test_telemetry_shows_before_the_next_status(
    commands: Commands, coordinator: CoordinatorSockets
) -> None:
    with watching(commands) as terminal:
        terminal.wait_for("25 % ━━──────")
        coordinator.progress = 0.75
        terminal.wait_for("75 % ━━━━━━──")


def test_the_picture_outlives_the_coordinator(commands: Commands) -> None:
    coordinator = CoordinatorSockets(commands.data_dir / "run")
    coordinator.status = big_farm(20)
    try:
        with watching(commands) as terminal:
            coordinator.close()
            rows = terminal.wait_for("no coordinator runs")
            assert any(row.startswith("mk4-7 ") for row in rows)
            terminal.press("q")
            assert terminal.wait_for_exit() == 0
    finally:
        coordinator.close()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_however_it_ends_the_terminal_is_as_before(
    commands: Commands, farm: CoordinatorSockets, number: signal.Signals, code: int
) -> None:
    with watching(commands) as terminal:
        if number is signal.SIGINT:
            terminal.press("\x03")
        else:
            terminal.process.send_signal(number)
        assert terminal.wait_for_exit() == code
        assert terminal.output.count(ENTERED) == terminal.output.count(LEFT) == 1
        assert terminal.output.endswith(LEFT)
        assert b"Traceback" not in terminal.output
        assert terminal.is_echoing()


def test_without_a_coordinator_the_screen_is_not_taken(commands: Commands) -> None:
    with Terminal(command_line(("watch",)), commands.environment) as terminal:
        assert terminal.wait_for_exit() == 1
        assert ENTERED not in terminal.output
        assert b"pms-coordinator start" in terminal.output
