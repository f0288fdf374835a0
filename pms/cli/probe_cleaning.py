"""`pms-probe files --clean`: removes those files of PMS that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pms.cli.confirm import confirm
from pms.cli.output import add_row, count, data_size, show, show_json, show_line, table, warn
from pms.cli.probe_belief import Unknown, states_by_path
from pms.cli.probe_session import ProbeSession
from pms.domain.observation import FileFacts
from pms.domain.reconciliation import REMOTE_FOLDER, is_ours
from pms.domain.states import TERMINAL_STATES, AttemptState
from pms.errors import RefusedError
from workers.octoprint_errors import Conflict

DAY_S = 86400.0
#: A file that was never printed may wait for its start, but hardly for so long.
OLD_DAYS = 7


@dataclass(frozen=True, slots=True)
class Unneeded:
    """A file that can be deleted, and why."""

    path: str
    size: int
    reason: str


def unneeded(
    files: Iterable[FileFacts],
    selected: str | None,
    states: Mapping[str, AttemptState] | None,
    now_s: float,
) -> list[Unneeded]:
    """The files to delete; `states` are those of PMS's attempts, None: they are not known.

    `now_s` is in seconds since 1970.
    """
    found = []
    for file in files:
        if not is_ours(file.path) or file.path == selected:
            continue
        state = None if states is None else states.get(file.path)
        reason = _worn(file, now_s) if state is None else _ended(state)
        if reason is not None:
            found.append(Unneeded(file.path, file.size, reason))
    return found


def _ended(state: AttemptState) -> str | None:
    return f"its attempt is {state}" if state in TERMINAL_STATES else None


def _worn(file: FileFacts, now_s: float) -> str | None:
    """What OctoPrint alone says against a file."""
    if file.was_printed:
        return "printed before"
    age_s = 0.0 if file.uploaded_at is None else now_s - file.uploaded_at
    return f"{int(age_s / DAY_S)} days old" if age_s >= OLD_DAYS * DAY_S else None


# -- the removal -------------------------------------------------------------------


def clean(session: ProbeSession, *, yes: bool, as_json: bool) -> int:
    """Delete what is not needed, once a person agrees."""
    found = _find_unneeded(session)
    if found:
        if not as_json:
            _list(found)
        size = data_size(sum(file.size for file in found))
        confirm(f"Delete {count(len(found), 'file')}, {size}, from {session.name}", yes=yes)
    kept = _delete(session, found)
    deleted = [file for file in found if file.path not in kept]
    if as_json:
        show_json({"deleted": [file.path for file in deleted], "kept": kept})
    else:
        _report(deleted, kept)
    return 0


def _find_unneeded(session: ProbeSession) -> list[Unneeded]:
    stored = session.octoprint.files(REMOTE_FOLDER)
    # After the files: an attempt is in the database before its file is on OctoPrint.
    states = _known(states_by_path(session))
    return unneeded(stored, session.octoprint.look().path, states, time.time())


def _known(states: dict[str, AttemptState] | Unknown) -> dict[str, AttemptState] | None:
    if not isinstance(states, Unknown):
        return states
    if states.doubtful:
        raise RefusedError(f"PMS may need files, and cannot be asked: {states.reason}")
    warn(
        f"{states.reason}: only files that were printed before or are {OLD_DAYS} days old "
        "count as not needed"
    )
    return None


def _list(found: list[Unneeded]) -> None:
    made = table("File", "Size", "Not needed, because", right=("Size",))
    for file in found:
        add_row(made, file.path, data_size(file.size), file.reason)
    show(made)


def _delete(session: ProbeSession, found: list[Unneeded]) -> dict[str, str]:
    """Delete what is still not in use; gives the paths of what was kept, and why."""
    kept = {}
    for file in found:
        if session.octoprint.look().path == file.path:
            kept[file.path] = "it has been selected meanwhile"
            continue
        try:
            session.octoprint.delete(file.path)
        except Conflict as error:
            kept[file.path] = str(error)
    return kept


def _report(deleted: list[Unneeded], kept: dict[str, str]) -> None:
    for path, reason in kept.items():
        show_line(f"kept {path}: {reason}")
    freed = data_size(sum(file.size for file in deleted))
    show_line(f"{count(len(deleted), 'file')} deleted, {freed}")
