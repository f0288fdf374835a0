"""The farm of a run: everything real, and a proxy in front of every server that PMS needs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from pms.bus.endpoints import Endpoints
from pms.demo.octoprint_server import OctoPrintServer, find_octoprint
from tests.chaos.history import History
from tests.chaos.proxy import Proxies
from tests.chaos.supervisor import Supervisor
from tests.support.broker import Broker
from tests.support.coordinator import COMMANDS
from tests.support.file_server import FileServer
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database, PostgresServer
from tests.support.printers import OctoPrintFactory
from tests.support.processes import process_tree
from tests.support.rabbitmq import RabbitServer
from tests.support.waiting import wait_until
from tests.support.wall_clock import WallClock

#: Name and whether nobody needs to clear the bed, by model.
MODELS = (("MK4", False), ("EJECT", True))
#: Index of the model of each printer.
PRINTER_MODELS = (0, 0, 1, 0, 1)
RECORDER = "chaos-recorder"
RECORDED = ("PrintStarted", "PrintFinished", "PrintCleared", "JobCompleted", "JobRejected")

#: With PYTHONPATH a run can try another copy of the source.
INHERITED = ("PATH", "PYTHONPATH")

SETTINGS = {
    "PMS_POLL_INTERVAL": "2",
    "PMS_HTTP_TIMEOUT": "3",
    "PMS_UPLOAD_TIMEOUT": "10",
    "PMS_REPRINTS": "3",
    "PMS_LOG_LEVEL": "DEBUG",
}


@dataclass(frozen=True)
class FarmPrinter:
    """A printer and its OctoPrint."""

    id: int
    name: str
    server: OctoPrintServer
    ejects: bool


class Farm:
    """All servers of a run. `start` once, `close` always."""

    def __init__(self, folder: Path, history: History, printers: int) -> None:
        self.folder = folder
        self.history = history
        self._stack = ExitStack()
        self.postgres = PostgresServer()
        self._stack.callback(self.postgres.close)
        self.rabbitmq = RabbitServer()
        self._stack.callback(self.rabbitmq.close)
        self.files = FileServer()
        self.clock = WallClock(folder / "clock")
        self._factory = OctoPrintFactory(find_octoprint(), folder)
        self._stack.callback(self._factory.close)
        self._servers = [self._factory.prepare() for _ in range(printers)]
        self.proxies = Proxies()
        self._stack.callback(self.proxies.close)
        # The sockets' paths must be short.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="pms-run-"))
        self._stack.callback(shutil.rmtree, self.runtime_dir, ignore_errors=True)
        self.control = Endpoints(self.runtime_dir).control
        self.database: Database
        self.broker: Broker
        self.supervisor: Supervisor
        self.models: list[int] = []
        self.printers: list[FarmPrinter] = []

    def start(self) -> None:
        """Start everything, the coordinator last, and wait until every printer is idle."""
        self.files.start()
        self._stack.callback(self.files.stop)
        starts: list[Callable[[], object]] = [self.postgres.start, self.rabbitmq.start]
        starts += [server.start for server in self._servers]
        with ThreadPoolExecutor(len(starts)) as pool:
            for started in [pool.submit(start) for start in starts]:
                started.result()
        for server in self._servers:
            server.wait_ready()
        self.database = self.postgres.create_database("farm")
        self.broker = self.rabbitmq.create_host()
        self.broker.declare_openfarm_topology()
        self._bind_recorder()
        self._add_printers()
        folder = self.folder / "coordinator"
        folder.mkdir()
        self.supervisor = Supervisor(folder, self._environment(), self.history)
        self.supervisor.start()
        self._stack.callback(self.supervisor.stop)
        self.wait_idle()

    def openfarm(self) -> OpenFarm:
        """A connection of another service's, past the proxy; raises psycopg.OperationalError."""
        return OpenFarm(self.database)

    def wait_idle(self) -> None:
        """Wait until PMS takes every printer for idle."""

        def idle() -> bool:
            with self.openfarm() as openfarm:
                rows = openfarm.rows("pms_printers")
            return [row["state"] for row in rows] == ["idle"] * len(self.printers)

        wait_until(idle, 60.0, "idle printers", interval_s=0.2, ignoring=(psycopg.Error,))

    def processes(self) -> dict[int, str]:
        """Every living process of PMS's of this run, by its environment; pid → state letter."""
        mark = f"PMS_RUNTIME_DIR={self.runtime_dir}".encode()
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if mark not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
        return found

    def coordinator_tree(self) -> list[int]:
        """The coordinator and its descendants; empty: it does not run."""
        pid = self.supervisor.pid
        return process_tree(pid) if pid is not None else []

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    @property
    def operator_environment(self) -> dict[str, str]:
        """For commands of an operator whose own network is well."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {
            **inherited,
            "HOME": os.fspath(self.folder),
            "PMS_RUNTIME_DIR": os.fspath(self.runtime_dir),
            "PMS_DATA_DIR": os.fspath(self.folder / "coordinator" / "pms-data"),
            **SETTINGS,
            **self.database.environment,
            **self.broker.environment,
            **self.files.environment,
        }

    @property
    def command(self) -> Path:
        return COMMANDS / "pms-coordinator"

    def _environment(self) -> dict[str, str]:
        database = replace(
            self.database, port=self.proxies.add("postgres", self.postgres.port).port
        )
        broker = replace(self.broker, port=self.proxies.add("rabbitmq", self.rabbitmq.port).port)
        files = self.proxies.add("files", int(self.files.base_url.rpartition(":")[2]))
        return {
            **self.operator_environment,
            **self.clock.environment,
            **database.environment,
            **broker.environment,
            "FILE_SERVER_BASE_URL": files.url,
        }

    def _bind_recorder(self) -> None:
        """One queue behind all exchanges, so that the order among them is recorded too."""
        with self.broker.channel() as channel:
            channel.queue_declare(RECORDER, durable=True)
            for exchange in RECORDED:
                channel.queue_bind(RECORDER, exchange, routing_key="")

    def _add_printers(self) -> None:
        with self.openfarm() as openfarm:
            self.models = [openfarm.add_model(name, autostart=auto) for name, auto in MODELS]
            for index, server in enumerate(self._servers):
                model = PRINTER_MODELS[index % len(PRINTER_MODELS)]
                proxy = self.proxies.add(f"printer{index}", server.port)
                printer_id = openfarm.add_printer(
                    f"printer{index}", self.models[model], proxy.url, server.api_key
                )
                printer = FarmPrinter(printer_id, f"printer{index}", server, MODELS[model][1])
                self.printers.append(printer)
