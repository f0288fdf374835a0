"""The fork server that all printers' processes come from, when it fails."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pms.coordinator.child import Child
from tests.support.print_shop import parent_of
from tests.support.specs import worker_spec
from tests.support.waiting import wait_until

END_S = 20.0


def test_a_fork_server_that_cannot_fork_is_replaced(tmp_path: Path) -> None:
    spec = worker_spec(tmp_path, bus_endpoint=f"ipc://{tmp_path}/workers.sock")
    child = Child(spec)
    assert child.pid is not None
    resource.prlimit(parent_of(child.pid), resource.RLIMIT_NOFILE, (0, 0))
    with pytest.raises(OSError, match=r"fork server has ended|[Bb]roken pipe|reset"):
        Child(spec)
    wait_until(lambda: child.exit_code() is not None, END_S, "the end of its other children")
    child.close()

    another = Child(spec)
    assert another.exit_code() is None
    another.kill()
