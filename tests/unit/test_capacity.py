"""How many may receive a file or heat up at a time: who goes first, and why the others wait."""

from __future__ import annotations

import pytest

from pms.domain.capacity import Demand, Limits, admit
from pms.domain.scheduling import Assignment

NO_DEMAND = Demand()


def of_jobs(*jobs: int, priorities: dict[int, int] | None = None) -> list[Assignment]:
    """A copy of each of these jobs, in this order: 101 is the first of job 1, 102 its second."""
    copies: dict[int, int] = {}
    made = []
    for printer_id, job_id in enumerate(jobs, start=1):
        copies[job_id] = copies.get(job_id, 0) + 1
        priority = (priorities or {}).get(job_id, 0)
        made.append(Assignment(job_id * 100 + copies[job_id], job_id, printer_id, priority))
    return made


def admitted(
    assignments: list[Assignment], limits: Limits, demand: Demand = NO_DEMAND
) -> list[int]:
    return [assignment.print_id for assignment in admit(assignments, limits, demand).admitted]


@pytest.mark.parametrize(
    ("limits", "demand", "room"),
    [
        (Limits(), NO_DEMAND, 4),
        (Limits(), Demand(transfers={1: 100}, heating=100), 4),
        (Limits(transfers=8), NO_DEMAND, 4),
        (Limits(transfers=4), NO_DEMAND, 4),
        (Limits(transfers=3), NO_DEMAND, 3),
        (Limits(transfers=8), Demand(transfers={1: 3, 2: 4}), 1),
        (Limits(transfers=8), Demand(transfers={1: 8}), 0),
        # The limit was lowered, or a transfer that had stood still goes on.
        (Limits(transfers=8), Demand(transfers={1: 9}), 0),
        (Limits(heating=3), NO_DEMAND, 3),
        (Limits(heating=3), Demand(heating=2, transfers={1: 100}), 1),
        (Limits(heating=3), Demand(heating=5), 0),
        (Limits(transfers=8, heating=2), Demand(transfers={1: 1}), 2),
        (Limits(transfers=2, heating=8), Demand(heating=1), 2),
    ],
)
def test_no_more_than_there_is_room_for(limits: Limits, demand: Demand, room: int) -> None:
    assignments = of_jobs(1, 1, 2, 3)
    admission = admit(assignments, limits, demand)
    assert len(admission.admitted) == room
    # Every other copy is told why it waits.
    assert {a.print_id for a in assignments} == set(admission.reasons) | {
        a.print_id for a in admission.admitted
    }
    assert len(admission.reasons) == 4 - room


@pytest.mark.parametrize(
    ("jobs", "transfers", "order"),
    [
        ([1, 1, 1, 2, 3], {}, [101, 201, 301, 102, 103]),
        ([1, 1, 1, 1, 2], {}, [101, 201, 102, 103, 104]),
        ([2, 1, 2, 1], {}, [201, 101, 202, 102]),
        # Who has some under way already waits for the others.
        ([1, 1, 2, 2], {1: 1}, [201, 101, 202, 102]),
        ([1, 1, 2, 2], {1: 2}, [201, 202, 101, 102]),
        ([1, 2], {3: 5}, [101, 201]),
    ],
)
def test_jobs_take_turns(jobs: list[int], transfers: dict[int, int], order: list[int]) -> None:
    under_way = sum(transfers.values())
    for room in range(1, len(jobs)):
        limits = Limits(transfers=under_way + room)
        demand = Demand(transfers=transfers)
        assert admitted(of_jobs(*jobs), limits, demand) == order[:room]
        # It is the same turn where heating is what is scarce.
        assert admitted(of_jobs(*jobs), Limits(heating=room), demand) == order[:room]


@pytest.mark.parametrize(
    ("jobs", "priorities", "order"),
    [
        ([1, 1, 2], {1: 5}, [101, 102]),
        ([2, 1, 1], {1: 5}, [101, 102]),
        ([3, 1, 1, 2, 2], {1: 5, 2: 5}, [101, 201]),
        ([1, 2], {1: -1}, [201, 101]),
    ],
)
def test_a_job_of_higher_priority_need_not_share(
    jobs: list[int], priorities: dict[int, int], order: list[int]
) -> None:
    assignments = of_jobs(*jobs, priorities=priorities)
    room = min(2, len(jobs) - 1)
    assert admitted(assignments, Limits(transfers=room)) == order[:room]


def test_where_there_is_room_for_all_nothing_changes_places() -> None:
    assignments = of_jobs(1, 1, 1, 2)
    assert admit(assignments, Limits(transfers=4), NO_DEMAND).admitted == assignments


@pytest.mark.parametrize(
    ("limits", "demand", "reason"),
    [
        (Limits(transfers=8), Demand(transfers={1: 8}), "waits for one of 8 transfers"),
        (Limits(transfers=1), Demand(transfers={1: 1}), "waits for another transfer"),
        (Limits(heating=3), Demand(heating=3), "waits until one of 3 printers has heated up"),
        (Limits(heating=1), Demand(heating=1), "waits until another printer has heated up"),
        # What there is less room for.
        (
            Limits(transfers=8, heating=4),
            Demand(transfers={1: 1}, heating=4),
            "waits until one of 4 printers has heated up",
        ),
        (
            Limits(transfers=8, heating=20),
            Demand(transfers={1: 8}, heating=12),
            "waits for one of 8 transfers",
        ),
    ],
)
def test_a_copy_that_waits_has_a_reason_in_words(
    limits: Limits, demand: Demand, reason: str
) -> None:
    assert admit(of_jobs(1), limits, demand).reasons == {101: reason}
