"""What OctoPrint's REST interface and its push socket say about a printer and its files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pms.simulator.files import Files, Prints, StoredFile
from pms.simulator.machine import BAUD_RATE, PORT, Machine

VERSION = "1.11.8"
#: The heaters are read as often as this.
READING_INTERVAL_S = 2.0

_BAUD_RATES = (250000, 230400, 115200, 57600, 38400, 19200, 9600)
_PROFILE = "_default"
_NO_FILE = {"name": None, "path": None, "display": None, "origin": None, "size": None, "date": None}
_NO_PROGRESS = {
    "completion": None,
    "filepos": None,
    "printTime": None,
    "printTimeLeft": None,
    "printTimeLeftOrigin": None,
}

Json = dict[str, Any]


def version() -> Json:
    """`/api/version`."""
    return {"api": "0.1", "server": VERSION, "text": f"OctoPrint {VERSION}"}


def connection(machine: Machine) -> Json:
    """`/api/connection`."""
    closed = machine.state.is_closed
    return {
        "current": {
            "state": "Closed" if closed else machine.state.value,
            "port": None if closed else PORT,
            "baudrate": None if closed else BAUD_RATE,
            "printerProfile": _PROFILE,
        },
        "options": {
            "ports": [PORT],
            "portPreference": PORT,
            "baudrates": _BAUD_RATES,
            "baudratePreference": BAUD_RATE,
            "printerProfiles": [{"id": _PROFILE, "name": "Default"}],
            "printerProfilePreference": _PROFILE,
        },
    }


def state(machine: Machine) -> Json:
    """Text, flags and error."""
    return {
        "text": machine.state.value,
        "flags": machine.state.flags,
        "error": machine.error,
    }


def job(machine: Machine) -> Json:
    """The selected file."""
    stored = machine.selected
    if stored is None and not machine.knows_jobs:
        file: Json = {name: value for name, value in _NO_FILE.items() if name != "display"}
        return {
            "file": file,
            "estimatedPrintTime": None,
            "lastPrintTime": None,
            "filament": {"length": None, "volume": None},
            "user": None,
        }
    took = None if stored is None or stored.prints.last is None else stored.prints.last.print_time_s
    return {
        "file": _NO_FILE if stored is None else _selected(stored),
        "estimatedPrintTime": None,
        "averagePrintTime": took,
        "lastPrintTime": took,
        "filament": None,
        "user": machine.job_user,
    }


def _selected(stored: StoredFile) -> Json:
    return {
        "name": stored.name,
        "path": stored.path,
        "display": stored.display,
        "origin": "local",
        "size": stored.content.size,
        "date": stored.date,
    }


def progress(machine: Machine, now: float) -> Json:
    """How far the print is; nothing is known of one that was cancelled."""
    position, time_s = machine.position(now), machine.print_time_s(now)
    if position is None or time_s is None or machine.selected is None:
        return _NO_PROGRESS
    size = machine.selected.content.size
    done = machine.done_s is not None
    # A file without content is done at -100 %.
    completion = 100.0 * position / size if size else -100.0
    left = 0 if done and size else _time_left_s(completion, time_s)
    return {
        "completion": completion,
        "filepos": position,
        "printTime": int(time_s),
        "printTimeLeft": left,
        "printTimeLeftOrigin": None if left == 0 else "linear",
    }


def _time_left_s(completion: float, time_s: float) -> int | None:
    """OctoPrint's plainest estimate, which it gives once it has seen a little."""
    if completion <= 0 or time_s < 1:
        return None
    return int(time_s * (100.0 - completion) / completion)


def job_answer(machine: Machine, now: float) -> Json:
    """`/api/job`."""
    answer = {
        "job": job(machine),
        "progress": progress(machine, now),
        "state": machine.state.value,
    }
    return answer | {"error": machine.error} if machine.error else answer


def temperatures(machine: Machine, now: float) -> Json:
    """The heaters as they are; nothing is known before they were first read."""
    if now < machine.connected_at + READING_INTERVAL_S:
        return {}
    readings = machine.heaters.readings(now)
    return {name: values | {"offset": 0} for name, values in readings.items()}


