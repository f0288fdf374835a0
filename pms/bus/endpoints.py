"""Where the sockets of a running PMS are, what its processes are called there, how they open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import zmq

from pms.bus.codec import MAX_FRAME_BYTES
from pms.errors import SettingsError

#: Linux allows 107 in the path of a socket; some room is left for what libzmq appends.
MAX_PATH_BYTES = 100

#: Messages that wait for one peer on each side; stale telemetry is not worth more.
HIGH_WATER_MARK = 100


class Endpoints:
    """The addresses of the coordinator's sockets, all in one folder that only its owner enters.

    Raises SettingsError when the folder's path is too long for sockets.
    """

    def __init__(self, runtime_dir: Path) -> None:
        self.runtime_dir = runtime_dir
        #: ROUTER: the printers' processes.
        self.workers = self._endpoint("workers.sock")
        #: PUB: the live picture, for whoever watches.
        self.telemetry = self._endpoint("telemetry.sock")
        #: REP: questions of commands and of the page.
        self.control = self._endpoint("control.sock")

    def prepare(self) -> None:
        """Make the folder, mode 0700; raises SettingsError when that is not possible."""
        try:
            self.runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.runtime_dir.chmod(0o700)
        except OSError as error:
            raise SettingsError(
                f"PMS_RUNTIME_DIR={str(self.runtime_dir)!r} cannot be prepared: {error.strerror}"
            ) from error

    def _endpoint(self, name: str) -> str:
        path = self.runtime_dir / name
        length = len(os.fsencode(path))
        if length > MAX_PATH_BYTES:
            raise SettingsError(
                f"PMS_RUNTIME_DIR={str(self.runtime_dir)!r} is too long for sockets: {path.name}"
                f" would be at {length} bytes, {MAX_PATH_BYTES} are allowed; choose a shorter one"
            )
        return f"ipc://{path}"


def identity(printer_id: int, incarnation: int) -> str:
    """What one run of a printer's process is called on the bus; never used twice."""
    return f"printer-{printer_id}.{incarnation}"


def open_socket(
    context: zmq.Context[Any], kind: int, max_frame_bytes: int = MAX_FRAME_BYTES
) -> zmq.Socket[Any]:
    """A socket that neither keeps its process from ending nor buffers without a bound."""
    socket: zmq.Socket[Any] = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = HIGH_WATER_MARK
    socket.maxmsgsize = max_frame_bytes
    return socket


def bind(socket: zmq.Socket[Any], endpoint: str) -> None:
    """Listen at an endpoint; raises SettingsError when its folder does not allow it."""
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise SettingsError(
            f"PMS_RUNTIME_DIR does not allow a socket at {endpoint}: {error.strerror}"
        ) from error
