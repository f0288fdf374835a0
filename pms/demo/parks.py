"""The printers of the demonstration: real OctoPrints with virtual printers, or simulated ones."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pms.cli.output import count
from pms.demo.octoprint_server import HOST, OctoPrintServer, OctoPrintServerError
from pms.demo.simulator_process import SimulatorProcess

#: Below the ports that Linux gives to outgoing connections: while a server is not up yet, a
#: connection to its port from that same port would reach itself, and keep it from the server.
FIRST_PORT, LAST_PORT = 10_000, 30_000
#: Bytes of G-code a second, so that the cube takes some seconds.
SIMULATED_SPEED = 100_000


@dataclass(frozen=True, slots=True)
class Address:
    """Where an OctoPrint is found."""

    url: str
    api_key: str = field(repr=False)


class Park(Protocol):
    """So many OctoPrints, all the demonstration's own. Nothing here waits."""

    #: What is started, and what each of them is, in words.
    contents: str
    kind: str

    def start(self) -> None:
        """Start them; raises OSError when that fails."""

    def addresses(self) -> list[Address] | None:
        """Where they are; None while that is not known. Raises a PMSError when they have ended."""

    def check(self) -> None:
        """Raise a PMSError when one that should run has ended."""

    def stop(self) -> None:
        """End them, and return when all are gone."""


class OctoPrintPark:
    """Real OctoPrint servers."""

    kind = "a virtual printer of the OctoPrint that starts at"

    def __init__(self, folder: Path, octoprint: Path, names: Sequence[str]) -> None:
        self.contents = count(len(names), "OctoPrint server")
        self._servers = {
            name: OctoPrintServer(octoprint, folder / f"octoprint-{name}", port, speed="brisk")
            for name, port in zip(names, _free_ports(len(names)), strict=True)
        }

    def start(self) -> None:
        """Start all servers at once."""
        for server in self._servers.values():
            server.start()

    def addresses(self) -> list[Address]:
        """They are known from the start."""
        return [Address(server.url, server.api_key) for server in self._servers.values()]

    def check(self) -> None:
        """Raise OctoPrintServerError when a server has ended."""
        for name, server in self._servers.items():
            if not server.running:
                raise OctoPrintServerError(f"the OctoPrint of {name} has ended")

    def stop(self) -> None:
        """End all servers."""
        for server in self._servers.values():
            server.kill()  # nobody needs what it would still write


class SimulatedPark:
    """Look-alikes, all in one process."""

    kind = "a simulated printer at"

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.contents = f"a simulator of {count(len(names), 'OctoPrint')}"
        self._simulator = SimulatorProcess(
            folder / "simulator", len(names), "--speed", str(SIMULATED_SPEED)
        )

    def start(self) -> None:
        """Start the simulator."""
        self._simulator.start()

    def addresses(self) -> list[Address] | None:
        """What the simulator has announced."""
        announced = self._simulator.announced()
        return None if announced is None else [Address(*each) for each in announced.printers]

    def check(self) -> None:
        """Raise SimulatorProcessError when it has ended."""
        self._simulator.check()

    def stop(self) -> None:
        """End the simulator."""
        self._simulator.stop()


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on this host's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