def reading(machine: Machine, now: float) -> Json:
    """The heaters as the push socket shows them."""
    return {"time": int(now)} | machine.heaters.readings(now)


def printer(machine: Machine, now: float, excluded: frozenset[str]) -> Json:
    """`/api/printer`."""
    parts = {
        "state": state(machine),
        "sd": {"ready": True},
        "temperature": temperatures(machine, now),
    }
    return {name: part for name, part in parts.items() if name not in excluded}


def printer_error(machine: Machine) -> Json:
    """`/api/printer/error`."""
    failure = machine.failure
    answer = {"error": failure.error, "reason": failure.reason}
    if not failure.error:
        return answer
    return answer | {"consequence": failure.consequence, "faq": failure.faq, "logs": []}


def picture(machine: Machine, now: float) -> Json:
    """What `current` and `history` have in common."""
    return {
        "state": state(machine),
        "job": job(machine),
        "currentZ": None,
        "progress": progress(machine, now),
        "offsets": {},
        "resends": {"count": 0, "transmitted": 0, "ratio": 0},
    }


# -- files ------------------------------------------------------------------------


def file_info(stored: StoredFile, base: str) -> Json:
    """A file in a list or alone; `base` is the server's address as the client sees it."""
    info: Json = {
        "name": stored.name,
        "display": stored.display,
        "path": stored.path,
        "origin": "local",
        "type": "machinecode",
        "typePath": ["machinecode", "gcode"],
        "hash": stored.content.sha1,
        "size": stored.content.size,
        "date": stored.date,
        "user": stored.user,
        "refs": file_refs(stored.path, base),
    }
    if stored.userdata is not None:
        info["userdata"] = stored.userdata
    return info | (_history(stored.prints) if stored.prints.last is not None else {})


def file_refs(path: str, base: str) -> Json:
    """Where a file is found."""
    return {
        "resource": resource(path, base),
        "download": f"{base}/downloads/files/local/{quote(path)}",
    }


def resource(path: str, base: str) -> str:
    """Where a file or folder is found."""
    return f"{base}/api/files/local/{quote(path)}"


def _history(prints: Prints) -> Json:
    assert prints.last is not None
    last = {"success": prints.last.success, "date": prints.last.at}
    took = prints.last.print_time_s
    if took is not None:
        last["printTime"] = took
    times = {} if took is None else {_PROFILE: took}
    return {
        "prints": {"success": prints.success, "failure": prints.failure, "last": last},
        "statistics": {"averagePrintTime": times, "lastPrintTime": times},
    }


def folder_info(files: Files, path: str, base: str, *, deep: bool) -> Json:
    """A folder, with what is in it."""
    children = listing(files, path, base, deep=deep)
    printed = [child["prints"] for child in children if "last" in child.get("prints", {})]
    prints: Json = {
        "success": sum(each["success"] for each in printed),
        "failure": sum(each["failure"] for each in printed),
    }
    if printed:
        prints["last"] = max((each["last"] for each in printed), key=lambda last: last["date"])
    name = path.rpartition("/")[2]
    return {
        "name": name,
        "display": name,
        "path": path,
        "origin": "local",
        "type": "folder",
        "typePath": ["folder"],
        "date": files.folder_date(path),
        "size": sum(child.get("size", 0) for child in children),
        "prints": prints,
        "refs": {"resource": resource(path, base)},
        "children": children,
    }


def listing(files: Files, folder: str, base: str, *, deep: bool) -> list[Json]:
    """What is in a folder; without `deep`, folders in it are shown empty."""
    folders = [
        folder_info(files, path, base, deep=True) if deep else _shallow(files, path, base)
        for path in files.folders_in(folder)
    ]
    return folders + [file_info(stored, base) for stored in files.files_in(folder)]


def _shallow(files: Files, path: str, base: str) -> Json:
    return folder_info(files, path, base, deep=True) | {"children": []}
