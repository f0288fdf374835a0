"""Plugins that make a real OctoPrint unwell, for tests."""

from __future__ import annotations

import os
from pathlib import Path

from pms.demo.octoprint_server import OctoPrintServer

_HEAD = """\
__plugin_name__ = "Unwell"
__plugin_pythoncompat__ = ">=3,<4"
"""
_HELD_UP = """\
def wait(*arguments, **options):
    with open(GATE) as gate:
        gate.read()
    return []

__plugin_hooks__ = {"octoprint.access.permissions": wait}
"""
_FULL_DISK = """\
import psutil

_right_usage = psutil.disk_usage
psutil.disk_usage = lambda path: _right_usage(path)._replace(free=FREE_BYTES)
"""


def hold_up_start(server: OctoPrintServer) -> Path:
    """Let it stop in the middle of its start until somebody writes into the file that is given."""
    gate = server.folder / "gate"
    _install(server, "held_up", _HELD_UP.replace("GATE", repr(str(gate))))
    os.mkfifo(gate)
    return gate


def fill_disk(server: OctoPrintServer, free_bytes: int) -> None:
    """Let its disk look so full from its next start on."""
    _install(server, "full_disk", _FULL_DISK.replace("FREE_BYTES", str(free_bytes)))


def _install(server: OctoPrintServer, name: str, code: str) -> None:
    folder = server.folder / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(_HEAD + code)
