"""The commands that run until they are stopped: `start` and `demo`."""

from __future__ import annotations

import argparse

from pms.cli.session import read_settings


def start(_options: argparse.Namespace) -> int:
    """Run the coordinator; it sets up logging itself."""
    settings = read_settings()
    from pms.coordinator.service import run

    return run(settings)


def demo(options: argparse.Namespace) -> int:
    """Run the demo on simulated printers, or on virtual ones of real OctoPrint servers."""
    from pms.demo.run import run

    return run(options.printers, options.copies, with_octoprint=options.octoprint)
