"""Stopwatches on what can be seen of PMS from outside; all times are monotonic seconds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import zmq

from pms.bus import telemetry
from pms.bus.codec import CodecError
from pms.bus.endpoints import Endpoints
from pms.bus.messages import PrinterStateChanged
from pms.domain.states import PrinterState
from tests.support.farm import Farm, Reachable
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.push import PushChanged, PushListener, PushOpened, PushStimulus

TIMEOUT_S = 120.0
POLL_MS = 200
#: PostgreSQL tells at the moment of the commit.
TELL = """
CREATE FUNCTION tell_of_print() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('watch', 'job ' || NEW.print_job_id || ' print ' || NEW.print_status);
  PERFORM pg_notify('watch', 'print ' || NEW.id || ' ' || NEW.print_status);
  RETURN NULL;
END $$;
CREATE TRIGGER tell_of_print AFTER UPDATE OF print_status ON prints
FOR EACH ROW EXECUTE FUNCTION tell_of_print();
CREATE FUNCTION tell_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('watch', 'job ' || NEW.id || ' ' || NEW.job_status); RETURN NULL; END $$;
CREATE TRIGGER tell_of_job AFTER UPDATE OF job_status ON print_jobs
FOR EACH ROW EXECUTE FUNCTION tell_of_job();
CREATE FUNCTION tell_of_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('watch', 'job ' || NEW.job_id || ' told ' || NEW.exchange); RETURN NULL; END
$$;
CREATE TRIGGER tell_of_message AFTER UPDATE OF published_at ON pms_outbox
FOR EACH ROW EXECUTE FUNCTION tell_of_message();
"""


class PushWatch:
    """When OctoPrint told of what, on a push socket of our own."""

    def __init__(self, server: Reachable) -> None:
        self.times: dict[str, float] = {}
        self._listener = PushListener(server.url, server.api_key, self._hear)
        self._listener.start()
        self.wait_for("open")

    def _hear(self, stimulus: PushStimulus) -> None:
        if isinstance(stimulus, PushChanged):
            self.times.setdefault(stimulus.kind, time.monotonic())
        elif isinstance(stimulus, PushOpened):
            self.times.setdefault("open", time.monotonic())

    def wait_for(self, kind: str) -> float:
        """When it came first since `times` was cleared."""
        return wait_until(lambda: self.times.get(kind), TIMEOUT_S, f"{kind} over the push socket")

    def close(self) -> None:
        self._listener.stop()


class CommitWatch:
    """When what was committed: `job 3 print completed`, `print 4 printing`, `job 3 completed`,
    `job 3 told PrintFinished` (the broker has confirmed that message)."""

    def __init__(self, database: Database) -> None:
        self.times: dict[str, float] = {}
        self._connection = database.connect()
        self._connection.execute(TELL)
        self._connection.execute("LISTEN watch")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            for told in self._connection.notifies(timeout=0.5):
                self.times.setdefault(told.payload, time.monotonic())

    def wait_for(self, what: str) -> float:
        """When it was first committed."""
        return wait_until(lambda: self.times.get(what), TIMEOUT_S, what)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()


class BusWatch:
    """What the printers' processes report, as everybody may hear it."""

    def __init__(self, farm: Farm) -> None:
        self._states: dict[int, list[tuple[float, PrinterState]]] = {}
        self._heard: dict[int, float] = {}
        self._silences: dict[int, float] = {}
        self._endpoint = Endpoints(farm.runtime_dir).telemetry
        self._context: zmq.Context[Any] = zmq.Context()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def wait_for(self, printer_id: int, state: PrinterState, since: float) -> float:
        """When the printer was first reported to be in this state after `since`."""

        def told() -> float | None:
            changes = self._states.get(printer_id, [])
            return next((at for at, seen in changes if at >= since and seen is state), None)

        return wait_until(told, TIMEOUT_S, f"printer {printer_id} {state}")

    def state(self, printer_id: int) -> PrinterState | None:
        """What was reported last."""
        changes = self._states.get(printer_id)
        return changes[-1][1] if changes else None

    def longest_silences(self) -> list[float]:
        """Of each printer's process that was heard of, in seconds."""
        now = time.monotonic()
        return [max(self._silences[id], now - heard) for id, heard in list(self._heard.items())]

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _listen(self) -> None:
        socket = telemetry.subscribe(self._context, self._endpoint)
        while not self._over.is_set():
            if socket.poll(POLL_MS):
                with suppress(CodecError):
                    self._hear(*telemetry.decode(socket.recv_multipart()))

    def _hear(self, printer_id: int, message: object) -> None:
        now = time.monotonic()
        silence = now - self._heard.get(printer_id, now)
        self._silences[printer_id] = max(silence, self._silences.get(printer_id, 0.0))
        self._heard[printer_id] = now
        if isinstance(message, PrinterStateChanged):
            self._states.setdefault(printer_id, []).append((now, message.state))
