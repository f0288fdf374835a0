"""On what machine and with which versions a run was made."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pms.demo.octoprint_server import find_octoprint
from tests.support.programs import debian_folders, find_program

LIBRARIES = ("msgspec", "pika", "psycopg", "pyzmq", "requests", "SQLAlchemy", "websocket-client")
TIMEOUT_S = 30.0


def describe() -> dict[str, str]:
    """The machine, what ran on it, and how busy it was before."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": f"{len(os.sched_getaffinity(0))} of {_processor()}",
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "PMS": f"{version('printer-management-service')}, {_commit()}",
        "Python": platform.python_version(),
        "PostgreSQL": _said(find_program("postgres", *debian_folders("postgresql/*/bin"))),
        "RabbitMQ": _rabbitmq(),
        "OctoPrint": _said(find_octoprint()),
        "curl": _said(find_program("curl")),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    with suppress(OSError):
        command = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or "no repository"
    return "no git"


def _said(program: Path) -> str:
    """The version that a program tells of itself: the first word with digits and dots."""
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    words = done.stdout.replace(",", " ").split()
    return next((word for word in words if word[0].isdigit() and "." in word), "unknown")


def _rabbitmq() -> str:
    # Asking its tools takes seconds.
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return found[-1].name.partition("-")[2] if found else "unknown"
