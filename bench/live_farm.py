"""A coordinator with everything real around it, and stopwatches on what happens outside of it."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pms.bus import control
from pms.bus.endpoints import Endpoints
from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.support.coordinator import Coordinator
from tests.support.farm import Farm
from tests.support.file_server import FileServer
from tests.support.gcode import dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database, PostgresServer
from tests.support.print_shop import padded
from tests.support.printers import OctoPrintFactory
from tests.support.processes import process_tree
from tests.support.rabbitmq import RabbitServer
from tests.support.waiting import wait_until
from workers.push import PushChanged, PushListener, PushOpened, PushStimulus

TIMEOUT_S = 120.0
FILE_BYTES = 600_000
PRINT_S = 0.3
#: What PMS does by itself, not what the tests make it do.
SETTINGS = {"PMS_POLL_INTERVAL": "10", "PMS_LOG_LEVEL": "INFO"}
#: PostgreSQL tells at the moment of the commit.
TELL = """
CREATE FUNCTION tell_of_print() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('prints', NEW.print_job_id || ' ' || NEW.print_status); RETURN NULL; END $$;
CREATE TRIGGER tell_of_print AFTER UPDATE OF print_status ON prints
FOR EACH ROW EXECUTE FUNCTION tell_of_print();
"""


@dataclass(frozen=True)
class Latencies:
    """Of one copy, in seconds."""

    #: `JobPaid` published → OctoPrint says that it prints.
    start_s: float
    #: OctoPrint says that the print is done → the row is committed.
    end_s: float


class PushWatch:
    """When OctoPrint told of what, on a push socket of our own; monotonic seconds."""

    def __init__(self, server: OctoPrintServer) -> None:
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
    """When a print's status was committed; monotonic seconds by job and status."""

    def __init__(self, database: Database) -> None:
        self.times: dict[str, float] = {}
        self._connection = database.connect()
        self._connection.execute(TELL)
        self._connection.execute("LISTEN prints")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            for told in self._connection.notifies(timeout=0.5):
                self.times.setdefault(told.payload, time.monotonic())

    def wait_for(self, job: int, status: str) -> float:
        """When a print of the job first had this status."""
        key = f"{job} {status}"
        return wait_until(lambda: self.times.get(key), TIMEOUT_S, f"print of job {key}")

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()


class LiveFarm:
    """Printers `live0`, `live1` ..., which eject their parts, of a model each."""

    def __init__(self, farm: Farm, servers: list[OctoPrintServer], stack: ExitStack) -> None:
        self.farm = farm
        self.servers = servers
        for number, server in enumerate(servers):
            farm.add_printer(f"live{number}", server, model=f"model{number}", autostart=True)
        farm.start(**SETTINGS)
        self._pushes = [PushWatch(server) for server in servers]
        self._commits = CommitWatch(farm.database)
        self._control = Endpoints(Path(farm.coordinator.environment["PMS_RUNTIME_DIR"])).control
        stack.callback(self._commits.close)
        for push in self._pushes:
            stack.callback(push.close)

    def print_one(self, number: int) -> Latencies:
        """Print a copy on one of the printers, from its payment until the printer is idle."""
        farm, push = self.farm, self._pushes[number]
        farm.wait_for_printer(f"live{number}", "idle", "clear")
        gcode = padded(dwelling_gcode(seconds=PRINT_S, m0=False), FILE_BYTES)
        job = farm.add_job(gcode, model=farm.model(f"model{number}"))
        push.times.clear()
        with farm.broker.channel() as channel:
            paid_at = time.monotonic()
            channel.basic_publish("JobPaid", "", json.dumps({"JobId": job}).encode())
        started_at = push.wait_for("PrintStarted")
        done_at = push.wait_for("PrintDone")
        committed_at = self._commits.wait_for(job, "completed")
        return Latencies(started_at - paid_at, committed_at - done_at)

    def wake(self) -> None:
        """Let the coordinator look at its tables now."""
        control.ask(self._control, control.Wake())

    def processes(self) -> list[int]:
        """The coordinator and all its processes."""
        return process_tree(self.farm.coordinator.pid)

    def cores_at_rest(self, seconds: float) -> float:
        """Processor cores that all of them use while nothing is to be printed."""
        began, used_s = time.monotonic(), self._cpu_s()
        time.sleep(seconds)
        return (self._cpu_s() - used_s) / (time.monotonic() - began)

    def _cpu_s(self) -> float:
        return sum(map(_cpu_s, self.processes()))


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextmanager
def live_farm(printers: int) -> Iterator[LiveFarm]:
    """Everything started, with so many real OctoPrints, and ended with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres, rabbitmq = PostgresServer(), RabbitServer()
        files, octoprints = FileServer(), OctoPrintFactory(find_octoprint(), folder)
        for close in (postgres.close, rabbitmq.close, octoprints.close):
            stack.callback(close)
        for start in (postgres.start, rabbitmq.start, files.start):
            start()
        stack.callback(files.stop)
        database, broker = postgres.create_database(), rabbitmq.create_host()
        broker.declare_openfarm_topology()
        openfarm = stack.enter_context(OpenFarm(database))
        environment = {**database.environment, **broker.environment, **files.environment}
        coordinator = Coordinator(folder, environment)
        stack.callback(coordinator.close)
        farm = Farm(coordinator, database, openfarm, broker, files)
        yield LiveFarm(farm, octoprints(printers), stack)
