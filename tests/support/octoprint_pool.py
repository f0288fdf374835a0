"""Real OctoPrint servers that many tests use, one after the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from pms.demo.octoprint_client import OctoPrintClient
from pms.demo.octoprint_server import OctoPrintServer
from pms.demo.octoprint_setup import User
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until

#: May look, but neither store files nor print.
VIEWER = User(api_key=secrets.token_hex(16), groups=("readonly",))


class OctoPrintPool:
    """Starting a server takes some seconds, and making a used one like new a fraction of one."""

    def __init__(self, factory: OctoPrintFactory) -> None:
        self._factory = factory
        self._servers: list[OctoPrintServer] = []

    def take(self, count: int) -> list[OctoPrintServer]:
        """So many servers without files, each with an operational printer; VIEWER is a user."""
        while len(self._servers) < count:
            self._servers.append(self._factory.prepare(users={"viewer": VIEWER}))
        servers = self._servers[:count]
        for server in servers:
            server.thaw()
            if not server.running:
                server.start()
        for server in servers:
            server.wait_ready()
            make_like_new(server)
        return servers


def make_like_new(server: OctoPrintClient) -> None:
    """No files, and an operational printer."""
    server.wait_state("Operational", "Closed", "Printing", "Paused", "Error")
    server.request("POST", "/api/connection", {"command": "disconnect"})
    server.wait_state("Closed")
    wait_until(lambda: not _delete_files(server), 10.0, f"{server.url} without files")
    server.connect_printer()


def _delete_files(server: OctoPrintClient) -> list[str]:
    """Delete what there is; gives what there was."""
    _, answer = server.request("GET", "/api/files/local?recursive=true&force=true")
    paths = list(_paths(answer["files"]))
    for path in paths:
        server.request("DELETE", f"/api/files/local/{path}")
    return paths


def _paths(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Files before their folder: OctoPrint remembers their prints when only that is deleted."""
    for entry in entries:
        yield from _paths(entry.get("children", []))
        yield str(entry["path"])
