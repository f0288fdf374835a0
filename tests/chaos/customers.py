"""OpenFarm's other services: store the G-code, insert the job, publish its payment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pika.exceptions
import psycopg

from tests.chaos.farm import Farm
from tests.chaos.plan import Order
from tests.support.gcode import Gcode, dwelling_gcode
from tests.support.waiting import wait_until

#: Copies that wait for each printer; a queue that only grows would be no news.
MOST_WAITING = 3
T = TypeVar("T")
WANTED, OVER = "wanted", "over"


@dataclass(frozen=True)
class Job:
    """A job that was paid for."""

    id: int
    copies: int
    model_id: int | None
    gcode: Gcode


class Customers:
    """A thread that carries out the orders of the plan."""

    def __init__(self, farm: Farm, orders: list[Order], duration_s: float) -> None:
        self._farm = farm
        self._orders = orders
        self._duration_s = duration_s
        self._began = 0.0
        self._thread = threading.Thread(target=self._run, name="customers", daemon=True)
        self.jobs: list[Job] = []

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        deeds: list[tuple[float, Callable[[], None]]] = []
        ids: dict[int, int] = {}
        for number, order in enumerate(self._orders):
            deeds.append((order.at, partial(self._order, ids, number, order)))
            for at in order.paid_at:
                deeds.append((at, partial(self._pay, ids, number)))
        self._began = time.monotonic()
        waiting = threading.Event()
        for at, deed in sorted(deeds, key=lambda each: each[0]):
            waiting.wait(max(0.0, self._began + at - time.monotonic()))
            deed()

    def _order(self, ids: dict[int, int], number: int, order: Order) -> None:
        """Order, once the farm is about to run out of work; too late is never."""
        answer = wait_until(
            self._is_over_or_wanted, self._duration_s + 10.0, "a short queue", interval_s=0.5
        )
        if answer == OVER:
            return
        gcode = dwelling_gcode(order.seconds, m0=order.m0)
        model_id = None if order.model is None else self._farm.models[order.model]
        job_id = _whatever_breaks(lambda: self._insert(order, model_id, gcode), "a job")
        _whatever_breaks(lambda: self._mark_as_paid(job_id), "its payment")
        ids[number] = job_id
        self.jobs.append(Job(job_id, order.copies, model_id, gcode))
        self._farm.history.note("job", job=job_id, copies=order.copies, model=model_id)

    def _is_over_or_wanted(self) -> str | None:
        if time.monotonic() > self._began + self._duration_s:
            return OVER
        with suppress(psycopg.Error), self._farm.openfarm() as openfarm:
            waiting = len(openfarm.rows("prints", print_status="pending"))
            return WANTED if waiting < MOST_WAITING * len(self._farm.printers) else None
        return None

    def _insert(self, order: Order, model_id: int | None, gcode: Gcode) -> int:
        """Insert a job, and let its file be there before anybody can see that it is paid.

        Where only the answer is lost, a row remains that nobody ever pays for.
        """
        with self._farm.openfarm() as openfarm:
            job_id = openfarm.add_job(
                copies=order.copies,
                model=model_id,
                finished_byte_pos=gcode.finished_byte_pos if order.marker_known else None,
                paid=False,
            )
            self._farm.files.put(job_id, gcode, with_length=job_id % 2 == 0)
        return job_id

    def _mark_as_paid(self, job_id: int) -> bool:
        with self._farm.openfarm() as openfarm:
            openfarm.update("print_jobs", job_id, paid=True)
        return True

    def _pay(self, ids: dict[int, int], number: int) -> None:
        """Publish as the payment service does, which only logs a failure."""
        job_id = ids.get(number)
        if job_id is None:
            return
        try:
            self._farm.broker.publish_job_paid(job_id)
        except (pika.exceptions.AMQPError, OSError):
            self._farm.history.note("payment", outcome="lost", job=job_id)
        else:
            self._farm.history.note("payment", outcome="published", job=job_id)


def _whatever_breaks(deed: Callable[[], T], what: str) -> T:
    """What the deed gives, once the database takes it."""
    return wait_until(
        deed, 60.0, f"{what} in the database", interval_s=0.2, ignoring=(psycopg.Error,)
    )
