"""The fork server that all printers' processes come from, when it fails."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pms.coordinator.child import Child
from tests.support.print_shop import parent_of
from tests.support.specs import worker_spec
from tests.support.waiting import wait_until
from workers.process import NICENESS

END_S = 20.0
ROOT = Path(__file__).parents[2]


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


def test_a_child_does_not_run_the_program_again(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "os.write(1, b'run;')\n"
        "if __name__ == '__main__':\n"
        "    from pathlib import Path\n"
        "    from pms.coordinator.child import Child\n"
        "    from tests.support.specs import worker_spec\n"
        "    from tests.support.waiting import wait_until\n"
        "    folder = Path(__file__).parent\n"
        "    child = Child(worker_spec(folder, bus_endpoint=f'ipc://{folder}/workers.sock'))\n"
        "    log = folder / 'log'\n"
        "    wait_until(lambda: 'worker_started' in log.read_text(), 20.0, 'the child')\n"
        "    child.kill()\n"
        "    assert __file__ == str(folder / 'program.py')\n"
    )
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, program],
            check=True,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=END_S,
        )
    assert done.stdout == b"run;"


def test_the_library_does_not_poll_all_children_when_another_one_starts(tmp_path: Path) -> None:
    child = Child(worker_spec(tmp_path, bus_endpoint=f"ipc://{tmp_path}/workers.sock"))
    assert multiprocessing.active_children() == []
    assert child.exit_code() is None
    child.kill()


def test_a_child_gives_way_to_the_coordinator(tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    child = Child(worker_spec(tmp_path, bus_endpoint=f"ipc://{tmp_path}/workers.sock"))
    assert child.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(own + NICENESS, 19)
    child.kill()
