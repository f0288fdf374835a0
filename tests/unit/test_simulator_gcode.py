"""What the simulated printer finds in a file, and how long it takes for it."""

from __future__ import annotations

import pytest

from pms.simulator.gcode import Course, Scanner, Stop
from pms.simulator.heaters import AMBIENT_C, Heater, Heaters
from pms.simulator.names import BadNameError, is_printable, stored_path


def scanned(content: bytes, block_bytes: int = 1 << 20) -> Course:
    scanner = Scanner()
    for begin in range(0, len(content), block_bytes):
        scanner.feed(content[begin : begin + block_bytes])
    return scanner.finish()


@pytest.mark.parametrize(
    ("content", "stops"),
    [
        (b"", []),
        (b"G28\nG1 X1\n", []),
        (b"M0\n", [Stop(3, "M0", "")]),
        (b"M0", [Stop(2, "M0", "")]),
        (b"G28\r\nM0\r\nG1", [Stop(9, "M0", "")]),
        (b"G28\n  M1 ; wait\n", [Stop(16, "M1", "")]),
        (b"M0 P500\n@pause\n", [Stop(8, "M0", "P500"), Stop(15, "@pause", "")]),
        (b"M0\nM25\nM0\n", [Stop(3, "M0", ""), Stop(7, "M25", ""), Stop(10, "M0", "")]),
        (b"M109 S215 T0;hot\n", [Stop(17, "M109", "S215 T0")]),
        (b"; M0\nm0\nM00\nM01\nXM0\nG1 M0\nM0.1\n", []),
        (b"; " + b"x" * 2000 + b"M0\nM0\n", [Stop(2008, "M0", "")]),
    ],
)
def test_finds_what_a_print_stops_for_in_blocks_of_any_size(
    content: bytes, stops: list[Stop]
) -> None:
    for block_bytes in (1, 2, 3, 7, 512, 1 << 20):
        course = scanned(content, block_bytes)
        assert (list(course.stops), course.size) == (stops, len(content)), block_bytes


def test_finds_the_next_stop() -> None:
    course = scanned(b"G28\nM0\nM0\n")
    offsets = [stop.offset if (stop := course.stop_behind(at)) else None for at in range(11)]
    assert offsets == [7] * 7 + [10] * 3 + [None]


@pytest.mark.parametrize(
    ("content", "reached_s", "done_s"),
    [
        # 10 bytes a second; "reached" is the byte behind the last line, "done" when it has dwelt.
        (b"G1 X1 Y01\n", 1.0, 1.0),
        (b"G4 P5000 \n", 1.0, 6.0),
        (b"G4 S2  \nG\n", 3.0, 3.0),
        (b"G4 P500;c\n", 1.0, 1.5),
        (b"G4 P500;c\nG4 P1500.\n", 2.5, 4.0),
    ],
)
def test_takes_time_for_bytes_and_for_dwells(
    content: bytes, reached_s: float, done_s: float
) -> None:
    course = scanned(content)
    assert course.seconds_to(course.size, 10.0) == pytest.approx(done_s)
    assert course.offset_after(reached_s - 0.15, 10.0) < course.size
    assert course.offset_after(reached_s + 0.01, 10.0) == course.size


def test_stands_behind_the_line_while_it_dwells() -> None:
    course = scanned(b"G4 P1000 \n" * 3)
    # A line takes a second to be reached and then dwells for another one.
    offsets = [course.offset_after(tenths / 10, 10.0) for tenths in range(0, 65, 5)]
    assert offsets == [0, 5, 10, 10, 10, 15, 20, 20, 20, 25, 30, 30, 30]


@pytest.mark.parametrize(
    ("start_c", "target_c", "after_s", "wanted_c"),
    [
        (AMBIENT_C, 215.0, 1.0, AMBIENT_C + 10),
        (AMBIENT_C, 60.0, 100.0, 60.0),
        (200.0, 0.0, 5.0, 150.0),
        (200.0, 0.0, 100.0, AMBIENT_C),
    ],
)
def test_heats_and_cools(start_c: float, target_c: float, after_s: float, wanted_c: float) -> None:
    heater = Heater(since=50.0, start_c=start_c, target_c=target_c, rate=10.0)
    assert heater.at(50.0 + after_s) == pytest.approx(wanted_c)


def test_waits_only_for_commands_that_wait() -> None:
    heaters = Heaters()
    wait_s = (100.0 - AMBIENT_C) / 10
    assert heaters.command("M104", "S100", 0.0, 10.0) == 0.0
    assert heaters.command("M109", "S100", 0.0, 10.0) == pytest.approx(wait_s)
    assert heaters.command("M190", "R100", 0.0, 10.0) == pytest.approx(wait_s)
    assert heaters.command("M109", "S100", 100.0, 10.0) == 0.0
    assert heaters.command("M109", "S0", 100.0, 10.0) == 0.0
    assert heaters.command("G28", "", 0.0, 10.0) == 0.0
    assert heaters.readings(100.0)["tool0"] == {"actual": 100.0, "target": 0.0}


@pytest.mark.parametrize(
    ("folder", "name", "path"),
    [
        ("", "a.gcode", "a.gcode"),
        ("pms", "a.gcode", "pms/a.gcode"),
        ("", "x/y/a.gcode", "x/y/a.gcode"),
        ("./x/../y/", "a.gcode", "y/a.gcode"),
        ("x|y", 'a:*?"<>|.gcode', "xy/a.gcode"),
        ("", "..a.gcode", "a.gcode"),
        ("", "CON.gcode", "CON_.gcode"),
    ],
)
def test_gives_files_safe_names(folder: str, name: str, path: str) -> None:
    assert stored_path(folder, name) == path


@pytest.mark.parametrize(("folder", "name"), [("..", "a.gcode"), ("x\\y", "a.gcode"), ("", "a\\b")])
def test_refuses_names_that_lead_elsewhere(folder: str, name: str) -> None:
    with pytest.raises(BadNameError):
        stored_path(folder, name)


@pytest.mark.parametrize(
    ("path", "printable"),
    [
        ("a.gcode", True),
        ("x/a.GCO", True),
        ("a.g", True),
        ("a.txt", False),
        ("gcode", False),
        ("x" * 251 + ".g", True),
        ("x" * 254 + ".g", False),
    ],
)
def test_knows_gcode_by_its_name(path: str, printable: bool) -> None:
    assert is_printable(path) is printable
