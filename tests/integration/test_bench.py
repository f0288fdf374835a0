"""The benchmarks work: the cheapest rows, as small as can be, and rows that fail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench import machine, report
from bench.__main__ import run
from bench.report import BUDGETS, GROWTH, Results
from bench.rows import Row, chosen
from bench.scene import Scale, Servers
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitServer

PNG = b"\x89PNG"
LIMIT_S = 100.0
MACHINE = {"processor": "a computer"}


@pytest.fixture
def servers(postgres_server: PostgresServer, rabbitmq_server: RabbitServer) -> Servers:
    return Servers(postgres_server, rabbitmq_server)


def measured(rows: Sequence[Row], servers: Servers, folder: Path) -> Results:
    """What stands in the file afterwards."""
    results = Results(scale=Scale.SMOKE, machine=MACHINE, rows=[])
    run(rows, results, servers, time.monotonic() + LIMIT_S, folder)
    return msgspec.json.decode((folder / report.RESULTS).read_bytes(), type=Results)


def test_cheap_rows(servers: Servers, tmp_path: Path) -> None:
    rows = chosen(Scale.SMOKE, ["scheduling", "intake", "idle"])
    results = measured(rows, servers, tmp_path)

    assert [row.row for row in results.rows] == ["scheduling", "intake", "idle-2"]
    assert [row.error for row in results.rows] == [""] * 3
    assert all(row.figures for row in results.rows)
    page = (tmp_path / report.PAGE).read_text(encoding="utf-8")
    assert all(figure.what in page for figure in results.figures)
    for name in (GROWTH, BUDGETS):
        assert (tmp_path / name).read_bytes().startswith(PNG)


def test_a_row_that_takes_too_long_costs_no_other_row(servers: Servers, tmp_path: Path) -> None:
    good, slow = chosen(Scale.SMOKE, ["scheduling", "idle"])
    results = measured([replace(slow, limit_s=1.0), good], servers, tmp_path)

    assert [row.error for row in results.rows] == ["given up after 1 s", ""]
    assert [bool(row.figures) for row in results.rows] == [False, True]


def test_what_the_machine_is_like() -> None:
    facts = machine.describe()
    assert all(facts.values())
    assert "unknown" not in facts.values()
