"""Which reports make copies wait that did not before, and of which OpenFarm may be told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pms.bus import messages as bus
from pms.bus.messages import Event
from pms.coordinator.reports import announces, requeues
from pms.domain.states import PrinterState, TransferProblem

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "requeued"),
    [
        (bus.PrinterReady(at=AT, pid=1), False),
        (bus.PrinterStateChanged(at=AT, state=PrinterState.IDLE), False),
        (bus.TransferFinished(at=AT, attempt_id=1), False),
        (
            bus.TransferFinished(at=AT, attempt_id=1, problem=TransferProblem.UPLOAD_FAILED),
            True,
        ),
        (bus.PrintStarting(at=AT, attempt_id=1), False),
        (bus.PrintStarted(at=AT, attempt_id=1), False),
        (bus.PrintFinished(at=AT, attempt_id=1), False),
        (bus.PrintCleared(at=AT, attempt_id=1), False),
        (bus.PrintFailed(at=AT, attempt_id=1, reason="jam"), True),
        (bus.PrintCancelled(at=AT, attempt_id=1, may_have_started=False), True),
        (bus.CommandRefused(at=AT, command="StartPrint", attempt_id=1, reason="409"), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, bus.Message) else None,
)
def test_a_copy_that_comes_back_needs_a_reason_at_once(event: Event, requeued: bool) -> None:
    assert requeues(event) is requeued


@pytest.mark.parametrize(
    ("event", "announced"),
    [
        (bus.PrinterStateChanged(at=AT, state=PrinterState.IDLE), False),
        (bus.TransferFinished(at=AT, attempt_id=1), False),
        (bus.PrintStarting(at=AT, attempt_id=1), False),
        (bus.PrintStarted(at=AT, attempt_id=1), True),
        (bus.PrintFinished(at=AT, attempt_id=1), True),
        (bus.PrintCleared(at=AT, attempt_id=1), True),
        # Of a job of which nothing else is open, it may be the completion.
        (
            bus.TransferFinished(at=AT, attempt_id=1, problem=TransferProblem.UPLOAD_FAILED),
            True,
        ),
        (bus.CommandRefused(at=AT, command="StartPrint", attempt_id=1, reason="409"), True),
        (bus.PrintCancelled(at=AT, attempt_id=1, may_have_started=False), True),
        (bus.PrintFailed(at=AT, attempt_id=1, reason="jam"), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, bus.Message) else None,
)
def test_what_may_add_a_message_lets_the_outbox_be_looked_at(event: Event, announced: bool) -> None:
    assert announces(event) is announced
