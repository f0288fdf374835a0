"""The simulator as a process: its command, its control interface, and every fault."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.conformance.listener import Listener
from tests.support.coordinator import COMMANDS
from tests.support.ports import free_port
from tests.support.simulator import SimulatedPrinter, Simulator
from tests.support.waiting import wait_until
from workers.octoprint_errors import OctoPrintError

DWELL = b"G4 P50\n"
LONG = DWELL * 2000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"), "--seed", "1", printers=2)
    yield simulator
    simulator.stop()


@pytest.fixture
def simulator(shared: Simulator) -> Simulator:
    """Without faults and in its first state, but for the records of earlier prints."""
    shared.set_faults()
    shared.act("stop")
    shared.act("start")
    for printer in shared.printers:
        printer.wait_state("Operational")
    return shared


@pytest.fixture
def printer(simulator: Simulator) -> SimulatedPrinter:
    """The first one; the second one is to notice nothing."""
    return simulator.printers[0]


def start(printer: SimulatedPrinter, content: bytes = LONG) -> None:
    printer.upload("a.gcode", content)
    printer.select_and_print("a.gcode")
    printer.wait_state("Printing")


def listen(printer: SimulatedPrinter) -> Listener:
    listener = Listener(printer)
    listener.subscribe(state=True, events=True)
    listener.log_in()
    listener.until_kind("history")
    return listener


def is_silent(listener: Listener) -> bool:
    """Whether nothing comes any more, where two pictures would have come."""
    listener.read_for(0.2)
    listener.heard.clear()
    listener.read_for(1.2)
    return not listener.heard


# -- the command ----------------------------------------------------------------------


def test_says_where_the_printers_are() -> None:
    port = free_port()
    command = [COMMANDS / "pms-simulator", "--printers", "2", "--base-port", str(port)]
    with subprocess.Popen(
        [*command, "--control-port", "0", "--api-key", "K" * 32],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert lines[:2] == [f"http://127.0.0.1:{port + n} {'K' * 32}" for n in (0, 1)]
    assert lines[2].startswith("control interface: http://127.0.0.1:")


def test_says_which_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [COMMANDS / "pms-simulator", "--base-port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"printer 1 cannot listen on port {port}" in done.stderr


def test_the_control_interface_says_what_is_wrong(simulator: Simulator) -> None:
    def answer(method: str, path: str, body: Any = None) -> tuple[int, str]:
        response = requests.request(
            method, simulator.control_url + path, data=json.dumps(body), timeout=10
        )
        return response.status_code, response.json()["error"]

    assert answer("POST", "/printers/3/stop") == (404, "there is no printer 3; there are 1 to 2")
    assert answer("POST", "/printers/1/dance")[1].startswith("there is no such action; there are ")
    for body in ({"latency": 1}, {"latency_s": -1}, {"status": 999}, {"only": "("}, "refuse"):
        status, error = answer("PUT", "/printers/1/faults", body)
        assert status == 400, body
        assert error
    assert answer("PATCH", "/printers/1/setup", {"speed": 0})[0] == 400


# -- what happens to servers and printers ---------------------------------------------


def test_a_restart_loses_print_and_sessions_and_keeps_files(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    start(printer)
    listener = listen(printer)
    simulator.act("restart", 1, down_s=0.3)
    with pytest.raises(OctoPrintError):
        listener.read_for(5.0)
    wait_until(lambda: simulator.state()[0]["listens"], 5.0, "the restart")
    printer.wait_state("Operational")
    status, info = printer.request("GET", "/api/files/local/a.gcode?force=true")
    assert (status, info["size"], "prints" in info) == (200, len(LONG), False)
    assert simulator.prints(1)[-1]["outcome"] == "lost"
    assert simulator.printers[1].state() == "Operational"


def test_drop_and_error_end_a_print(simulator: Simulator, printer: SimulatedPrinter) -> None:
    for action, arguments, error in (
        ("drop", {}, "SerialTimeoutException: "),
        ("error", {"text": "MINTEMP triggered!"}, "MINTEMP triggered!"),
    ):
        start(printer)
        simulator.act(action, 1, **arguments)
        printer.wait_state("Closed")
        assert printer.job()["error"] == error
        assert simulator.prints(1)[-1]["outcome"] == "failed"
        simulator.act("connect", 1)
        printer.wait_state("Operational")


def test_a_share_of_the_prints_fails(simulator: Simulator, printer: SimulatedPrinter) -> None:
    simulator.set_faults(1, failing_prints=1.0)
    start(printer, DWELL * 20)
    printer.wait_state("Closed")
    assert printer.job()["error"].startswith("Thermal Runaway")
    simulator.set_faults(1)
    printer.connect_printer()
    start(printer, DWELL)
    wait_until(lambda: simulator.prints(1)[-1]["outcome"] == "done", 5.0, "a good print")


def test_another_speed_holds_for_the_print_that_runs(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    simulator.set_up(1, speed=1.0)
    start(printer, b"G1 X1 Y1\n" * 10_000)
    simulator.set_up(1, speed=1e6)
    wait_until(lambda: simulator.prints(1)[-1]["outcome"] == "done", 10.0, "the end")


# -- faults between a server and its clients ------------------------------------------


def test_refuses_connections_while_it_goes_on_printing(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    start(printer)
    listener = listen(printer)
    simulator.set_faults(1, refuse=True)
    with pytest.raises(requests.ConnectionError):
        printer.request("GET", "/api/version")
    with pytest.raises(OctoPrintError):
        listener.read_for(5.0)
    simulator.set_faults(1)
    assert printer.state() == "Printing"


def test_a_stopped_server_stays_away_whatever_its_faults(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    simulator.act("stop", 1)
    simulator.set_faults(1)
    with pytest.raises(requests.ConnectionError):
        printer.request("GET", "/api/version")
    assert [each["listens"] for each in simulator.state()] == [False, True]


def test_hangs(simulator: Simulator, printer: SimulatedPrinter) -> None:
    listener = listen(printer)
    simulator.set_faults(1, hang=True)
    with pytest.raises(requests.ReadTimeout):
        printer.request("GET", "/api/version", timeout_s=0.3)
    assert is_silent(listener)
    simulator.set_faults(1)
    listener.until_kind("current")
    assert printer.request("GET", "/api/version")[0] == 200


def test_a_request_to_a_hung_server_that_is_killed_is_never_carried_out(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    printer.upload("a.gcode", LONG)
    before = len(simulator.prints(1))
    simulator.set_faults(1, hang=True)
    body = {"command": "select", "print": True}
    with pytest.raises(requests.ReadTimeout):
        printer.request("POST", "/api/files/local/a.gcode", body, timeout_s=0.3)
    simulator.act("stop", 1)
    simulator.act("start", 1)
    simulator.set_faults(1)
    printer.wait_state("Operational")
    assert len(simulator.prints(1)) == before


def test_answers_late(simulator: Simulator, printer: SimulatedPrinter) -> None:
    simulator.set_faults(1, latency_s=0.3)
    before = time.monotonic()
    assert printer.request("GET", "/api/version")[0] == 200
    assert time.monotonic() - before >= 0.3


def test_answers_with_another_status(simulator: Simulator, printer: SimulatedPrinter) -> None:
    simulator.set_faults(1, status=503, only="^POST /api/files")
    answer = (503, {"error": "Service Unavailable"})
    body = {"command": "select", "print": True}
    assert printer.request("POST", "/api/files/local/a.gcode", body) == answer
    assert printer.request("GET", "/api/job")[0] == 200


def test_has_no_room_for_large_files(simulator: Simulator, printer: SimulatedPrinter) -> None:
    simulator.set_faults(1, free_bytes=len(LONG) - 1)
    assert printer.request("GET", "/api/files/local")[1]["free"] == len(LONG) - 1
    file = {"file": ("a.gcode", LONG)}
    answer = printer.request("POST", "/api/files/local", files=file)
    assert answer == (500, {"error": "[Errno 28] No space left on device"})
    printer.upload("a.gcode", LONG[1:])


def test_loses_answers_to_what_it_has_done(simulator: Simulator, printer: SimulatedPrinter) -> None:
    printer.upload("a.gcode", LONG)
    simulator.set_faults(1, lose_answers=1, only="^POST")
    with pytest.raises(requests.ConnectionError):
        printer.select_and_print("a.gcode")
    printer.wait_state("Printing")
    assert printer.request("POST", "/api/job", {"command": "cancel"}) == (204, None)


def test_push_goes_silent_or_away_and_asks_for_another_log_in(
    simulator: Simulator, printer: SimulatedPrinter
) -> None:
    listener = listen(printer)
    simulator.act("end-sessions", 1)
    assert listener.until_kind("reauthRequired") == {"reason": "stale"}
    listener.log_in()
    listener.until_kind("history")
    simulator.set_faults(1, silent_push=True)
    start(printer)
    assert is_silent(listener)
    simulator.act("cut-push", 1)
    with pytest.raises(OctoPrintError):
        listener.read_for(5.0)
    assert printer.state() == "Printing"
