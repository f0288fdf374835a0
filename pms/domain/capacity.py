"""What the printers share: how many may take in a file, or heat up, at the same time.

It is decided when a copy is given to a printer, so that nothing has to be held back later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pms.domain.scheduling import Assignment


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many may do it at a time over the whole farm; None: any number."""

    transfers: int | None = None
    heating: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What is under way already."""

    #: Transfers of each job.
    transfers: Mapping[int, int] = field(default_factory=dict)
    #: Printers that heat up, or are going to with the copy that they were given.
    heating: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """The assignments for which there is room, and why the other copies wait."""

    admitted: list[Assignment]
    reasons: dict[int, str]


def admit(assignments: Sequence[Assignment], limits: Limits, demand: Demand) -> Admission:
    """Let through what the limits leave room for.

    Jobs of the highest priority come first; of these the one with the fewest transfers under
    way, so that a job of many copies does not keep the others waiting.
    """
    scarce = _scarcest(limits, demand)
    if scarce is None or scarce.free >= len(assignments):
        return Admission(list(assignments), {})
    in_turn = _in_turn(assignments, demand.transfers)
    waiting = in_turn[scarce.free :]
    reasons = {assignment.print_id: scarce.reason for assignment in waiting}
    return Admission(in_turn[: scarce.free], reasons)


@dataclass(frozen=True, slots=True)
class _Room:
    """How many more there is room for, and the words for those that have to wait."""

    free: int
    reason: str


def _scarcest(limits: Limits, demand: Demand) -> _Room | None:
    rooms = []
    if limits.transfers is not None:
        free = limits.transfers - sum(demand.transfers.values())
        rooms.append(_Room(max(0, free), f"waits for {_one_of(limits.transfers, 'transfer')}"))
    if limits.heating is not None:
        words = f"waits until {_one_of(limits.heating, 'printer')} has heated up"
        rooms.append(_Room(max(0, limits.heating - demand.heating), words))
    return min(rooms, key=lambda room: room.free, default=None)


def _one_of(number: int, noun: str) -> str:
    return f"another {noun}" if number == 1 else f"one of {number} {noun}s"


def _in_turn(assignments: Sequence[Assignment], under_way: Mapping[int, int]) -> list[Assignment]:
    turns = Counter(under_way)
    ranks = []
    for position, assignment in enumerate(assignments):
        ranks.append((-assignment.priority, turns[assignment.job_id], position))
        turns[assignment.job_id] += 1
    return [assignments[position] for *_, position in sorted(ranks)]
