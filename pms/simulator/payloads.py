"""What OctoPrint's events carry."""

from __future__ import annotations

from typing import Any

from pms.simulator.failures import Failure
from pms.simulator.files import StoredFile
from pms.simulator.run import Run
from pms.simulator.states import State

Payload = dict[str, Any]

_TYPE = ["machinecode", "gcode"]
_AXES = ("x", "y", "z", "e", "t", "f")
#: Where the print head of every simulated printer is.
HOME: Payload = {"x": 0.0, "y": 0.0, "z": 0.0, "e": 0.0, "t": 0, "f": None}
_NOWHERE = dict.fromkeys(_AXES)


def job(stored: StoredFile, owner: str, user: str | None = None) -> Payload:
    """Of every event of a print; `user` is who gave the command, if anybody did."""
    payload = {
        "name": stored.name,
        "path": stored.path,
        "origin": "local",
        "size": stored.content.size,
        "owner": owner,
    }
    return payload if user is None else payload | {"user": user}


def state(entered: State) -> Payload:
    """`PrinterStateChanged`."""
    return {"state_id": entered.name, "state_string": entered.value}


def paused(run: Run, user: str | None) -> Payload:
    """`PrintPaused`."""
    return job(run.file, run.user, user) | {
        "position": HOME,
        "fileposition": run.offset,
        "progress": _percent(run),
    }


def cancelled(run: Run, user: str, time_s: float) -> Payload:
    """`PrintCancelled`, and with a reason `PrintFailed`."""
    return job(run.file, run.user, user) | {
        "position": _NOWHERE,
        "fileposition": run.offset,
        "progress": _percent(run),
        "time": time_s,
    }


def failed(run: Run, error: str, position: int, time_s: float) -> Payload:
    """`PrintFailed` after an error; its progress is a fraction."""
    size = run.file.content.size
    return job(run.file, run.user) | {
        "time": time_s,
        "reason": "error",
        "error": error,
        "progress": position / size if size else 0.0,
    }


def error(failure: Failure) -> Payload:
    """`Error`; the simulated printer keeps no terminal log."""
    payload: Payload = {
        "error": failure.error,
        "reason": failure.reason,
        "consequence": failure.consequence,
        "logs": [],
    }
    return payload if failure.faq is None else payload | {"faq": failure.faq}


def suppressed(command: str) -> Payload:
    """`CommandSuppressed`."""
    text = f"Not sending {command} to printer as it's configured as a blocked command"
    return {"command": command, "message": text, "severity": "warn"}


def stored_at(path: str, operation: str) -> Payload:
    """`FileAdded` and `FileRemoved`."""
    name = path.rpartition("/")[2]
    return {
        "storage": "local",
        "path": path,
        "name": name,
        "type": _TYPE,
        "operation": operation,
    }


def moved(source: str, destination: str) -> Payload:
    """`FileMoved`."""
    return {
        "storage": "local",
        "source_path": source,
        "source_name": source.rpartition("/")[2],
        "source_type": _TYPE,
        "destination_path": destination,
        "destination_name": destination.rpartition("/")[2],
        "destination_type": _TYPE,
    }


def _percent(run: Run) -> int:
    size = run.file.content.size
    return int(run.offset * 100 / size) if size else 0
