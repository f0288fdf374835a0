"""Free TCP ports that no other test run on this machine takes in the meantime."""

from __future__ import annotations

import random
import socket

from pms.demo.octoprint_server import HOST
from pms.demo.parks import FIRST_PORT, LAST_PORT, is_free

__all__ = ["HOST", "free_port", "is_free"]

# Held until this process ends, however it ends.
_reservations: list[socket.socket] = []


def free_port() -> int:
    """Give a port that nobody listens on, reserved for as long as this process lives.

    Servers may be stopped and started on it again.
    """
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)
        if is_free(port) and _reserve(port):
            return port


def _reserve(port: int) -> bool:
    """Hold an abstract socket named after the port: a lock that needs no file."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0pms-test-port-{port}")
    except OSError:
        lock.close()
        return False
    _reservations.append(lock)
    return True
