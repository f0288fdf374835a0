"""What a run will bring, drawn from its seed before it begins: the same seed, the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.proxy import Mode

#: Mean seconds between two faults, and between two jobs.
FAULT_INTERVAL_S = 1.5
JOB_INTERVAL_S = 4.5
#: Nothing breaks before the printers had a moment to get to work.
FIRST_FAULT_S = 3.0
#: Long enough for PMS's processes to give up a coordinator that hangs.
VERY_LONG_FREEZE_S = 34.0


class Kind(StrEnum):
    """Everything that is broken on purpose."""

    WORKER_KILLED = "worker killed"
    WORKER_FROZEN = "worker frozen"
    COORDINATOR_KILLED = "coordinator killed"
    COORDINATOR_FROZEN = "coordinator frozen"
    COORDINATOR_STOPPED = "coordinator stopped"
    RABBITMQ_DOWN = "RabbitMQ down"
    POSTGRES_DOWN = "PostgreSQL down"
    OCTOPRINT_KILLED = "OctoPrint killed"
    OCTOPRINT_STOPPED = "OctoPrint stopped"
    OCTOPRINT_FROZEN = "OctoPrint frozen"
    PRINTER_DISCONNECTED = "printer disconnected"
    PRINTER_ERROR = "printer in error"
    NETWORK_REFUSES = "network refuses"
    NETWORK_RESETS = "network resets"
    NETWORK_SWALLOWS = "network swallows"
    NETWORK_HOLDS = "network holds back"
    NETWORK_THROTTLES = "network throttles"
    NETWORK_CUTS = "network cuts answers"
    CLOCK_STEPPED = "clock stepped"


#: How often each kind comes in every round of the bag, and for how long: shortest, longest.
_BAG: dict[Kind, tuple[int, float, float]] = {
    Kind.WORKER_KILLED: (3, 0, 0),
    Kind.WORKER_FROZEN: (2, 1, 12),
    Kind.COORDINATOR_KILLED: (2, 0, 0),
    Kind.COORDINATOR_FROZEN: (1, 1, 12),
    Kind.COORDINATOR_STOPPED: (1, 0, 0),
    Kind.RABBITMQ_DOWN: (1, 1, 6),
    Kind.POSTGRES_DOWN: (1, 1, 6),
    Kind.OCTOPRINT_KILLED: (2, 0, 5),
    Kind.OCTOPRINT_STOPPED: (1, 0, 5),
    Kind.OCTOPRINT_FROZEN: (1, 1, 12),
    Kind.PRINTER_DISCONNECTED: (2, 0, 0),
    Kind.PRINTER_ERROR: (1, 0, 0),
    Kind.NETWORK_REFUSES: (2, 1, 6),
    Kind.NETWORK_RESETS: (4, 0, 0),
    Kind.NETWORK_SWALLOWS: (3, 2, 12),
    Kind.NETWORK_HOLDS: (3, 1, 12),
    Kind.NETWORK_THROTTLES: (2, 2, 8),
    Kind.NETWORK_CUTS: (3, 1, 6),
    Kind.CLOCK_STEPPED: (2, 0, 0),
}

MODES = {
    Kind.NETWORK_REFUSES: Mode.REFUSE,
    Kind.NETWORK_SWALLOWS: Mode.SWALLOW,
    Kind.NETWORK_HOLDS: Mode.HOLD,
    Kind.NETWORK_THROTTLES: Mode.THROTTLE,
    Kind.NETWORK_CUTS: Mode.CUT,
}

_NETWORK = frozenset(MODES) | {Kind.NETWORK_RESETS}
_SERVERS = ("rabbitmq", "postgres", "files")
#: Seconds by which the clock of PMS's machine may be wrong after a step.
_CLOCK_OFFSETS_S = (0, 2, -2, 90, -90, 3600, -3600)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that breaks; `at` and `duration_s` in seconds, `at` since the run's begin."""

    at: float
    kind: Kind
    #: Index of the printer that it is about.
    printer: int
    #: Name of the proxy that it is about.
    link: str
    duration_s: float
    #: Bytes a second, where that matters.
    rate: int
    #: Ends a server by force instead of by its own means.
    by_force: bool
    #: How far PMS's clock is ahead of the true time afterwards, in seconds.
    clock_offset_s: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job of a customer's."""

    at: float
    copies: int
    #: Index of the printer model; None: any.
    model: int | None
    seconds: float
    #: The file holds the part at an M0, and OpenFarm knows where that is.
    m0: bool
    marker_known: bool
    #: When its JobPaid is published; empty: never.
    paid_at: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run brings, each list in the order of time."""

    seed: int
    duration_s: float
    faults: list[Fault]
    orders: list[Order]


#: What ends the coordinator's process.
ENDS_OF_COORDINATOR = frozenset({Kind.COORDINATOR_KILLED, Kind.COORDINATOR_STOPPED})


def draw(
    seed: int,
    duration_s: float,
    printers: int,
    models: int,
    spared: frozenset[Kind] = frozenset(),
) -> Plan:
    """Draw a plan for a farm of this size, without the faults that are spared."""
    return Plan(
        seed=seed,
        duration_s=duration_s,
        faults=[
            fault
            for fault in _faults(random.Random(f"{seed} faults"), duration_s, printers)
            if fault.kind not in spared
        ],
        orders=list(_orders(random.Random(f"{seed} orders"), duration_s, models)),
    )


def _faults(source: random.Random, duration_s: float, printers: int) -> Iterator[Fault]:
    kinds = _kinds(source)
    at = FIRST_FAULT_S
    while at < duration_s:
        kind = next(kinds)
        _, shortest, longest = _BAG[kind]
        printer = source.randrange(printers)
        others = kind in _NETWORK and source.random() < 0.4
        duration = source.uniform(shortest, longest)
        if kind is Kind.COORDINATOR_FROZEN and duration_s > 600 and source.random() < 0.15:
            duration = VERY_LONG_FREEZE_S
        yield Fault(
            at=at,
            kind=kind,
            printer=printer,
            link=source.choice(_SERVERS) if others else f"printer{printer}",
            duration_s=duration,
            rate=source.choice((100, 1000, 10_000)),
            by_force=source.random() < 0.5,
            clock_offset_s=source.choice(_CLOCK_OFFSETS_S),
        )
        at += source.expovariate(1 / FAULT_INTERVAL_S)


def _kinds(source: random.Random) -> Iterator[Kind]:
    """Every kind comes in each round, so that a short run has met most of them."""
    while True:
        bag = [kind for kind, (times, _, _) in _BAG.items() for _ in range(times)]
        source.shuffle(bag)
        yield from bag


def _orders(source: random.Random, duration_s: float, models: int) -> Iterator[Order]:
    at = 0.0
    while at < duration_s - 5.0:
        yield Order(
            at=at,
            copies=source.choice((1, 1, 2, 2, 3, 4)),
            model=source.choice((None, None, *range(models))),
            seconds=source.uniform(2.0, 6.0),
            m0=source.random() < 0.75,
            marker_known=source.random() < 0.8,
            paid_at=_payments(source, at),
        )
        at += source.expovariate(1 / JOB_INTERVAL_S)


def _payments(source: random.Random, at: float) -> tuple[float, ...]:
    chance = source.random()
    if chance < 0.1:
        return ()
    if chance < 0.3:
        return (at, at + source.uniform(0.0, 8.0))
    return (at,)
