"""Child processes that cannot outlive this process, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)

# Linux sends the signal when the *thread* that started the child ends. This one lives
# until the interpreter shuts down, so a child may be asked for from any thread.
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-launcher")


def start_child(
    command: Sequence[str | os.PathLike[str]],
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program in `folder` with its output appended to `log`.

    The child is in a session of its own, so that a Ctrl-C at the terminal reaches only us,
    and gets `death_signal` when we end. `user` and `group` are for a root that must not
    be one. Raises OSError when the program cannot be started.
    """
    parent = os.getpid()

    def launch() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                preexec_fn=lambda: _die_with(parent, death_signal),  # noqa: PLW1509
            )

    return _launcher.submit(launch).result()


def stop_child(
    process: subprocess.Popen[bytes], timeout_s: float, number: signal.Signals = signal.SIGTERM
) -> None:
    """End a child in its regular way, by force when that takes longer than `timeout_s`."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        kill_child(process)


def kill_child(process: subprocess.Popen[bytes]) -> None:
    """End a child as a power cut would."""
    process.kill()
    process.wait()


def log_tail(log: Path, lines: int = 20) -> str:
    """Give the end of a log for an error's text; empty when there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _die_with(parent: int, number: signal.Signals) -> None:
    """Ask Linux, in the child before exec, for a signal when the parent is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it went before we could ask
        os._exit(1)
