"""The simulated printer: what it does when, by a clock that the tests turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pms.simulator.contents import Contents
from pms.simulator.failures import THERMAL_RUNAWAY
from pms.simulator.files import StoredFile
from pms.simulator.machine import CANCELLING_S, CONNECTING_S, FINISHING_S, PAUSING_S, Machine, Setup
from pms.simulator.push import text_frame
from pms.simulator.states import State

DWELL = b"G4 P1000\n"
#: Bytes a second; so fast that only dwells and heating take time.
AT_ONCE = 1e12


class Bench:
    """A connected machine, its clock and its events."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.events: list[str] = []
        self.setup = Setup(speed=AT_ONCE, heating=10.0)
        self.machine = Machine(self._note, self.setup)
        self._contents = Contents(folder)
        self.machine.connect(self.now)
        self.run(CONNECTING_S)

    def _note(self, kind: str, payload: dict[str, Any] | None) -> None:
        is_state = kind == "PrinterStateChanged" and payload is not None
        self.events.append(payload["state_id"] if is_state and payload else kind)

    def run(self, duration_s: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        end = self.now + duration_s + 1e-6
        while (due := self.machine.due) is not None and due <= end:
            self.now = max(self.now, due)
            self.machine.tick(self.now)
        self.now = end

    def file(self, content: bytes) -> StoredFile:
        arriving = self._contents.receive()
        arriving.write(content)
        return StoredFile("a.gcode", "a.gcode", "admin", 0, arriving.finish())

    def start(self, content: bytes) -> StoredFile:
        """Print this; the print has begun."""
        stored = self.file(content)
        self.machine.select(stored, "admin", self.now, start=True)
        self.run(0.0)
        assert self.machine.state is State.PRINTING
        return stored


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_prints_for_as_long_as_its_dwells_last(bench: Bench) -> None:
    stored = bench.start(DWELL * 3)
    bench.run(1.5)
    assert bench.machine.position(bench.now) == 2 * len(DWELL)
    bench.run(1.4)
    assert bench.machine.state is State.PRINTING
    bench.run(0.1)
    assert (bench.machine.state, stored.prints.last) == (State.FINISHING, None)
    bench.run(FINISHING_S)
    assert bench.machine.state is State.OPERATIONAL
    assert (stored.prints.success, stored.prints.failure) == (1, 0)
    assert stored.prints.last is not None
    assert stored.prints.last.print_time_s == pytest.approx(3.0)
    assert bench.machine.due is None


def test_prints_at_its_speed(bench: Bench) -> None:
    bench.setup.speed = 10.0
    bench.start(b"G1 X1 Y10\n" * 10)
    bench.run(4.0)
    assert bench.machine.position(bench.now) == 40
    bench.setup.speed = 30.0
    bench.machine.hurry(bench.now)
    bench.run(1.0)
    assert bench.machine.position(bench.now) == 70
    bench.run(1.0 + FINISHING_S)
    assert bench.machine.state is State.OPERATIONAL


def test_waits_until_it_is_hot(bench: Bench) -> None:
    bench.start(b"M140 S121.3\nM109 S71.3\nM190 S121.3\n" + DWELL)
    bench.run(4.9)
    assert bench.machine.position(bench.now) == 23
    bench.run(5.0)
    assert bench.machine.position(bench.now) == 35
    bench.run(1.2)
    assert bench.machine.state is State.OPERATIONAL


def test_pauses_exactly_behind_the_line_and_waits(bench: Bench) -> None:
    bench.start(DWELL + b"M0\n" + DWELL)
    bench.run(1.0)
    assert bench.machine.state is State.PAUSING
    bench.machine.resume("admin", bench.now)
    bench.run(PAUSING_S)
    assert (bench.machine.state, bench.machine.due) == (State.PAUSED, None)
    assert bench.machine.position(bench.now) == len(DWELL) + 3
    bench.run(1000.0)
    bench.machine.resume("admin", bench.now)
    bench.run(1.0)
    assert bench.machine.state is State.FINISHING
    assert bench.machine.done_s == pytest.approx(2.0)


def test_pauses_by_hand_at_the_beginning_of_a_line(bench: Bench) -> None:
    bench.setup.speed = 10.0
    bench.start(b"G1 X1 Y10\n" * 10)
    bench.run(4.5)
    bench.machine.pause("admin", bench.now)
    bench.run(PAUSING_S)
    assert bench.machine.position(bench.now) == 40
    bench.machine.resume("admin", bench.now)
    bench.run(1.0)
    assert bench.machine.position(bench.now) == 50


@pytest.mark.parametrize(("end", "takes_s"), [("pause", PAUSING_S), ("cancel", CANCELLING_S)])
def test_a_command_ends_before_a_pause_or_a_cancellation(
    bench: Bench, end: str, takes_s: float
) -> None:
    bench.start(DWELL * 3)
    bench.run(1.4)
    getattr(bench.machine, end)("admin", bench.now)
    bench.run(0.5 + takes_s)
    assert bench.machine.state in (State.PAUSING, State.CANCELLING)
    bench.run(0.1)
    assert bench.machine.state in (State.PAUSED, State.OPERATIONAL)
    if end == "pause":
        assert bench.machine.print_time_s(bench.now) == pytest.approx(2.0)
        bench.machine.resume("admin", bench.now)
        bench.run(1.0 + FINISHING_S)
        assert bench.machine.state is State.OPERATIONAL


def test_breaks_off_where_it_is_told(bench: Bench) -> None:
    bench.machine.breaks = lambda: 0.5
    stored = bench.start(DWELL * 4)
    bench.run(10.0)
    assert (bench.machine.state, bench.machine.error) == (
        State.CLOSED_WITH_ERROR,
        THERMAL_RUNAWAY.error,
    )
    assert (stored.prints.success, stored.prints.failure) == (0, 1)
    assert bench.events[-2:] == ["MetadataStatisticsUpdated", "PrintFailed"]


def test_notes_what_became_of_each_print(bench: Bench) -> None:
    bench.start(DWELL)
    bench.run(2.0)
    bench.start(DWELL + b"M0\n")
    bench.run(1.0 + PAUSING_S)
    bench.machine.cancel("admin", bench.now)
    bench.run(CANCELLING_S)
    bench.start(DWELL)
    bench.machine.drop(bench.now)
    bench.machine.connect(bench.now)
    bench.run(CONNECTING_S)
    bench.start(DWELL)
    outcomes = [record.outcome for record in bench.machine.records.all]
    assert outcomes == ["done", "cancelled", "failed", "printing"]


def test_a_killed_server_forgets_all_but_the_records(bench: Bench) -> None:
    stored = bench.start(DWELL * 3)
    bench.run(1.0)
    before = len(bench.events)
    bench.machine.kill(bench.now)
    assert (bench.machine.state, bench.machine.due) == (State.OFFLINE, None)
    assert (bench.machine.selected, stored.prints.last) == (None, None)
    assert len(bench.events) == before
    assert [record.outcome for record in bench.machine.records.all] == ["lost"]


def test_nothing_happens_in_the_wrong_state(bench: Bench) -> None:
    machine, now = bench.machine, bench.now
    before = list(bench.events)
    for act in (machine.pause, machine.resume, machine.cancel, machine.start):
        act("admin", now)
    machine.unselect()
    machine.connect(now)
    assert (machine.state, bench.events, machine.due) == (State.OPERATIONAL, before, None)
    stored = bench.start(DWELL)
    machine.select(stored, "admin", now, start=True)
    machine.start("admin", now)
    assert len(machine.records.all) == 1
    machine.cancel("admin", bench.now)
    machine.cancel("admin", bench.now)
    machine.resume("admin", bench.now)
    bench.run(1.0 + CANCELLING_S)
    assert machine.state is State.OPERATIONAL
    assert bench.events.count("PrintCancelled") == 1


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frames_messages(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size
