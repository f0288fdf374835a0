"""The least that a process for each printer costs: `python -m bench.bare_children COUNT`.

Forked from a fork server with the same imports as PMS's, they do nothing. A program of its own,
since a child imports the main module of the process that asks for it.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from multiprocessing.connection import Connection

from bench.usage import pss_mib
from workers.process import PRELOADED

TIMEOUT_S = 60.0


def bare_child_mib(count: int) -> float:
    """Memory of each of so many children, measured by another process."""
    command = [sys.executable, "-m", "bench.bare_children", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return float(done.stdout)


def main() -> int:
    """Print the figure."""
    count = int(sys.argv[1])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    ours, theirs = multiprocessing.Pipe()
    children = [context.Process(target=_wait, args=(theirs,), daemon=True) for _ in range(count)]
    for child in children:
        child.start()
    for _ in children:
        ours.recv()
    print(pss_mib(child.pid or 0 for child in children) / count)
    return 0


def _wait(parent: Connection) -> None:
    """Until the parent ends."""
    parent.send(True)
    parent.recv()


if __name__ == "__main__":
    sys.exit(main())
