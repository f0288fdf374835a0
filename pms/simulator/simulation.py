"""Many look-alikes in one process: their ports, the one ticker of their push sockets."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pms.errors import PMSError
from pms.simulator.clock import now
from pms.simulator.contents import Contents
from pms.simulator.faults import Faults
from pms.simulator.machine import Setup
from pms.simulator.octoprint import OctoPrint
from pms.simulator.push import BASE_INTERVAL_S
from pms.simulator.server import Server

#: The printers take turns within each interval, so that no long burst of work holds up a request.
TURNS = 25


class SimulatorError(PMSError):
    """The simulator cannot do what it was asked to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What to simulate; with `base_port` 0 all ports are chosen by the system."""

    printers: int = 1
    host: str = "127.0.0.1"
    base_port: int = 0
    #: For all printers; None: each has one of its own.
    api_key: str | None = None
    setup: Setup = field(default_factory=Setup)
    #: Whether the printers are connected from the start.
    connected: bool = True
    #: For whatever is left to chance.
    seed: int | None = None


class Simulation:
    """Owns all servers and the ticker."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._contents = Contents(folder)
        self._random = random.Random(options.seed)
        self.servers: list[Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open all ports. Raises SimulatorError when one is taken."""
        for number in range(1, self._options.printers + 1):
            self.servers.append(self._server(number))
        for server in self.servers:
            await server.open()
            self._connect(server)
        self._run(self._tick_for_ever())

    async def stop(self) -> None:
        """Close all ports and cut all connections."""
        for task in self._tasks:
            task.cancel()
        for server in self.servers:
            server.release()
            server.octoprint.kill()

    # -- what the control interface asks for -----------------------------------------

    def stop_server(self, server: Server) -> None:
        """As `kill -9` of an OctoPrint: it forgets everything but its files."""
        server.close()
        server.octoprint.kill()

    async def start_server(self, server: Server) -> None:
        """Start a server that was stopped."""
        if not server.octoprint.faults.refuse:
            await server.open()
        self._connect(server)

    def restart_server(self, server: Server, down_s: float) -> None:
        """Stop a server now and start it a while later."""
        self.stop_server(server)
        self._run(self._start_later(server, down_s))

    async def set_faults(self, server: Server, faults: Faults) -> None:
        """Let these faults be there, and no others."""
        server.octoprint.faults = faults
        server.hang(hangs=faults.hang)
        if faults.refuse:
            server.close()
        elif not server.is_open:
            await server.open()

    # -- inside -----------------------------------------------------------------------

    def _server(self, number: int) -> Server:
        options = self._options
        key = options.api_key or secrets.token_hex(16)
        octoprint = OctoPrint(number, key, self._contents, replace(options.setup))
        octoprint.machine.breaks = lambda: self._break_of(octoprint)
        port = options.base_port + number - 1 if options.base_port else 0
        try:
            return Server(octoprint, options.host, port)
        except (OSError, OverflowError) as error:
            raise SimulatorError(
                f"printer {number} cannot listen on port {port}: {error}; "
                "choose another --base-port"
            ) from error

    def _break_of(self, octoprint: OctoPrint) -> float | None:
        share = octoprint.faults.failing_prints
        return self._random.random() if self._random.random() < share else None

    def _connect(self, server: Server) -> None:
        if self._options.connected:
            server.octoprint.act(server.octoprint.machine.connect)

    async def _start_later(self, server: Server, down_s: float) -> None:
        await asyncio.sleep(down_s)
        await self.start_server(server)

    async def _tick_for_ever(self) -> None:
        turns = list(self._turns())
        turn_s = BASE_INTERVAL_S / len(turns)
        due = now()
        while True:
            for turn in turns:
                due = max(due + turn_s, now())
                await asyncio.sleep(due - now())
                for server in turn:
                    server.octoprint.push.tick(now())

    def _turns(self) -> Iterator[list[Server]]:
        count = min(TURNS, len(self.servers))
        return (self.servers[first::count] for first in range(count))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
