"""What a person does about a printer that takes no copy, or that hinders the one it has."""

from __future__ import annotations

import shlex

from pms.domain.states import Bed, PrinterState
from pms.store.printers import PrinterRow

#: By what `obstacle` of the scheduling finds in a printer's way; those that only need time are
#: not here. `{name}` is ready for a shell.
_REMEDIES = {
    PrinterState.STARTING: "see why the process of {name} does not come up: `worker_died` in the"
    " coordinator's log",
    PrinterState.UNREACHABLE: "let `pms-probe check --printer {name}` say why its OctoPrint is"
    " unreachable",
    PrinterState.UNAUTHORIZED: "make an API key for PMS in the OctoPrint of {name}, then"
    " `pms-coordinator printer set {name} --api-key K`",
    PrinterState.DISCONNECTED: "switch {name} on and check its cable; PMS lets OctoPrint connect",
    PrinterState.FINISHED: "take the part off {name}, then `pms-coordinator clear {name}`",
    PrinterState.BUSY: "wait until the print that somebody else started on {name} has ended, empty"
    " its bed, then `pms-coordinator clear {name}`",
    PrinterState.ERROR: "see to {name}; PMS lets OctoPrint connect again",
    PrinterState.SUSPENDED: "find out why prints fail on {name}, then `pms-coordinator printer"
    " enable {name}`",
    PrinterState.DISABLED: "let {name} work again: `pms-coordinator printer enable {name}`",
}
_OCCUPIED = "empty the bed of {name}, then `pms-coordinator clear {name}`"

#: What keeps a printer from going on with the copy that it has.
TROUBLES = frozenset(
    {
        PrinterState.UNREACHABLE,
        PrinterState.UNAUTHORIZED,
        PrinterState.DISCONNECTED,
        PrinterState.ERROR,
    }
)


def remedy(printer: PrinterRow, state: PrinterState) -> str | None:
    """What lets the printer take copies again; None: time does. `state` is the one to be shown."""
    name = shlex.quote(printer.name)
    if state in _REMEDIES:
        return _REMEDIES[state].format(name=name)
    if state is PrinterState.IDLE and printer.bed is Bed.OCCUPIED:
        return _OCCUPIED.format(name=name)
    return None


def take_off(printer: PrinterRow) -> str:
    """What becomes of a part that is complete."""
    return _REMEDIES[PrinterState.FINISHED].format(name=shlex.quote(printer.name))


def clear(printer: PrinterRow) -> str:
    """How its bed becomes free."""
    return _OCCUPIED.format(name=shlex.quote(printer.name))


def doubt(printer: PrinterRow) -> str:
    """What to do where nobody can say whether a print was started."""
    name = shlex.quote(printer.name)
    return (
        f"look at {name}: once no print runs there and its bed is empty,"
        f" `pms-coordinator clear {name}`; the copy is then printed again if it has to be"
    )


def trouble(printer: PrinterRow) -> str | None:
    """In words, what is wrong with a printer that has a copy; None: nothing."""
    if printer.attention:
        return printer.attention
    if printer.state not in TROUBLES:
        return None
    return f"{printer.state}: {printer.detail}" if printer.detail else str(printer.state)
