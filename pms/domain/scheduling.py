"""Who prints what: waiting copies onto free printers, and a reason for each that has to wait.

Copies of one job need the same kind of printer, so the work is done once for each kind of
need rather than once for each pair of copy and printer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pms.domain.states import Bed, PrinterState


class MaterialMatch(StrEnum):
    """How strictly a job's material is compared with what a printer has loaded."""

    STRICT = "strict"
    #: A printer with no loaded material recorded fits every job.
    TRACKED = "tracked"
    OFF = "off"


class Need(NamedTuple):
    """What a job asks of a printer; None fits all."""

    model_id: int | None
    material_id: int | None


class WaitingPrint(NamedTuple):
    """A copy that may start; given in the order in which copies should be served."""

    print_id: int
    job_id: int
    need: Need
    #: Of its job; higher goes first.
    priority: int = 0
    #: Printers on which a copy of this job failed: taken only if no other fits.
    avoid: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class PrinterView:
    """All that scheduling needs to know of a printer."""

    printer_id: int
    model_id: int
    model: str
    materials: frozenset[int]
    state: PrinterState
    bed: Bed
    #: The printer holds an attempt already.
    claimed: bool = False
    #: The printer backs off after a failed transfer or a refused start.
    resting: bool = False
    consecutive_failures: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """This copy goes onto that printer."""

    print_id: int
    job_id: int
    printer_id: int
    #: Of its job; higher goes first.
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The outcome of a round: assignments, and for every other copy why it waits."""

    assignments: list[Assignment]
    reasons: dict[int, str]


def schedule(
    waiting: Sequence[WaitingPrint],
    printers: Sequence[PrinterView],
    material_match: MaterialMatch = MaterialMatch.TRACKED,
) -> Schedule:
    """Assign waiting copies, in their order, to free and fitting printers.

    An earlier copy that fits nowhere does not hold up a later one. Among printers the least
    recently failing and least used comes first.
    """
    free = sorted((p for p in printers if obstacle(p) is None), key=_preference)
    choices: dict[Need, list[PrinterView]] = {}
    taken: set[int] = set()
    assignments: list[Assignment] = []
    left: list[WaitingPrint] = []
    for copy in waiting:
        if copy.need not in choices:
            choices[copy.need] = [p for p in free if fits(copy.need, p, material_match)]
        chosen = _choose(choices[copy.need], copy.avoid, taken)
        if chosen is None:
            left.append(copy)
        else:
            taken.add(chosen.printer_id)
            assignments.append(
                Assignment(copy.print_id, copy.job_id, chosen.printer_id, copy.priority)
            )
    return Schedule(assignments, _reasons(left, printers, taken, material_match))


def _preference(printer: PrinterView) -> tuple[int, int, int]:
    return (printer.consecutive_failures, printer.completed, printer.printer_id)


def _choose(
    candidates: list[PrinterView], avoid: frozenset[int], taken: set[int]
) -> PrinterView | None:
    # Those taken in front are gone for every later copy of this need, too.
    while candidates and candidates[0].printer_id in taken:
        candidates.pop(0)
    if not avoid:
        return next((p for p in candidates if p.printer_id not in taken), None)
    open_ones = [p for p in candidates if p.printer_id not in taken]
    return next((p for p in open_ones if p.printer_id not in avoid), next(iter(open_ones), None))


def fits(need: Need, printer: PrinterView, material_match: MaterialMatch) -> bool:
    """Whether the printer is of the right model and holds the right material."""
    if need.model_id is not None and need.model_id != printer.model_id:
        return False
    if need.material_id is None or material_match is MaterialMatch.OFF:
        return True
    if not printer.materials:
        return material_match is MaterialMatch.TRACKED
    return need.material_id in printer.materials


#: What keeps a printer of this state from taking a copy, as a person would say it.
_STATE_WORDS = {
    PrinterState.STARTING: "starting",
    PrinterState.UNREACHABLE: "unreachable",
    PrinterState.UNAUTHORIZED: "unauthorized",
    PrinterState.DISCONNECTED: "disconnected",
    PrinterState.TRANSFERRING: "receiving a file",
    PrinterState.PRINTING: "printing",
    PrinterState.PAUSED: "paused",
    PrinterState.FINISHED: "waiting to be cleared",
    PrinterState.BUSY: "busy with a print of somebody else",
    PrinterState.ERROR: "in error",
    PrinterState.SUSPENDED: "suspended",
    PrinterState.DISABLED: "disabled",
}


def obstacle(printer: PrinterView) -> str | None:
    """Say in words why the printer takes no copy now; None: it does."""
    if printer.state is not PrinterState.IDLE:
        return _STATE_WORDS[printer.state]
    if printer.claimed:
        return "taken"
    if printer.bed is Bed.OCCUPIED:
        return "bed occupied"
    if printer.resting:
        return "resting after a failed transfer or start"
    return None


def _reasons(
    left: Iterable[WaitingPrint],
    printers: Sequence[PrinterView],
    taken: set[int],
    material_match: MaterialMatch,
) -> dict[int, str]:
    by_need: dict[Need, str] = {}
    reasons: dict[int, str] = {}
    for copy in left:
        if copy.need not in by_need:
            by_need[copy.need] = _reason(copy.need, printers, taken, material_match)
        reasons[copy.print_id] = by_need[copy.need]
    return reasons


def _reason(
    need: Need, printers: Sequence[PrinterView], taken: set[int], material_match: MaterialMatch
) -> str:
    if not printers:
        return "there are no printers"
    of_model = [p for p in printers if need.model_id in (None, p.model_id)]
    if not of_model:
        return "no printer is of the model that the job asks for"
    fitting = [p for p in of_model if fits(need, p, material_match)]
    model = f"{of_model[0].model} " if need.model_id is not None else ""
    if not fitting:
        return f"{_count(len(of_model), model)}: none has the job's material loaded"
    words = Counter("taken" if p.printer_id in taken else obstacle(p) or "free" for p in fitting)
    details = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{_count(len(fitting), model)}: {details}"


def _count(number: int, model: str) -> str:
    return f"{number} {model}printer" + ("" if number == 1 else "s")
