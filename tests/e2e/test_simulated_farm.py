"""PMS, alone, with a simulated farm: whole jobs, and what a killed OctoPrint means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pms.config import Settings
from pms.demo.registration import Registration, register
from tests.support.coordinator import Coordinator
from tests.support.simulator import Simulator
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

#: Heats, prints for a second, waits for its removal, and moves the bed once more.
GCODE = b"M109 S215\n" + b"G4 P100\n" * 10 + b"M104 S0\nM0\nG28\nG4 P100\n"
BEHIND_M0 = GCODE.index(b"G28")


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path / "simulator", printers=2)
    yield running
    running.stop()


@pytest.fixture
def pms(alone: Coordinator, simulator: Simulator) -> Coordinator:
    """A coordinator with both printers idle; the first one ejects its parts."""
    alone.environment["PMS_DATA_DIR"] = str(alone.folder / "data")
    alone.run("init-db")
    register(
        Settings.from_environment(alone.environment),
        [
            Registration(
                name=f"p{printer.number}",
                model="MK4",
                url=printer.url,
                api_key=printer.api_key,
                autostart=printer.number == 1,
            )
            for printer in simulator.printers
        ],
    )
    alone.start()
    wait_until(lambda: states(alone)["idle"] == 2, 30.0, "idle printers")
    return alone


def submit(pms: Coordinator, content: bytes, copies: int) -> None:
    file = pms.folder / "part.gcode"
    file.write_bytes(content)
    pms.run("submit", str(file), "--copies", str(copies))


def states(pms: Coordinator) -> Counter[str]:
    return Counter(printer["state"] for printer in pms.status()["printers"])


def test_prints_each_copy_once_and_waits_for_people(pms: Coordinator, simulator: Simulator) -> None:
    submit(pms, GCODE, copies=4)
    cleared: list[int] = []

    def done() -> bool:
        """Take parts off the second bed until all copies are made."""
        printer = pms.printer("p2")
        if printer["state"] == "finished" and printer["print_id"] not in cleared:
            at_m0 = simulator.printers[1].job()
            assert (at_m0["state"], at_m0["progress"]["filepos"]) == ("Paused", BEHIND_M0)
            cleared.append(printer["print_id"])
            pms.run("clear", "p2")
        return bool(pms.json("job", "show", "1")["status"] == "completed")

    wait_until(done, 60.0, "four copies", interval_s=0.2)
    prints = simulator.prints()
    assert [each["outcome"] for each in prints] == ["done"] * 4
    assert len({each["path"] for each in prints}) == 4
    assert len(cleared) == sum(each["printer"] == 2 for each in prints) > 0


def test_a_print_is_lost_with_its_octoprint_and_printed_again(
    pms: Coordinator, simulator: Simulator
) -> None:
    submit(pms, b"G4 P100\n" * 60, copies=1)
    wait_until(lambda: states(pms)["printing"], 20.0, "a print")
    (first,) = simulator.prints()
    simulator.act("restart", first["printer"], down_s=0.5)
    # The part is spoiled and lies on the bed, so the copy is made by another printer.
    wait_until(lambda: len(simulator.prints()) == 2, 30.0, "another print")
    second = next(each for each in simulator.prints() if each["outcome"] == "printing")
    assert second["printer"] != first["printer"]
    spoiled = pms.printer(f"p{first['printer']}")
    assert spoiled["bed"] == "occupied"
    wait_until(lambda: simulator.prints(second["printer"])[0]["outcome"] == "done", 20.0, "its end")
    assert sorted(each["outcome"] for each in simulator.prints()) == ["done", "lost"]
