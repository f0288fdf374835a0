"""A real OctoPrint server with OctoPrint's own virtual printer, as a child of this process."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from pms.demo.children import kill_child, log_tail, start_child, stop_child
from pms.demo.octoprint_client import POLL_INTERVAL_S, OctoPrintClient, OctoPrintServerError
from pms.demo.octoprint_setup import Speed, User, write_setup
from pms.demo.printer_log import received_commands

__all__ = ["OctoPrintServer", "OctoPrintServerError", "find_octoprint"]

HOST = "127.0.0.1"
ADMINISTRATOR = "admin"
PROGRAM_VARIABLE = "PMS_DEMO_OCTOPRINT"

_REPOSITORY = Path(__file__).parents[2]
_IN_FOLDER = Path(".venv-octoprint", "bin", "octoprint")


def find_octoprint(environ: Mapping[str, str] = os.environ) -> Path:
    """Find the `octoprint` program; raises OctoPrintServerError saying where it was looked for."""
    if named := environ.get(PROGRAM_VARIABLE):
        if shutil.which(named):
            return Path(named).absolute()
        raise OctoPrintServerError(f"{PROGRAM_VARIABLE}={named} is not a program that can be run")
    for folder in (Path.cwd(), _REPOSITORY):
        if os.access(folder / _IN_FOLDER, os.X_OK):
            return folder / _IN_FOLDER
    if found := shutil.which("octoprint", path=environ.get("PATH")):
        return Path(found).absolute()
    raise OctoPrintServerError(
        f"no OctoPrint in {_IN_FOLDER} or on PATH: install it there "
        f"(make demo does), or name it in {PROGRAM_VARIABLE}"
    )


class OctoPrintServer(OctoPrintClient):
    """One server with a base folder and a port of its own.

    `speed`: at "fast" moves take no time, at "brisk" a fiftieth of their nominal time, and the
    heaters are hot; at "normal" moves take a tenth of it and heating 0.1 s a degree; at "slow"
    moves take their nominal time. A dwell (`G4 P50`) takes its 50 ms at every speed. `users`
    adds to the administrator; `virtual_printer` and `config` are laid over the settings.

    A folder is used again as it is, except that the first start writes its settings anew.
    All methods may be called from any thread, one at a time.
    """

    def __init__(
        self,
        octoprint: Path,
        folder: Path,
        port: int,
        *,
        api_key: str | None = None,
        autoconnect: bool = True,
        speed: Speed = "fast",
        config: Mapping[str, Any] | None = None,
        virtual_printer: Mapping[str, Any] | None = None,
        users: Mapping[str, User] | None = None,
    ) -> None:
        super().__init__(f"http://{HOST}:{port}", api_key or secrets.token_hex(16))
        self.folder = folder.absolute()
        self.port = port
        self.ready_s: float | None = None
        self._octoprint = octoprint
        self._autoconnect = autoconnect
        self._speed = speed
        self._config = config or {}
        self._virtual_printer = virtual_printer or {}
        self._users = {ADMINISTRATOR: User(api_key=self.api_key, groups=("admins", "users"))}
        self._users |= users or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._prepared = False

    @property
    def pid(self) -> int | None:
        """The server's process; None when it was not started or was ended."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the process lives; it need not answer yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def uploads(self) -> Path:
        """The folder with the files that OctoPrint holds."""
        return self.folder / "uploads"

    def start(self) -> None:
        """Start the process; does not wait until it answers."""
        if self.running:
            raise OctoPrintServerError(f"OctoPrint at {self.url} is running already")
        if not self._prepared:
            self._prepare()
        self.ready_s = None
        self._started_at = time.monotonic()
        # Uploads go through the temporary directory: on the same disk, the move is a rename.
        environment = os.environ | {"TMPDIR": str(self.folder / "tmp")}
        self._process = start_child(
            self._command(), folder=self.folder, log=self._console, environment=environment
        )

    def wait_ready(self, timeout_s: float = 60.0) -> float:
        """Wait until the API answers; gives the seconds since the start."""
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise OctoPrintServerError(f"OctoPrint at {self.url} ended: {self._tail()}")
            if time.monotonic() > self._started_at + timeout_s:
                raise OctoPrintServerError(f"OctoPrint at {self.url} is not up: {self._tail()}")
            time.sleep(POLL_INTERVAL_S)
        self.ready_s = time.monotonic() - self._started_at
        return self.ready_s

    def stop(self, timeout_s: float = 15.0) -> None:
        """End the server in its regular way, by force when that takes too long."""
        if self._process is not None:
            stop_child(self._process, timeout_s)
        self._process = None

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            kill_child(self._process)
        self._process = None

    def freeze(self) -> None:
        """Make it hang: it accepts connections and says nothing, until `thaw`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def printer_log(self) -> list[str]:
        """Give every command that the virtual printer received, in order, over all starts.

        Without line numbers and checksums; OctoPrint's own temperature queries are among them.
        """
        return received_commands(self.folder / "logs" / "plugin_virtual_printer_serial.log")

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"

    def _tail(self) -> str:
        return log_tail(self._console)

    def _prepare(self) -> None:
        write_setup(
            self.folder,
            users=self._users,
            autoconnect=self._autoconnect,
            speed=self._speed,
            virtual_printer=self._virtual_printer,
            config=self._config,
        )
        self._prepared = True

    def _command(self) -> list[str]:
        base = [str(self._octoprint), "serve", "--no-color", "--basedir", str(self.folder)]
        allow_root = ["--iknowwhatimdoing"] if os.geteuid() == 0 else []
        return [*base, *allow_root, "--host", HOST, "--port", str(self.port)]

    def _answers(self) -> bool:
        # A stand-in holds the port for a moment: it answers, but not as the API does.
        with contextlib.suppress(requests.RequestException):
            status, body = self.request("GET", "/api/version", timeout_s=2.0)
            return status == 200 and isinstance(body, dict) and "server" in body
        return False
