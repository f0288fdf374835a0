"""A short piece of the chaos, the same in every run of the tests."""

from __future__ import annotations

import pytest

from tests.chaos import report
from tests.chaos.run import run

SEED = 7
SECONDS = 40.0


@pytest.mark.timeout(480)
def test_no_copy_is_lost_and_none_starts_twice() -> None:
    verdict = run(SEED, SECONDS, printers=3)
    assert not verdict.violations, "\n".join([*report.lines(verdict), f"logs: {verdict.folder}"])
