"""The OctoPrint that a command of `pms-probe` talks to."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pms.cli.probe_target import Target, resolve_target
from pms.cli.session import read_settings
from pms.config import Settings
from pms.domain.observation import Observation
from pms.errors import PMSError
from workers.octoprint_console import Console

LOOK_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class ProbeSession:
    """What a command works with."""

    octoprint: Console
    target: Target
    settings: Settings

    @property
    def name(self) -> str:
        """What people call the printer."""
        return self.target.name or self.octoprint.address

    def wait(
        self,
        reached: Callable[[Observation, float], bool],
        timeout_s: float,
        path: str | None = None,
    ) -> Observation:
        """Look until an order has had its effect; OctoPrint takes one before that.

        `reached` is given each look, with the facts about `path`, and the seconds since the
        first one. Raises PMSError when the time is over.
        """
        began_at = time.monotonic()
        while True:
            seen = self.octoprint.look(path)
            waited_s = time.monotonic() - began_at
            if reached(seen, waited_s):
                return seen
            if waited_s > timeout_s:
                why = f": {seen.error}" if seen.error else ""
                raise PMSError(
                    f"{self.name} has taken the order, but is still {seen.state_text} after "
                    f"{timeout_s:.0f} s{why}"
                )
            time.sleep(LOOK_INTERVAL_S)


@contextmanager
def open_session(options: argparse.Namespace) -> Iterator[ProbeSession]:
    """The OctoPrint that the options name; nothing is sent yet."""
    settings = read_settings()
    target = resolve_target(options)
    with Console(target.address, target.api_key, settings.http_timeout_s) as octoprint:
        yield ProbeSession(octoprint, target, settings)
