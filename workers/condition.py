"""The state of a printer as its process reports it, in words for a person."""

from __future__ import annotations

from dataclasses import dataclass

from pms.domain.observation import Activity, Observation
from pms.domain.reconciliation import is_ours
from pms.domain.states import AttemptState, PrinterState
from workers.contact import Contact
from workers.task import Task


@dataclass(frozen=True, slots=True)
class Condition:
    """A state, its reason, and whether a person has to decide something."""

    state: PrinterState
    detail: str = ""
    needs_attention: bool = False


def condition(contact: Contact, task: Task | None, shortage: str) -> Condition:
    """What hides everything else comes first: no contact, then the attempt, then the printer.

    `shortage`: why the last file did not fit onto OctoPrint, if it did not.
    """
    if contact.trouble is not None:
        return Condition(contact.trouble.state, contact.trouble.detail)
    if task is not None:
        return _with_task(task, shortage)
    if contact.observation is None:
        return Condition(PrinterState.STARTING)
    return _without_task(contact.observation, shortage)


def _with_task(task: Task, shortage: str) -> Condition:
    if task.question is not None:
        return Condition(PrinterState.ERROR, task.question, needs_attention=True)
    cancelling = "cancelling" if task.steering.cancelling else ""
    match task.state:
        case AttemptState.PRINTING:
            return Condition(PrinterState.PRINTING, cancelling)
        case AttemptState.PAUSED:
            return Condition(PrinterState.PAUSED, cancelling)
        case AttemptState.FINISHED:
            return Condition(PrinterState.FINISHED, "clearing" if task.steering.clearing else "")
        case _:
            return Condition(PrinterState.TRANSFERRING, shortage, needs_attention=bool(shortage))


def _without_task(seen: Observation, shortage: str) -> Condition:
    match seen.activity:
        case Activity.OPERATIONAL:
            return Condition(PrinterState.IDLE, shortage, needs_attention=bool(shortage))
        case Activity.DISCONNECTED | Activity.CONNECTING:
            return Condition(PrinterState.DISCONNECTED, seen.error or seen.state_text)
        case Activity.ERROR:
            return Condition(PrinterState.ERROR, seen.error or seen.state_text)
        case _ if is_ours(seen.path):
            detail = f"{seen.path} is being printed although it had ended: look at the printer"
            return Condition(PrinterState.BUSY, detail, needs_attention=True)
        case _:
            return Condition(PrinterState.BUSY, f"prints {seen.path or 'something'}, not for PMS")
