"""The demonstration as its spectators run it; whatever happens, nothing of it stays behind."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pms.demo.children import log_tail
from pms.demo.octoprint_server import PROGRAM_VARIABLE
from tests.support.coordinator import COMMANDS
from tests.support.processes import end, is_alive
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

INTERRUPTED = 130
#: Python's own end by a signal that comes before any of our code runs.
KILLED_BY_INTERRUPT = -signal.SIGINT
STOP_S = 30.0


class NotYetError(Exception):
    """What was waited for has not been said; the text is what was said instead."""


class Demo:
    """`pms-coordinator demo`, with a temporary directory of its own for all that it makes.

    The directory's name stands in the environment of every process of the demonstration, also
    of those whose parents are gone: so they are found.
    """

    def __init__(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> None:
        # Short, because the sockets' paths below it must be.
        self.folder = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp"))
        self._output = self.folder.with_suffix(".out")
        self._errors = self.folder.with_suffix(".err")
        command = [str(COMMANDS / "pms-coordinator"), "demo", *options]
        if terminal:
            command = [
                "script",
                "--quiet",
                "--return",
                "--command",
                shlex.join(command),
                os.devnull,
            ]
        inherited = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if terminal else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=inherited | {"TMPDIR": str(self.folder)} | dict(environment or {}),
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """As a person does at the terminal."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\x03")
        self._process.stdin.flush()

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until it has said this; fails at once when it ends before."""

        def said() -> bool:
            ended = self._process.poll() is not None
            if text not in self.output:
                assert not ended, f"ended without {text!r}:\n{self.output}{self.errors}"
                raise NotYetError(f"{self.output}{self._log()}")
            return True

        wait_until(said, timeout_s, text, ignoring=(NotYetError,))

    def _log(self) -> str:
        return "".join(log_tail(log, 100) for log in self.folder.glob("*/coordinator.log"))

    def exit_code(self, timeout_s: float = STOP_S) -> int:
        return self._process.wait(timeout_s)

    def processes(self) -> dict[int, str]:
        """All living processes of the demonstration with their command lines."""
        mark = f"TMPDIR={self.folder}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if any(each.startswith(mark) for each in _strings(process / "environ")):
                    found[int(process.name)] = b" ".join(_strings(process / "cmdline")).decode()
            except OSError:
                continue  # it has ended, or is another user's
        return {pid: command for pid, command in found.items() if is_alive(pid)}

    def pid_of(self, words: str) -> int:
        """The process whose command line ends like this."""
        return next(pid for pid, line in self.processes().items() if line.endswith(words))

    def left_over(self) -> list[str]:
        """Files and folders that it has not removed."""
        return sorted(path.name for path in self.folder.iterdir())

    def close(self) -> None:
        end(list(self.processes()))
        self._process.communicate(timeout=STOP_S)
        shutil.rmtree(self.folder)
        self._output.unlink()
        self._errors.unlink()


def _strings(path: Path) -> list[bytes]:
    return path.read_bytes().strip(b"\0").split(b"\0")


DemoFactory = Callable[..., Demo]


@pytest.fixture
def demo_factory() -> Iterator[DemoFactory]:
    """Starts demonstrations; nothing of them outlives the test."""
    made: list[Demo] = []

    def make(*options: str, **how: Any) -> Demo:
        made.append(Demo(*options, **how))
        return made[-1]

    try:
        yield make
    finally:
        for demo in made:
            demo.close()


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        pytest.param((), ["1", "2"], id="simulated"),
        pytest.param(("--octoprint",), ["1", "2", "3"], id="OctoPrint"),
    ],
)
def test_prints_all_copies_and_sums_up(
    demo_factory: DemoFactory, options: tuple[str, ...], copies: list[str]
) -> None:
    demo = demo_factory(*options, "--printers", "2", "--copies", str(len(copies)))
    assert demo.exit_code(150.0) == 0, demo.output + demo.errors
    assert demo.errors == ""
    assert f"{len(copies)} copies of cube.gcode on 2 printers in " in demo.output
    made = re.findall(
        r"^([123]) +cleared +(MK4-[12]) +1 +[\d:]{8} +[\d:]{8} +[\d.]+ s *$", demo.output, re.M
    )
    assert [print_id for print_id, _ in made] == copies
    assert {printer for _, printer in made} == {"MK4-1", "MK4-2"}
    for print_id, printer in made:
        assert f"takes print {print_id} off the bed: pms-coordinator clear {printer}" in demo.output
    assert demo.processes() == {}
    assert demo.left_over() == []


@pytest.mark.parametrize(
    ("said", "number"),
    [
        pytest.param("", signal.SIGINT, id="at once"),
        pytest.param("starting a simulator", signal.SIGINT, id="at the start"),
        pytest.param("MK4-2 is a simulated printer", signal.SIGTERM, id="with its printers there"),
        pytest.param("MK4-1: starting", signal.SIGINT, id="while the coordinator starts"),
        pytest.param("$ pms-coordinator submit", signal.SIGINT, id="during a command"),
        pytest.param("MK4-2: printing", signal.SIGINT, id="while it prints"),
        pytest.param("takes print", signal.SIGTERM, id="while a bed is cleared"),
    ],
)
def test_ends_without_a_trace_when_interrupted(
    demo_factory: DemoFactory, said: str, number: signal.Signals
) -> None:
    demo = demo_factory("--printers", "2", "--copies", "2")
    demo.wait_for(said)
    demo.send(number)
    allowed = {INTERRUPTED} if said else {INTERRUPTED, KILLED_BY_INTERRUPT}
    assert demo.exit_code() in allowed, demo.output + demo.errors
    assert demo.processes() == {}
    assert demo.left_over() == []
    if said:
        assert "interrupted: stopping everything" in demo.output
        assert demo.errors == ""


def test_draws_a_live_picture_on_a_terminal_and_obeys_its_ctrl_c(
    demo_factory: DemoFactory,
) -> None:
    demo = demo_factory("--printers", "1", "--copies", "1", terminal=True)
    demo.wait_for("1 printing; ")
    assert "Ctrl-C ends all" in demo.output
    # The part of the bar that is done.
    demo.wait_for("\N{BOX DRAWINGS HEAVY HORIZONTAL}")
    demo.press_ctrl_c()
    assert demo.exit_code() == INTERRUPTED, demo.output
    assert "interrupted: stopping everything" in demo.output
    assert demo.processes() == {}
    assert demo.left_over() == []


def test_ends_its_octoprints_when_interrupted(demo_factory: DemoFactory) -> None:
    demo = demo_factory("--octoprint", "--printers", "2", "--copies", "2")
    demo.wait_for("MK4-2 is a virtual printer")
    demo.send(signal.SIGTERM)
    assert demo.exit_code() == INTERRUPTED, demo.output + demo.errors
    assert demo.processes() == {}
    assert demo.left_over() == []


def test_no_process_outlives_a_demo_that_was_killed(demo_factory: DemoFactory) -> None:
    demo = demo_factory("--printers", "2", "--copies", "2")
    demo.wait_for("MK4-2: printing")
    demo.send(signal.SIGKILL)
    assert demo.exit_code() == -signal.SIGKILL
    wait_until(lambda: not demo.processes(), 15.0, "end of all processes of the demo")


@pytest.mark.parametrize(
    ("options", "victim", "words"),
    [
        pytest.param((), " start", "the coordinator has ended", id="coordinator"),
        pytest.param((), "--speed 100000", "the simulator has ended", id="simulator"),
        pytest.param(
            ("--octoprint",), "--port {port}", "the OctoPrint of MK4-1 has ended", id="OctoPrint"
        ),
    ],
)
def test_says_what_has_failed_and_where_the_logs_are(
    demo_factory: DemoFactory, options: tuple[str, ...], victim: str, words: str
) -> None:
    demo = demo_factory(*options, "--printers", "1", "--copies", "1")
    demo.wait_for("MK4-1: idle")
    port = re.search(r"http://127.0.0.1:(\d+)", demo.output)
    assert port is not None
    os.kill(demo.pid_of(victim.format(port=port[1])), signal.SIGKILL)
    assert demo.exit_code() == 1
    (logs,) = demo.left_over()
    assert demo.errors.count("\n") == 1
    assert words in demo.errors
    assert demo.errors.endswith(f"its logs are in {demo.folder / logs}\n")
    assert (demo.folder / logs / "coordinator.log").exists()
    wait_until(lambda: not demo.processes(), 15.0, "end of all processes of the demo")


def test_says_where_octoprint_was_looked_for(demo_factory: DemoFactory) -> None:
    demo = demo_factory("--octoprint", environment={PROGRAM_VARIABLE: "/nowhere/octoprint"})
    assert demo.exit_code() == 1
    assert demo.errors.count("\n") == 1
    assert f"{PROGRAM_VARIABLE}=/nowhere/octoprint" in demo.errors
    assert demo.left_over() == []
