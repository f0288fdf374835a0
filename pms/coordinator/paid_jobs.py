"""`JobPaid` messages and the sweep: from a payment to pending prints."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from pms import crash_points
from pms.broker.intake import Delivery
from pms.broker.messages import BadMessageError, decode_job_paid
from pms.coordinator.effects import Policy
from pms.coordinator.gate import Gate
from pms.mailbox import Mailbox
from pms.store import events, intake
from pms.store.intake import Intake, TakenIn

logger = logging.getLogger(__name__)

#: Messages that are taken in by one transaction.
BATCH = 200

#: Nothing can be done about a message for these before a person has done something.
_REFUSED = frozenset({TakenIn.UNKNOWN, TakenIn.BAD_COPIES})


class Acknowledger(Protocol):
    """The part of the broker's intake that answers deliveries."""

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Let the broker forget these."""

    def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Put one aside, with the reason."""


@dataclass(frozen=True, slots=True)
class _Payment:
    delivery: Delivery
    job_id: int


class PaidJobs:
    """Takes payments in; what could not be committed stays here until it can be."""

    def __init__(
        self, gate: Gate, policy: Policy, mailbox: Mailbox[Delivery], answers: Acknowledger | None
    ) -> None:
        self._gate = gate
        self._policy = policy
        self._mailbox = mailbox
        self._answers = answers
        self._waiting: list[_Payment] = []
        #: Jobs whose number of copies a person has been told to correct.
        self._complained: set[int] = set()

    @property
    def waits(self) -> bool:
        """Messages are at hand that the database has not taken yet."""
        return bool(self._waiting)

    def process(self, now: float, at: datetime) -> bool:
        """Take in what has come; True: there may be new prints."""
        for delivery in self._mailbox.drain():
            self._sort(delivery)
        created = False
        while self._waiting:
            batch = self._waiting[:BATCH]
            outcome = self._gate.transact(partial(self._take_in, batch, at), now)
            if outcome is None:
                break
            crash_points.reach("intake_committed")
            del self._waiting[:BATCH]
            self._answer(batch, outcome)
            created = created or any(taken.created for taken in outcome)
        return created

    def _sort(self, delivery: Delivery) -> None:
        try:
            self._waiting.append(_Payment(delivery, decode_job_paid(delivery.body)))
        except BadMessageError as error:
            self._put_aside(delivery, str(error))

    def _put_aside(self, delivery: Delivery, reason: str, job_id: int | None = None) -> None:
        extra = {"job_id": job_id, "fields": {"reason": reason}}
        logger.warning("job_paid_dead_lettered", extra=extra)
        if self._answers is not None:
            self._answers.dead_letter(delivery, reason)

    def _take_in(self, batch: list[_Payment], at: datetime, connection: Connection) -> list[Intake]:
        crash_points.reach("intake_begun")
        taken_in = take_in(connection, self._policy, [payment.job_id for payment in batch], at)
        by_job = {taken.job_id: taken for taken in taken_in}
        return [by_job[payment.job_id] for payment in batch]

    def _answer(self, batch: list[_Payment], outcome: list[Intake]) -> None:
        good = []
        for payment, taken in zip(batch, outcome, strict=True):
            if taken.outcome in _REFUSED:
                self._put_aside(payment.delivery, taken.detail, taken.job_id)
                self._note_complaint(taken)
            else:
                self.report(taken)
                good.append(payment.delivery)
        if self._answers is not None:
            self._answers.acknowledge(good)

    def sweep(self, connection: Connection, at: datetime) -> list[Intake]:
        """Find paid jobs whose message was lost and treat them as if it had come.

        Once the transaction is committed, `report` is to be called for each outcome.
        """
        lost = intake.paid_but_not_taken_in(connection)
        found = take_in(connection, self._policy, lost, at, old_news=self._complained)
        return [
            taken
            for taken in found
            if taken.outcome is not TakenIn.BAD_COPIES or taken.job_id not in self._complained
        ]

    def report(self, taken: Intake) -> None:
        """Log what became of a payment, and remember what has been complained about."""
        _log(taken)
        self._note_complaint(taken)

    def _note_complaint(self, taken: Intake) -> None:
        if taken.outcome is TakenIn.BAD_COPIES:
            self._complained.add(taken.job_id)
        else:
            self._complained.discard(taken.job_id)


def take_in(
    connection: Connection,
    policy: Policy,
    job_ids: Iterable[int],
    at: datetime,
    *,
    old_news: Collection[int] = (),
) -> list[Intake]:
    """Create paid jobs' prints and note it in the diary; no refusal of one that is `old_news`."""
    outcomes = intake.take_in(
        connection, job_ids, at, max_copies=policy.max_copies, reprints=policy.reprints
    )
    created = {o.job_id: f"{o.created} prints created" for o in outcomes if o.created}
    refused = {
        outcome.job_id: outcome.detail
        for outcome in outcomes
        if outcome.outcome is TakenIn.BAD_COPIES and outcome.job_id not in old_news
    }
    events.record_of_jobs(connection, at, "job_taken_in", created)
    events.record_of_jobs(connection, at, "attention", refused)
    return outcomes


def _log(taken: Intake) -> None:
    extra = {"job_id": taken.job_id, "fields": {"created": taken.created}}
    match taken.outcome:
        case TakenIn.CREATED:
            logger.info("job_taken_in", extra=extra)
        case TakenIn.ALREADY:
            logger.info("job_paid_again", extra=extra)
        case TakenIn.CLOSED:
            detail = {"reason": taken.detail}
            logger.warning("job_not_printed", extra={"job_id": taken.job_id, "fields": detail})
        case TakenIn.UNKNOWN | TakenIn.BAD_COPIES:
            detail = {"reason": taken.detail}
            logger.warning("job_refused", extra={"job_id": taken.job_id, "fields": detail})
