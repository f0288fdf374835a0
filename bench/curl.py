"""The floor of a start: the same file downloaded, uploaded and started by hand, with curl."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.farm import Reachable
from tests.support.programs import find_program

TIMEOUT_S = 60.0


def start(server: Reachable, gcode_url: str, name: str, folder: Path) -> None:
    """Print what `gcode_url` gives, under this file name; `folder` is free for a copy of it."""
    file, nowhere = folder / name, Path(os.devnull)
    files = f"{server.url}/api/files/local"
    # Without this header, curl waits before it sends a large body.
    key = ("--header", f"X-Api-Key: {server.api_key}", "--header", "Expect:")
    _curl(file, gcode_url)
    _curl(nowhere, *key, "--form", f"file=@{file};filename={name}", files)
    _curl(nowhere, *key, "--json", '{"command": "select", "print": true}', f"{files}/{name}")
    file.unlink()


def _curl(output: Path, *arguments: str) -> None:
    options = ("--silent", "--fail", "--output", str(output))
    command = [str(find_program("curl")), *options, *arguments]
    subprocess.run(command, check=True, timeout=TIMEOUT_S)
