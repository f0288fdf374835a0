"""Listens to OctoPrint's push socket, in a thread of its own that comes back after every failure.

What it reports is a hint to look, never a fact; without it PMS is slower, not wrong.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from pms.domain.backoff import backoff_s
from workers.address import normalize_address
from workers.octoprint import OctoPrint, Session
from workers.octoprint_errors import BadAddress, OctoPrintError, Rejected, TimedOut
from workers.push_connection import PushConnection, PushTiming
from workers.push_frames import (
    PushChanged,
    PushClosed,
    PushOpened,
    PushSilent,
    PushSnapshot,
    PushStimulus,
)
from workers.push_socket import PushSocket

__all__ = [
    "PushChanged",
    "PushClosed",
    "PushListener",
    "PushOpened",
    "PushSilent",
    "PushSnapshot",
    "PushStimulus",
    "PushTiming",
]

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 1.0
#: OctoPrint limits the rate of log-ins.
REFUSED_LOGIN_RETRY_S = 60.0

MakeConnection = Callable[
    [PushSocket, Callable[[], Session], Callable[[PushStimulus], None], PushTiming],
    PushConnection,
]


class PushListener:
    """Keeps a push connection to one OctoPrint and hands what comes to `on_event`.

    `on_event` is called from the listener's thread and must be quick. Any address is taken: one
    that cannot be used is never connected to, and the calls over REST say why.
    """

    def __init__(
        self,
        address: str,
        api_key: str,
        on_event: Callable[[PushStimulus], None],
        timing: PushTiming | None = None,
        random: Callable[[], float] = random.random,
        *,
        make_connection: MakeConnection = PushConnection,
    ) -> None:
        self._address = address
        self._api_key = api_key
        self._on_event = on_event
        self._timing = timing or PushTiming()
        self._random = random
        self._make_connection = make_connection
        #: Why the last connection ended or could not be made; empty before that.
        self.problem = ""
        self._failures = 0
        self._socket: PushSocket | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Connect now instead of after the backoff, because OctoPrint has just answered."""
        self._woken.set()

    def stop(self) -> None:
        """End the thread; `on_event` is not called any more.

        Returns after a second at the latest. A log-in or a look-up of the host's name that is
        under way is left to its own timeout, after which the thread ends too.
        """
        with self._lock:
            self._stopping.set()
            if self._socket is not None:
                self._socket.cut()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    # -- the thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._address = normalize_address(self._address)
        except BadAddress:
            return
        while not self._stopping.is_set():
            try:
                self._connect()
            except OctoPrintError as error:
                self._rest(error)
            except Exception as error:
                # A defect; polling goes on without push, and the log tells.
                logger.exception("push_failed", extra={"fields": {"address": self._address}})
                self._rest(error)

    def _connect(self) -> None:
        """One connection, from the log-in to its end, which is always an error."""
        socket = PushSocket(self._address)
        with self._lock:
            if self._stopping.is_set():
                return
            self._socket = socket
        connection = self._make_connection(socket, self._login, self._emit, self._timing)
        try:
            connection.listen()
        except OctoPrintError as error:
            if connection.opened:
                self._emit(PushClosed(reason=str(error)))
                self._failures = 0
            elif isinstance(error, TimedOut):
                # One that hangs from the beginning may hang as a whole.
                self._emit(PushSilent(address=self._address))
            raise
        finally:
            socket.close()

    def _login(self) -> Session:
        with OctoPrint(self._address, self._api_key, self._timing.open_timeout_s) as octoprint:
            return octoprint.login()

    def _emit(self, stimulus: PushStimulus) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._on_event(stimulus)

    def _rest(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        self._failures += 1
        self.problem = str(error)
        fields = {"address": self._address, "error": str(error), "failures": self._failures}
        logger.debug("push_unavailable", extra={"fields": fields})
        # Nothing but time helps against a refused log-in.
        waited_for = self._stopping if isinstance(error, Rejected) else self._woken
        if not self._stopping.is_set():
            waited_for.wait(rest_s(error, self._failures, self._random()))
        # Not before: OctoPrint may have answered while this connection was failing.
        self._woken.clear()


def rest_s(error: Exception, failures: int, random: float) -> float:
    """Seconds until the next try after so many failures in a row."""
    return REFUSED_LOGIN_RETRY_S if isinstance(error, Rejected) else backoff_s(failures, random)
