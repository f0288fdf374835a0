"""The OctoPrint that a command of `pms-probe` talks to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pms.cli.probe_target import Target, resolve_target
from pms.cli.session import read_settings
from pms.config import Settings
from workers.octoprint_console import Console


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


@contextmanager
def open_session(options: argparse.Namespace) -> Iterator[ProbeSession]:
    """The OctoPrint that the options name; nothing is sent yet."""
    settings = read_settings()
    target = resolve_target(options)
    with Console(target.address, target.api_key, settings.http_timeout_s) as octoprint:
        yield ProbeSession(octoprint, target, settings)
