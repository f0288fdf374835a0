"""A whole check of one OctoPrint, layer by layer, from the address up to an upload.

Nothing in it can disturb a print: a file is stored and deleted in a folder of the check's own, and
everything else only asks.
"""

from __future__ import annotations

from collections.abc import Generator

from pms.probe.inside import Inside
from pms.probe.steps import Step, StepResult, take_steps
from pms.probe.trial import Trial, left_out
from pms.probe.way import Way


def take_check(
    address: str, api_key: str, timeout_s: float, *, write: bool
) -> Generator[StepResult, None, None]:
    """Give the result of each step as soon as it is known.

    No answer is waited for longer than `timeout_s`. Closing the iterator ends the check, which then
    takes away what it has stored.
    """
    way = Way(address, timeout_s)
    inside = Inside(way, api_key, timeout_s)
    trial = Trial(inside, timeout_s)
    steps: list[Step] = [*way.steps(), *inside.steps()]
    steps += trial.steps() if write else left_out()
    try:
        yield from take_steps(steps)
    finally:
        trial.clean_up()
        inside.close()
