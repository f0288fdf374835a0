"""A real RabbitMQ of the test run's own: its folder, its ports, its name server, its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pms.demo.children import kill_child, log_tail, start_child, stop_child
from tests.support.broker import Broker
from tests.support.ports import HOST, free_port
from tests.support.processes import end, freeze, process_tree, thaw
from tests.support.programs import find_program
from tests.support.waiting import wait_until

USER = "openfarm"
PASSWORD = "broker-secret"
#: What erl_call says when nothing was evaluated.
NOT_CONNECTED = "failed to connect"
NODE = "pms@localhost"
COOKIE = "pms-test-cookie"
BIN = Path("/usr/lib/rabbitmq/bin")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitServer:
    """One broker process. Durable things survive `stop` and `kill`, not `close`."""

    def __init__(self) -> None:
        self._program = find_program("rabbitmq-server", BIN)
        self._name_server_program = find_program("epmd")
        self._erl_call = find_program("erl_call")
        self._folder = Path(tempfile.mkdtemp(prefix="pms-rabbitmq-"))
        self._log = self._folder / "console.log"
        self._name_server: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._name_server_port = free_port()
        self._distribution_port = free_port()
        self._hosts = 0
        self.port = free_port()
        self.ready_s = 0.0
        self._write_settings()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and wait until it answers."""
        began = time.monotonic()
        self._start_name_server()
        self._process = start_child(
            [self._program, "-noinput"],
            folder=self._folder,
            log=self._log,
            environment=self._environment(),
        )
        wait_until(self._answers, 60.0, f"RabbitMQ on port {self.port}", ignoring=(OSError,))
        self.ready_s = time.monotonic() - began

    def ensure_running(self) -> None:
        """Repair what an earlier test left behind."""
        if not self.running:
            self.start()

    def stop(self) -> None:
        """End it in its regular way; connections are closed."""
        if self._process is not None:
            pids = process_tree(self._process.pid)
            stop_child(self._process, 20.0, signal.SIGTERM)
            end(pids)
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            pids = process_tree(self._process.pid)
            kill_child(self._process)
            end(pids)
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It hangs: connections are accepted by the kernel, nothing answers."""
        assert self._process is not None
        freeze([self._process.pid])
        try:
            yield
        finally:
            thaw([self._process.pid])

    def close(self) -> None:
        """End it and its name server and remove its folder; nobody needs its data."""
        self.kill()
        if self._name_server is not None:
            kill_child(self._name_server)
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_host(self) -> Broker:
        """A new virtual host, in which nothing is declared."""
        self._hosts += 1
        name = f"test-{self._hosts}"
        self._call(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"{name}">>, '
            f'<<".*">>, <<".*">>, <<".*">>, <<"tests">>).'
        )
        return Broker(port=self.port, virtual_host=name, user=USER, password=PASSWORD)

    def delete_host(self, broker: Broker) -> None:
        """Remove a virtual host with all that is in it, whoever is still connected."""
        self._call(f'rabbit_vhost:delete(<<"{broker.virtual_host}">>, <<"tests">>).')

    def disconnect(self, broker: Broker) -> None:
        """Cut every connection to one virtual host."""
        self._call(
            "rabbit_connection_tracking:close_connections("
            f'rabbit_connection_tracking:list(<<"{broker.virtual_host}">>), "cut by a test", 0).'
        )

    def _call(self, expression: str) -> str:
        """Evaluate Erlang in the broker: some milliseconds, where rabbitmqctl takes over 1 s."""

        def evaluated() -> str | None:
            answer = self._evaluate(expression)
            # A broker that was just started or thawed may not listen for this yet.
            return None if NOT_CONNECTED in answer else answer

        answer = wait_until(evaluated, 20.0, f"RabbitMQ to evaluate {expression}", interval_s=0.2)
        assert answer.startswith("{ok,"), f"{expression}: {answer}"
        return answer

    def _evaluate(self, expression: str) -> str:
        done = subprocess.run(
            [self._erl_call, "-sname", NODE, "-c", COOKIE, "-e"],
            input=expression + "\n",
            env=self._environment(),
            capture_output=True,
            check=False,
            text=True,
            timeout=30.0,
        )
        return done.stdout + done.stderr

    def _write_settings(self) -> None:
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\n"
            f"default_user = {USER}\n"
            f"default_pass = {PASSWORD}\n"
            "log.console = false\n"
            "disk_free_limit.absolute = 1MB\n"
        )
        (self._folder / "enabled_plugins").write_text("[].\n")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "HOME": str(self._folder),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._name_server_port),
            # The start script then becomes the broker itself, instead of watching over it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
        }

    def _start_name_server(self) -> None:
        """Run Erlang's name server as a child: else the broker would leave one behind."""
        if self._name_server is not None and self._name_server.poll() is None:
            return
        self._name_server = start_child(
            [self._name_server_program],
            folder=self._folder,
            log=self._folder / "epmd.log",
            environment=self._environment(),
        )
        what = f"Erlang's name server on port {self._name_server_port}"
        wait_until(self._name_server_listens, 10.0, what, ignoring=(OSError,))

    def _name_server_listens(self) -> bool:
        with socket.create_connection((HOST, self._name_server_port), 5.0):
            return True

    def _answers(self) -> bool:
        assert self.running, f"RabbitMQ ended: {log_tail(self._log)}"
        with socket.create_connection((HOST, self.port), 5.0) as connection:
            connection.sendall(PROTOCOL_HEADER)
            return connection.recv(1) == b"\x01"  # a method frame: its greeting
