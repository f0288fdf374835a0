"""Which files of PMS may go from an OctoPrint, by their names and dates."""

from __future__ import annotations

import pytest

from pms.domain.observation import FileFacts
from pms.domain.retention import expired

DAY_S = 86400.0
NOW = 20_000 * DAY_S
OURS = "pms/job-7_print-31_try-2.gcode"


def remaining(path: str, age_days: float | None, clock: float, retention_days: float) -> bool:
    uploaded_at = None if age_days is None else NOW - age_days * DAY_S
    file = FileFacts(path=path, size=1, sha1=None, uploaded_at=uploaded_at)
    gone = expired([file], clock=clock, retention_s=retention_days * DAY_S)
    assert gone in ([], [path])
    return not gone


@pytest.mark.parametrize(
    ("age_days", "retention_days", "stays"),
    [
        (0, 7, True),
        (6.99, 7, True),
        (7, 7, False),
        (400, 7, False),
        (0.4, 0.5, True),
        (0.6, 0.5, False),
        # From the future, or of nobody knows when.
        (-1, 7, True),
        (-400, 0.5, True),
        (None, 7, True),
        # As soon as it can.
        (0, 0, False),
        (-400, 0, False),
        (None, 0, False),
    ],
)
def test_age_decides(age_days: float | None, retention_days: float, stays: bool) -> None:
    assert remaining(OURS, age_days, NOW, retention_days) is stays


@pytest.mark.parametrize("off_by_days", [-20_000, -30, -0.04, 0.04, 30, 5000])
def test_octoprints_own_clock_counts_however_wrong_it_is(off_by_days: float) -> None:
    shift = off_by_days * DAY_S
    ages = {age: remaining(OURS, age - off_by_days, NOW + shift, 7) for age in (0.0, 6.9, 7.1)}
    assert ages == {0.0: True, 6.9: True, 7.1: False}


@pytest.mark.parametrize(
    "path",
    [
        "job-7_print-31_try-2.gcode",
        "pms/job-7_print-31_try-2.gco",
        "pms/job-7_print-31_try-2.gcode.bak",
        "pms/job-7_print-31_try-2 (copy).gcode",
        "pms/old/job-7_print-31_try-2.gcode",
        "other/pms/job-7_print-31_try-2.gcode",
        "pms/job-x_print-31_try-2.gcode",
        "pms/benchy.gcode",
        "pms/job-7_print-31_try-2.gcode\n",
        "PMS/job-7_print-31_try-2.gcode",
    ],
)
def test_what_bears_another_name_is_somebody_elses(path: str) -> None:
    assert remaining(path, 400, NOW, 7)
    assert remaining(path, 400, NOW, 0)


def test_each_file_is_judged_by_itself() -> None:
    files = [
        FileFacts(path=f"pms/job-1_print-{n}_try-1.gcode", size=1, sha1=None, uploaded_at=NOW - age)
        for n, age in enumerate([9 * DAY_S, 0.0, 8 * DAY_S])
    ]
    gone = expired(files, clock=NOW, retention_s=7 * DAY_S)
    assert gone == [files[0].path, files[2].path]
