"""Many look-alikes in one process: their ports, the one ticker of their push sockets."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pms.errors import PMSError
from pms.simulator.clock import now
from pms.simulator.contents import Contents
from pms.simulator.look_alike import LookAlike
from pms.simulator.machine import Setup
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
        self._restarts: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open all ports. Raises SimulatorError when one is taken."""
        for number in range(1, self._options.printers + 1):
            self.servers.append(self._server(number))
        for server in self.servers:
            await self.start_server(server)

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped` is set."""
        ticker = asyncio.create_task(self._tick_for_ever())
        waiting = asyncio.create_task(stopped.wait())
        done, others = await asyncio.wait((ticker, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        for task in done:
            task.result()  # a ticker that fails is not to fail in silence

    async def stop(self) -> None:
        """Close all ports and cut all connections."""
        for task in self._restarts:
            task.cancel()
        for server in self.servers:
            await server.release()

    async def start_server(self, server: Server) -> None:
        """Start a server, whose printer is then connected."""
        await server.start()
        if self._options.connected:
            server.look_alike.act(server.look_alike.machine.connect)

    async def restart_server(self, server: Server, down_s: float) -> None:
        """Kill a server now and start it a while later."""
        await server.kill()
        task = asyncio.create_task(self._start_later(server, down_s))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    # -- inside -----------------------------------------------------------------------

    def _server(self, number: int) -> Server:
        options = self._options
        key = options.api_key or secrets.token_hex(16)
        look_alike = LookAlike(number, key, self._contents, replace(options.setup))
        look_alike.machine.breaks = lambda: self._break_of(look_alike)
        port = options.base_port + number - 1 if options.base_port else 0
        try:
            return Server(look_alike, options.host, port)
        except (OSError, OverflowError) as error:
            raise SimulatorError(
                f"printer {number} cannot listen on port {port}: {error}; "
                "choose another --base-port"
            ) from error

    def _break_of(self, look_alike: LookAlike) -> float | None:
        share = look_alike.faults.failing_prints
        return self._random.random() if self._random.random() < share else None

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
                    server.look_alike.push.tick(now())

    def _turns(self) -> Iterator[list[Server]]:
        count = min(TURNS, len(self.servers))
        return (self.servers[first::count] for first in range(count))
