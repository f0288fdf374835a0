"""What the fork server does ahead for the printers' processes must leave nothing open in it."""

from __future__ import annotations

import threading
from pathlib import Path

from urllib3.util import connection

from workers.warm_up import warm_up


def test_nothing_of_the_conversation_stays_open() -> None:
    descriptors, threads = _descriptors(), threading.enumerate()
    warm_up()
    assert _descriptors() == descriptors
    assert threading.enumerate() == threads


def test_connections_are_real_ones_again() -> None:
    real = connection.create_connection
    warm_up()
    assert connection.create_connection is real


def _descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}
