"""The way to the database: transactions while it is there, patience while it is away."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from pms.domain.backoff import backoff_s
from pms.errors import (
    DatabaseClaimedError,
    DatabaseFullError,
    DatabaseUnavailableError,
    RefusedError,
)
from pms.store.database import Database

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 15.0
#: A session of our own that the server has not given up yet holds the claim for no longer.
CONTEST_PATIENCE_S = 30.0

#: On a full disk, what writes nothing succeeds in between: it is no sign of an end before then.
FULL_SETTLING_S = 5.0

T = TypeVar("T")


class Gate:
    """Runs transactions and remembers for how long it makes no sense to try another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failures = 0
        self._closed_until = 0.0
        self._full_until = 0.0
        self._ending = False
        self._contested_since: float | None = None
        self.state = "connected"

    def make_sure(self, now: float) -> None:
        """Stay the only coordinator on this database: call it before each round of transactions.

        Raises RefusedError when another one has had it for so long that it will not give way.
        """
        if not self.is_open(now):
            return
        try:
            self._database.claim()
        except DatabaseUnavailableError as error:
            if isinstance(error, DatabaseClaimedError):
                self._contest(error, now)
            self._close(error)
        else:
            self._contested_since = None

    def _contest(self, error: DatabaseClaimedError, now: float) -> None:
        if self._contested_since is None:
            self._contested_since = now
        if now - self._contested_since >= CONTEST_PATIENCE_S:
            raise RefusedError(f"{error}: it took over while this one was cut off, which ends now")

    def end(self) -> None:
        """From now on a database that is away is not tried again."""
        self._ending = True
        if self._failures:
            self._closed_until = float("inf")

    def is_open(self, now: float) -> bool:
        """Whether a transaction is worth a try; `now` in monotonic seconds."""
        return now >= self._closed_until

    @property
    def opens_at(self) -> float:
        """When the next try is due, monotonic seconds."""
        return self._closed_until

    def transact(self, work: Callable[[Connection], T], now: float) -> T | None:
        """Run `work` in a transaction; None: the database is away and nothing was done.

        `work` may be run again later for the same purpose, so it must not have effects
        outside of the database.
        """
        if not self.is_open(now) or self._contested_since is not None:
            return None
        try:
            with self._database.begin() as connection:
                result = work(connection)
        except DatabaseUnavailableError as error:
            self._close(error)
            return None
        if now >= self._full_until:
            self._reopen()
        return result

    def _close(self, error: DatabaseUnavailableError) -> None:
        self._failures += 1
        wait = backoff_s(self._failures, random.random(), cap=LONGEST_WAIT_S)
        # From now: a server that hangs has taken its time to fail.
        self._closed_until = time.monotonic() + max(0.5, wait)
        if self._ending:
            self._closed_until = float("inf")
        if isinstance(error, DatabaseFullError):
            self._full_until = self._closed_until + FULL_SETTLING_S
        if self._failures == 1:
            logger.warning("database_away", extra={"fields": {"error": str(error)}})
        self.state = str(error)

    def _reopen(self) -> None:
        if self._failures:
            logger.info("database_back", extra={"fields": {"tries": self._failures}})
        self._failures = 0
        self.state = "connected"
