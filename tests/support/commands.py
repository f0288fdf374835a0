"""The commands as their users run them: as processes, in one farm's folder."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from pms.cli import probe
from pms.cli.coordinator import main as coordinator_main
from pms.store.database import Database
from tests.support.postgres import Database as PostgreSQL
from tests.support.waiting import wait_until

KEY = "printer-key-nobody-may-see"
TIMEOUT_S = 30.0


class Commands:
    """Runs `pms-coordinator` and `pms-probe` on one farm's folder."""

    def __init__(self, folder: Path, server: PostgreSQL | None = None) -> None:
        self.data_dir = folder / "data"
        given = {"PMS_DATA_DIR": str(self.data_dir)}
        given |= {"DATABASE_CONNECTION_STRING": server.npgsql} if server else {}
        self.environment = {
            name: value
            for name, value in os.environ.items()
            # pytest-xdist's processes have the size of a terminal that is not there.
            if name not in ("COLUMNS", "LINES")
            and not name.startswith(("PMS_", "RABBITMQ_", "DATABASE_", "FILE_SERVER_"))
        } | given
        self._folder = folder
        self._url = server.url if server else f"sqlite:///{self.data_dir}/pms.sqlite3"

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The farm's database, which the first command creates."""
        database = Database(self._url)
        yield database
        database.close()

    def run(self, *arguments: object) -> str:
        """What a command printed, which must succeed."""
        done = subprocess.run(
            command_line(arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def refused(self, *arguments: object, code: int = 1) -> str:
        """The one line with which a command was refused; it runs in this process, to save time."""
        ended, output, line = self._in_process(arguments)
        assert ended == code
        assert output == ""
        assert line.startswith(f"{command_line(arguments)[0].name}: ")
        assert line.count("\n") == 1
        return line

    def quickly(self, *arguments: object) -> str:
        """What a command printed, which must succeed; it runs in this process, to save time."""
        ended, output, complaint = self._in_process(arguments)
        assert ended == 0, output + complaint
        return output

    def _in_process(self, arguments: Sequence[object]) -> tuple[int, str, str]:
        program, *rest = map(str, command_line(arguments))
        main = probe.main if program.endswith("pms-probe") else coordinator_main
        output, complaint = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            redirect_stdout(output),
            redirect_stderr(complaint),
        ):
            code = main(rest)
        assert KEY not in output.getvalue() + complaint.getvalue()
        return code, output.getvalue(), complaint.getvalue()

    @contextmanager
    def running(self, *arguments: object) -> Iterator[Running]:
        """A command that goes on until it is interrupted."""
        output = self._folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command_line(arguments), env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )
        try:
            yield Running(process, output)
        finally:
            process.kill()
            process.wait()


class Running:
    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    def lines(self) -> list[str]:
        return self._output.read_text(encoding="utf-8").splitlines()

    def wait_for(self, text: str) -> None:
        def seen() -> bool:
            return any(text in line for line in self.lines())

        try:
            wait_until(seen, TIMEOUT_S, f"a line with {text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; printed: {self.lines()}") from error

    def wait_for_exit(self) -> int:
        return self._process.wait(TIMEOUT_S)

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self.wait_for_exit()


def command_line(arguments: Sequence[object]) -> list[Any]:
    """The command as a process is started; the program is pms-coordinator unless it is named."""
    name = "pms-coordinator"
    if arguments and arguments[0] in ("pms-coordinator", "pms-probe"):
        name, arguments = str(arguments[0]), arguments[1:]
    return [Path(sys.executable).with_name(name), *map(str, arguments)]
