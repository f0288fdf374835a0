"""Measured figures, the limits that they have to keep, and the statistics behind them."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

BOOTSTRAP_ROUNDS = 2_000
#: Ends of the interval that holds the true value with 95 % confidence.
CONFIDENCE = (0.025, 0.975)

Statistic = Literal["median", "p99", "highest", "ratio"]


class Unit(StrEnum):
    """What a figure counts."""

    SECONDS = "s"
    MEBIBYTES = "MiB"
    CORES = "cores"
    PER_SECOND = "a second"
    TIMES = "times"
    COUNT = ""


class Verdict(StrEnum):
    """Whether a figure keeps its limits."""

    MET = "met"
    MISSED = "missed"
    #: The interval of confidence holds the limit.
    OPEN = "undecided"
    NONE = ""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the budget: so much at most, or at least."""

    of: Statistic
    most: float | None = None
    least: float | None = None

    def keeps(self, value: float) -> bool:
        """Whether a value is within it."""
        too_much = self.most is not None and value > self.most
        too_little = self.least is not None and value < self.least
        return not (too_much or too_little)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured, and the least that it could be."""

    what: str
    unit: Unit
    median: float
    p99: float | None = None
    highest: float | None = None
    samples: int = 1
    #: How many printers there were, where that matters.
    printers: int | None = None
    #: The same, measured in the same run without PMS.
    floor: float | None = None
    floor_is: str = ""
    #: Of the median.
    interval: tuple[float, float] | None = None
    limits: tuple[Limit, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median by the floor."""
        return self.median / self.floor if self.floor else None

    @property
    def verdict(self) -> Verdict:
        verdicts = {self._judge(limit) for limit in self.limits}
        order = (Verdict.MISSED, Verdict.OPEN, Verdict.MET)
        return next((verdict for verdict in order if verdict in verdicts), Verdict.NONE)

    def value(self, of: Statistic) -> float | None:
        """The value that a limit is about."""
        value: float | None = getattr(self, of)
        return value

    def _judge(self, limit: Limit) -> Verdict:
        value = self.value(limit.of)
        if value is None:
            return Verdict.MISSED
        ends = self.interval if self.interval and limit.of == "median" else (value,)
        kept = {limit.keeps(end) for end in ends}
        if kept == {True}:
            return Verdict.MET
        return Verdict.MISSED if kept == {False} else Verdict.OPEN


def figure(
    what: str, unit: Unit, values: Sequence[float], *limits: Limit, **more: object
) -> Figure:
    """A figure of these samples; `more` are fields of Figure."""
    taken = sorted(values)
    plain = Figure(
        what=what,
        unit=unit,
        median=statistics.median(taken),
        p99=quantile(taken, 0.99) if len(taken) > 1 else None,
        highest=taken[-1],
        samples=len(taken),
        limits=limits,
    )
    return msgspec.structs.replace(plain, **more)


def at_most(value: float, of: Statistic = "median") -> Limit:
    return Limit(of=of, most=value)


def at_least(value: float, of: Statistic = "median") -> Limit:
    return Limit(of=of, least=value)


def quantile(taken: Sequence[float], share: float) -> float:
    """Of sorted values, the nearest one that so large a share does not exceed."""
    return taken[min(len(taken) - 1, int(len(taken) * share))]


def ratio_interval(
    numerators: Sequence[Sequence[float]], denominators: Sequence[Sequence[float]], seed: int = 1
) -> tuple[float, float]:
    """The 95 % interval of the ratio of two medians, by bootstrap.

    Samples come in turns, the same number on both sides. Those of one turn are alike, so turns are
    drawn first and then samples from them.
    """
    rng = random.Random(seed)
    turns = list(zip(numerators, denominators, strict=True))

    def drawn() -> float:
        chosen = rng.choices(turns, k=len(turns))
        above = [value for turn, _ in chosen for value in rng.choices(turn, k=len(turn))]
        below = [value for _, turn in chosen for value in rng.choices(turn, k=len(turn))]
        return statistics.median(above) / statistics.median(below)

    ratios = sorted(drawn() for _ in range(BOOTSTRAP_ROUNDS))
    low, high = (quantile(ratios, share) for share in CONFIDENCE)
    return low, high


def compare(
    what: str,
    action: Callable[[], object],
    floor: Callable[[], object],
    *limits: Limit,
    rounds: int,
    floor_is: str,
) -> Figure:
    """Measure the action and its floor in turns."""
    action()
    floor()
    pairs = [(_duration(action), _duration(floor)) for _ in range(rounds)]
    return figure(
        what,
        Unit.SECONDS,
        [taken for taken, _ in pairs],
        *limits,
        floor=statistics.median(least for _, least in pairs),
        floor_is=floor_is,
    )


def _duration(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
