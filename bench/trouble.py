"""What happens to a simulated farm: printers fail at random, and a person sees to what is left."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pms.bus import control
from pms.errors import PMSError
from tests.chaos.operator import AT_REST, what_to_do
from tests.support.farm import Farm
from tests.support.simulator import Simulator

TROUBLE_INTERVAL_S = 1.0
#: How long a fault lasts.
FAULT_S = 5.0
LOOK_INTERVAL_S = 0.5

FAULTS: tuple[dict[str, Any], ...] = (
    {"hang": True},
    {"refuse": True},
    {"status": 500},
    {"latency_s": 0.5},
    {"lose_answers": 2},
    {"silent_push": True},
)
ACTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("error", {}),
    ("drop", {}),
    ("restart", {"down_s": 2.0}),
    ("cut-push", {}),
    ("end-sessions", {}),
)


class Trouble:
    """Once a second something happens to one of the failing printers."""

    def __init__(self, simulated: Simulator, failing: Sequence[int], seed: int) -> None:
        self.count = 0
        self._simulated = simulated
        self._failing = failing
        self._random = random.Random(seed)
        self._heal_at: dict[int, float] = {}

    @contextmanager
    def about(self) -> Iterator[None]:
        """For the time of the block; after it, all is well."""
        with _repeating(self._strike, TROUBLE_INTERVAL_S):
            yield
        self._simulated.set_faults()

    def _strike(self) -> None:
        now = time.monotonic()
        for number, at in list(self._heal_at.items()):
            if now >= at:
                self._simulated.set_faults(number)
                del self._heal_at[number]
        number = self._random.choice(self._failing)
        self.count += 1
        if self._random.random() < 0.5:
            self._simulated.set_faults(number, **self._random.choice(FAULTS))
            self._heal_at[number] = now + FAULT_S
        else:
            action, arguments = self._random.choice(ACTIONS)
            self._simulated.act(action, number, **arguments)


class Person:
    """Looks at the status all the time, and clears beds, but only of printers that stand still."""

    def __init__(self, farm: Farm, simulated: Simulator) -> None:
        #: How long the coordinator took for each status.
        self.answers_s: list[float] = []
        self._farm = farm
        self._simulated = simulated

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For the time of the block."""
        with _repeating(self._walk, LOOK_INTERVAL_S):
            yield

    def _walk(self) -> None:
        began = time.monotonic()
        status = self._farm.status()
        self.answers_s.append(time.monotonic() - began)
        doubtful = {item["printer_id"] for item in status["attention"] if "printer_id" in item}
        waiting = [
            shown for shown in status["printers"] if what_to_do(shown, shown["id"] in doubtful)
        ]
        if waiting:
            self._clear(waiting)

    def _clear(self, waiting: Sequence[dict[str, Any]]) -> None:
        states = {server_name(seen["number"]): seen["state"] for seen in self._simulated.state()}
        for shown in waiting:
            if states[shown["name"]] in AT_REST:
                clear = control.Clear(printer=shown["name"], print_id=shown["print_id"])
                try:
                    self._farm.ask(clear)
                except PMSError:
                    # Not yet; it is seen again in the next round.
                    continue


def server_name(number: int) -> str:
    """What a simulated printer is called in OpenFarm."""
    return f"sim{number}"


@contextmanager
def _repeating(action: Callable[[], None], interval_s: float) -> Iterator[None]:
    """Do something again and again in a thread; an error of it is raised when the block ends."""
    over = threading.Event()
    errors: list[Exception] = []

    def repeat() -> None:
        while not over.wait(interval_s):
            try:
                action()
            except Exception as error:
                errors.append(error)
                return

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]
