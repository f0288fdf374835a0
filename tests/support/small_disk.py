"""An OctoPrint whose disk is small enough to be filled."""

from __future__ import annotations

import shlex
from pathlib import Path

from pms.demo.octoprint_server import OctoPrintServer


def on_small_disks(octoprint: Path, script: Path, **megabytes: int) -> Path:
    """Write a program like `octoprint` whose folders of these names are disks of such a size.

    They are mounted for its process alone, and are gone with it. That takes root, as in CI.
    """
    mounts = [
        f"mkdir -p {name} && mount -t tmpfs -o size={size}m tmpfs {name} &&"
        for name, size in megabytes.items()
    ]
    inside = shlex.quote(f'{" ".join(mounts)} exec {shlex.quote(str(octoprint))} "$@"')
    script.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {inside} octoprint "$@"\n')
    script.chmod(0o755)
    return script


def disk_of(server: OctoPrintServer, name: str) -> Path:
    """A folder of a server as the server itself sees it."""
    return Path(f"/proc/{server.pid}/root{server.folder / name}")
