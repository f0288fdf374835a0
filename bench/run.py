"""Runs rows one after the other, each in a process of its own that cannot hurt the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.figures import Figure
from bench.row import SCENE, read_figures
from bench.rows import Row
from bench.scene import Scale, Scene, Servers
from pms.demo.children import kill_child, log_tail, start_child
from tests.support.postgres import PostgresServer
from tests.support.processes import end, process_tree
from tests.support.rabbitmq import RabbitServer

ROOT = Path(__file__).parents[1]
#: With less time left, no row is begun.
SHORTEST_S = 1.0
#: Logs of rows that failed.
FAILED = ROOT / "build" / "bench"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a row."""

    row: str
    date: str
    seconds: float
    figures: list[Figure]
    #: Why it ended early; empty when it did not.
    error: str = ""


@contextmanager
def servers() -> Iterator[Servers]:
    """Of the run's own, with a PostgreSQL whose commits are on the disk."""
    postgres, rabbitmq = PostgresServer(durable=True), RabbitServer()
    try:
        postgres.start()
        rabbitmq.start()
        yield Servers(postgres, rabbitmq)
    finally:
        rabbitmq.close()
        postgres.close()


def measure(
    rows: Sequence[Row], scale: Scale, servers: Servers, deadline: float
) -> Iterator[Measured]:
    """Whatever fails, the other rows are measured; `deadline` is in monotonic seconds."""
    for row in rows:
        date, began = datetime.now(UTC), time.monotonic()
        limit_s = min(row.limit_s, deadline - began)
        figures, error = _measure(row, scale, servers, limit_s)
        yield Measured(
            row=row.name,
            date=date.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - began, 1),
            figures=figures,
            error=error,
        )


def _measure(row: Row, scale: Scale, servers: Servers, limit_s: float) -> tuple[list[Figure], str]:
    if limit_s < SHORTEST_S:
        return [], "not begun: the run's time was up"
    shutil.rmtree(FAILED / row.name, ignore_errors=True)
    # Short, for the paths of sockets.
    folder = Path(tempfile.mkdtemp(prefix="pms-bench-"))
    try:
        scene = servers.set_scene(scale, folder)
        error = _carry_out(row, scene, limit_s)
        servers.clear(scene)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    figures = read_figures(folder)
    if error:
        _keep_logs(row, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return figures, error


def _carry_out(row: Row, scene: Scene, limit_s: float) -> str:
    """Run the row's process to its end; gives what went wrong."""
    (scene.folder / SCENE).write_bytes(msgspec.json.encode(scene))
    log = scene.folder / "row.log"
    process = start_child(
        [sys.executable, "-m", "bench.row", row.name, scene.folder],
        folder=ROOT,
        log=log,
        environment=os.environ | {"TMPDIR": str(scene.folder)},
    )
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"given up after {limit_s:.3g} s"
    finally:
        pids = process_tree(process.pid)
        kill_child(process)
        end(pids)
    return "" if code == 0 else log_tail(log, 1)


def _keep_logs(row: Row, folder: Path) -> None:
    kept = FAILED / row.name
    kept.mkdir(parents=True)
    for log in folder.rglob("*.log"):
        shutil.copyfile(log, kept / "-".join(log.relative_to(folder).parts))
