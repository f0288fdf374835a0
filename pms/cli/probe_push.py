"""OctoPrint's push connection for a command, which waits for what comes over it."""

from __future__ import annotations

import functools
import select
from types import TracebackType

from pms.cli.probe_target import Target
from pms.mailbox import Mailbox
from workers.push import PushListener
from workers.push_console import ConsoleConnection, ConsoleStimulus


class Push:
    """Listens from `with` on, in a thread of its own, and comes back after every failure."""

    def __init__(self, target: Target) -> None:
        self._mailbox: Mailbox[ConsoleStimulus] = Mailbox()
        self._listener = PushListener(
            target.address,
            target.api_key,
            self._mailbox.put,
            make_connection=functools.partial(ConsoleConnection, report=self._mailbox.put),
        )

    def __enter__(self) -> Push:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.stop()
        self._mailbox.close()

    @property
    def problem(self) -> str:
        """Why the last connection ended or could not be made; empty before that."""
        return self._listener.problem

    def wait(self, timeout_s: float) -> list[ConsoleStimulus]:
        """What has come, or comes first within so many seconds; perhaps nothing."""
        select.select([self._mailbox], [], [], max(0.0, timeout_s))
        return self._mailbox.drain()
