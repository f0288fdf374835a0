"""One child process of the coordinator: started through the fork server, signalled, reaped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess

from workers import process
from workers.spec import WorkerSpec

_context: ForkServerContext | None = None


def _fork_server() -> ForkServerContext:
    """The fork server forks from a process that has every import done and no thread."""
    global _context  # noqa: PLW0603
    if _context is None:
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(list(process.PRELOADED))
    return _context


@contextmanager
def _without_program() -> Iterator[None]:
    """A child would run the program's file again, for 2 MiB of its own that nothing there needs.

    It does not where the main module has no file, as at Python's prompt.
    """
    main = vars(sys.modules["__main__"])
    file = main.pop("__file__", None)
    try:
        yield
    finally:
        if file is not None:
            main["__file__"] = file


def _leave_to_us(child: ForkServerProcess) -> None:
    """Keep it from being asked after whenever another one starts.

    The library does that with every child that it knows, which takes seconds when hundreds start.
    """
    known: set[object] = getattr(multiprocessing.process, "_children", set())
    known.discard(child)


class Child:
    """A running process of a printer."""

    def __init__(self, spec: WorkerSpec) -> None:
        """Start it; raises OSError when that cannot be done now."""
        self.spec = spec
        self._process: ForkServerProcess = _fork_server().Process(
            target=process.main, args=(spec,), name=spec.identity
        )
        try:
            with _without_program():
                self._process.start()
        except EOFError as error:
            raise OSError("the fork server has ended, as it does when it cannot fork") from error
        _leave_to_us(self._process)

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """Descriptor that becomes readable when the process ends."""
        return self._process.sentinel

    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.is_alive() and self._process.pid is not None:
            try:
                os.kill(self._process.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End the process by force and reap it."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Release what the ended process leaves behind."""
        self._process.join(timeout=1.0)
        self._process.close()
