"""OctoPrint's REST interface as far as only a person at a console needs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from pms.bus.messages import Temperature
from workers.octoprint import FILE_LIST_LIMIT_BYTES, OctoPrint
from workers.octoprint_answers import Answer, FileList, StoredFile
from workers.octoprint_errors import Conflict


class SerialConnection(Answer, frozen=True):
    """How OctoPrint is connected to its printer; port and speed are null when it is not."""

    port: str | None = None
    baudrate: int | None = None
    printer_profile: str | None = None


class _ConnectionAnswer(Answer, frozen=True):
    current: SerialConnection


class Storage(FileList, frozen=True):
    """OctoPrint's files and the disk that they are on."""

    #: Bytes.
    free: int | None = None
    total: int | None = None

    def all_files(self) -> Iterator[StoredFile]:
        """Its files without its folders."""
        return (file for entry in self.files for file in entry.all_files())


class _PrinterAnswer(Answer, frozen=True):
    temperature: dict[str, Temperature] = msgspec.field(default_factory=dict)


class Console(OctoPrint):
    """An OctoPrint as a person sees and operates it."""

    def serial_connection(self) -> SerialConnection:
        """Port, speed and printer profile."""
        return self._fixed("GET", "/api/connection", _ConnectionAnswer).current

    def temperatures(self) -> dict[str, Temperature]:
        """Each heater that has a sensor; none while the printer is not connected."""
        with contextlib.suppress(Conflict):
            answer = self._fixed("GET", "/api/printer?exclude=state,sd", _PrinterAnswer)
            return {
                name: heater
                for name, heater in answer.temperature.items()
                if heater.actual is not None
            }
        return {}

    def storage(self) -> Storage:
        """All files as a tree, and the space that is left."""
        body = self._exchange.send(
            "GET", "/api/files/local?recursive=true", limit_bytes=FILE_LIST_LIMIT_BYTES
        )
        return self._read(body, Storage)

    def disconnect_printer(self) -> None:
        """Let OctoPrint close its serial connection, which ends a print."""
        self._command("/api/connection", {"command": "disconnect"})

    def send_gcode(self, command: str) -> None:
        """Queue a command for the printer, whatever it does. Raises Conflict when it is away."""
        self._command("/api/printer/command", {"command": command})
