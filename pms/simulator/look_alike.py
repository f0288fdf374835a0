"""One look-alike without its network: printer, files, users, push, and what drives them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pms.simulator.access import Access, administrator
from pms.simulator.clock import now
from pms.simulator.contents import Contents
from pms.simulator.faults import Faults
from pms.simulator.files import Files
from pms.simulator.machine import Machine, Setup
from pms.simulator.push import Push


class LookAlike:
    """One server's memory. Its `machine` is changed inside `act` only."""

    def __init__(self, number: int, api_key: str, contents: Contents, setup: Setup) -> None:
        self.number = number
        self.api_key = api_key
        self.setup = setup
        self.contents = contents
        self.access = Access(administrator(api_key))
        self.faults = Faults()
        self.files = Files(contents)
        self.machine = Machine(self.emit, setup)
        self.push = Push(self.machine)
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Unix time."""
        return now()

    def emit(self, kind: str, payload: dict[str, Any] | None) -> None:
        """Tell everybody who listens."""
        self.push.publish(kind, payload, now())

    def act(self, what: Callable[[float], None]) -> None:
        """Do something with the printer now, and see to what follows from it."""
        moment = now()
        what(moment)
        self.machine.tick(moment)
        self._set_timer()

    def end_sessions(self) -> None:
        """End all log-ins, as when they have grown too old."""
        self.access.forget_sessions()
        for client in self.push.clients:
            self.push.refuse(client)

    def kill(self) -> None:
        """Lose what a server loses that is killed."""
        self.access.forget_sessions()
        self.push.cut()
        self.act(self.machine.kill)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self.machine.due) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - now()), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.act(lambda _: None)
