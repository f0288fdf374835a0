"""What several commands say of jobs, copies and attempts."""

from __future__ import annotations

from pms.domain.states import AttemptState
from pms.store.job_overview import AttemptDetails


def describe_prints(prints: dict[str, int], none: str = "-") -> str:
    """`2 printing, 1 pending`; or what stands for none."""
    return ", ".join(f"{number} {status}" for status, number in prints.items() if number) or none


def describe_payment(paid: bool) -> str:
    """Whether a job was paid."""
    return "paid" if paid else "not paid"


def name_of_printer(printer_id: int, name: str | None) -> str:
    """The name of a printer that may be gone by now."""
    return name or f"printer {printer_id}, removed"


def share_done(attempt: AttemptDetails) -> float:
    """How far it came, 0 to 1; what was stored last may be older than the end of the print."""
    complete = attempt.state in (AttemptState.FINISHED, AttemptState.CLEARED)
    return 1.0 if complete else attempt.progress
