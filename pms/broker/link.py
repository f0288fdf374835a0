"""A thread that keeps one connection to RabbitMQ, for ever.

Intake and relay have one each. pika's connections belong to one thread, so whatever other
threads want done is handed over as a command and carried out between two looks at the socket.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

import pika
from pika.exceptions import AMQPError, ConnectionWrongStateError

from pms.broker import topology
from pms.broker.connection import connect, translated
from pms.config import BrokerSettings
from pms.domain.backoff import backoff_s
from pms.errors import BrokerUnavailableError

logger = logging.getLogger(__name__)

CONNECTED = "connected"

#: A connection that lasted as long starts the backoff anew.
HEALTHY_AFTER_S = 30.0

#: The longest time between two looks at whether the link is to stop.
TURN_S = 1.0

#: What is left of the time for stopping once the client has to be done.
CLOSING_S = 0.2

Command = Callable[[], None]


class Session:
    """One connection from its opening to its end; commands for it die with it."""

    def __init__(self, connection: pika.BlockingConnection) -> None:
        self.connection = connection
        self._commands: SimpleQueue[Command] = SimpleQueue()

    def submit(self, command: Command) -> None:
        """Have a command carried out in the link's thread; called from any thread."""
        self._commands.put(command)
        self.wake()

    def wake(self) -> None:
        """End the wait of `turn` early; called from any thread."""
        with suppress(ConnectionWrongStateError):
            self.connection.add_callback_threadsafe(_nothing)

    def turn(self, wait_s: float = TURN_S) -> None:
        """Deal with what the broker sends, waiting for it if need be, then with commands."""
        self.connection.process_data_events(time_limit=wait_s)
        self.carry_out()

    def carry_out(self) -> None:
        """Carry out the commands that have come."""
        with suppress(Empty):
            while True:
                self._commands.get_nowait()()

    def close(self) -> None:
        """Close the connection, if it still is one."""
        with suppress(AMQPError, OSError):
            self.connection.close()


class Client(Protocol):
    """What a link does with its connection."""

    def prepare(self, session: Session) -> None:
        """Open what is needed on a new connection; pika's errors may come through."""

    def serve(self, session: Session) -> None:
        """Work until the link is to stop; pika's errors may come through."""

    def lost(self, reason: str, /) -> None:
        """A connection ended or could not be made."""


class Link:
    """Connects, makes sure of the topology, serves; waits and begins again when it breaks."""

    def __init__(
        self, settings: BrokerSettings, purpose: str, client: Client, *, warns: bool
    ) -> None:
        self.state = "connecting"
        self.stopping = threading.Event()
        self.stop_at = float("inf")
        self._settings = settings
        self._purpose = purpose
        self._client = client
        self._warns = warns
        self._session: Session | None = None
        self._reported: tuple[str, ...] = ()
        self._down_logged = False
        self._thread = threading.Thread(target=self._run, name=f"broker-{purpose}", daemon=True)

    @property
    def session(self) -> Session | None:
        """The session that is being served."""
        return self._session

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread; False: it hangs in a broker that does not answer, and was left behind."""
        self.stop_at = time.monotonic() + timeout_s - CLOSING_S
        self.stopping.set()
        if session := self._session:
            session.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        chance = random.SystemRandom()
        failures = 0
        while not self.stopping.is_set():
            began = time.monotonic()
            self._live_once()
            failures = 1 if time.monotonic() - began > HEALTHY_AFTER_S else failures + 1
            self.stopping.wait(backoff_s(failures, chance.random()))
        self.state = "stopped"

    def _live_once(self) -> None:
        """From one connection attempt to the end of what came of it; nothing is raised."""
        reason = "stopped"
        try:
            self._serve(Session(connect(self._settings, self._purpose)))
        except BrokerUnavailableError as error:
            reason = str(error)
        except Exception:
            reason = "an unexpected error, see the log"
            logger.exception("broker_link_failed", extra=self._fields())
        self._now_without(reason)

    def _serve(self, session: Session) -> None:
        try:
            with translated(self._settings):
                self._ensure_topology(session)
                self._client.prepare(session)
                self._session = session
                self._now_connected()
                self._client.serve(session)
        finally:
            self._session = None
            session.close()

    def _ensure_topology(self, session: Session) -> None:
        findings = topology.ensure(session.connection)
        if findings.declared:
            logger.info("topology_declared", extra=self._fields(declared=findings.declared))
        if self._warns and findings.different not in ((), self._reported):
            logger.warning("topology_differs", extra=self._fields(different=findings.different))
        self._reported = findings.different

    def _now_connected(self) -> None:
        self.state = CONNECTED
        self._down_logged = False
        logger.info("broker_connected", extra=self._fields())

    def _now_without(self, reason: str) -> None:
        self._client.lost(reason)
        if self.stopping.is_set():
            return
        self.state = reason
        if not self._down_logged:
            logger.warning("broker_lost", extra=self._fields(reason=reason))
            self._down_logged = True

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"fields": {"link": self._purpose, **fields}}


def _nothing() -> None:
    """Only wakes the thread."""
