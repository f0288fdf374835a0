"""Real OctoPrint servers for one test, all starting at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pms.demo.octoprint_server import OctoPrintServer
from pms.demo.octoprint_setup import Speed, User
from tests.support.ports import free_port


class OctoPrintFactory:
    """Makes servers and ends all that it made."""

    def __init__(self, octoprint: Path, folder: Path) -> None:
        self._octoprint = octoprint
        self._folder = folder
        self._servers: list[OctoPrintServer] = []

    def __call__(
        self,
        count: int = 1,
        *,
        autoconnect: bool = True,
        speed: Speed = "fast",
        config: Mapping[str, Any] | None = None,
        virtual_printer: Mapping[str, Any] | None = None,
        users: Mapping[str, User] | None = None,
    ) -> list[OctoPrintServer]:
        """Start `count` servers; they answer, and with `autoconnect` their printers are ready."""
        servers = [
            self.prepare(
                autoconnect=autoconnect,
                speed=speed,
                config=config,
                virtual_printer=virtual_printer,
                users=users,
            )
            for _ in range(count)
        ]
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
            if autoconnect:
                server.wait_state("Operational")
        return servers

    def prepare(self, **options: Any) -> OctoPrintServer:
        """A server that the test starts itself; `options` are those of OctoPrintServer."""
        port = free_port()
        server = OctoPrintServer(self._octoprint, self._folder / f"port{port}", port, **options)
        self._servers.append(server)
        return server

    def close(self) -> None:
        """End all servers; nobody needs what they would still write."""
        for server in self._servers:
            server.kill()
            shutil.rmtree(server.uploads, ignore_errors=True)  # may be huge
