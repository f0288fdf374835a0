"""`pms-probe` on one OctoPrint, as its users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pms.demo.octoprint_server import OctoPrintServer
from tests.support.commands import Commands, Running, command_line
from tests.support.terminal import Terminal


class Probe:
    """The commands in a folder of their own; the API key comes from the environment."""

    def __init__(self, folder: Path, server: OctoPrintServer, url: str | None = None) -> None:
        self.commands = Commands(folder)
        self.commands.environment["OCTOPRINT_API_KEY"] = server.api_key
        self.folder = folder
        self._key = server.api_key
        self._url = url or server.url

    def run(self, command: str, *arguments: object) -> str:
        """What a command printed, which must succeed."""
        output = self.commands.run("pms-probe", command, self._url, *arguments)
        assert self._key not in output
        return output

    def json(self, command: str, *arguments: object) -> Any:
        return json.loads(self.run(command, *arguments, "--json"))

    def quickly(self, command: str, *arguments: object) -> Any:
        """What a command told a program, without the cost of a process."""
        line = self.commands.quickly("pms-probe", command, self._url, *arguments, "--json")
        return json.loads(line)

    def refused(self, command: str, *arguments: object, code: int = 1) -> str:
        """The one line with which a command was refused."""
        line = self.commands.refused("pms-probe", command, self._url, *arguments, code=code)
        assert self._key not in line
        return line

    @contextmanager
    def running(self, command: str, *arguments: object) -> Iterator[Running]:
        """A command that goes on until it is interrupted; what it prints holds no key."""
        with self.commands.running("pms-probe", command, self._url, *arguments) as running:
            yield running
            assert not any(self._key in line for line in running.lines())

    @contextmanager
    def on_terminal(self, command: str, *arguments: object) -> Iterator[Terminal]:
        """The same in a terminal."""
        words = command_line(("pms-probe", command, self._url, *arguments))
        with Terminal(words, self.commands.environment) as terminal:
            yield terminal

    def file(self, name: str, content: bytes) -> Path:
        """A local file."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def json_lines(running: Running) -> list[dict[str, Any]]:
    """The lines that are for programs, without those on stderr; the last may be incomplete."""
    return [
        json.loads(line) for line in running.lines() if line.startswith("{") and line[-1] == "}"
    ]
