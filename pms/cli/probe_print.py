"""`pms-probe print`: starts a file that OctoPrint has, without PMS."""

from __future__ import annotations

import argparse
from pathlib import Path

from pms.cli.confirm import confirm
from pms.cli.output import show_json, show_line, warn
from pms.cli.probe_belief import Belief, Unknown, belief_of
from pms.cli.probe_session import ProbeSession, open_session
from pms.domain.observation import ACTIVE, Activity, FileFacts, Observation
from pms.domain.reconciliation import is_ours
from pms.domain.states import Bed
from pms.errors import RefusedError

START_TIMEOUT_S = 15.0


def print_file(options: argparse.Namespace) -> int:
    """Start the file and wait until it prints."""
    path: str = options.path
    with open_session(options) as session:
        file = _file(session, path)
        _check(session, path)
        confirm(
            f"Print {path} on {session.name}: PMS does not know of it, and the bed must be clear",
            yes=options.yes,
        )
        # A person may have taken long to answer.
        _check(session, path)
        session.octoprint.start(path)
        # That OctoPrint has taken the order proves nothing.
        seen = session.wait(lambda seen, _: started(seen, file), START_TIMEOUT_S, path)
    if options.json:
        show_json({"path": path, "activity": seen.activity, "state_text": seen.state_text})
    else:
        show_line(f"{session.name}: {seen.state_text} {path}")
    return 0


def _file(session: ProbeSession, path: str) -> FileFacts:
    file = None if path.startswith("/") else session.octoprint.file(path)
    if file is not None:
        return file
    hint = "see `pms-probe files`"
    if Path(path).is_file():
        hint = "the file of that name here has to be uploaded first, with `pms-probe upload`"
    raise RefusedError(f"{session.name} has no file {path}: {hint}")


def _check(session: ProbeSession, path: str) -> None:
    belief = belief_of(session)
    if isinstance(belief, Unknown) and belief.doubtful:
        warn(f"PMS may know this printer, and cannot be asked: {belief.reason}")
    reason = objection(path, session.octoprint.look(), belief)
    if reason is not None:
        raise RefusedError(f"cannot print on {session.name}: {reason}")


def objection(path: str, seen: Observation, belief: Belief | Unknown) -> str | None:
    """Why the file must not be started now."""
    if is_ours(path):
        return f"{path} is a copy's, and PMS would take its print for that copy's"
    if seen.activity in ACTIVE:
        return f"it is {seen.state_text}, and another print is never disturbed"
    if seen.activity is not Activity.OPERATIONAL:
        return f"it is {seen.state_text}; see `pms-probe connect`"
    if isinstance(belief, Unknown):
        return None
    name = belief.printer.name
    if belief.attempt is not None:
        return f"PMS has given it print {belief.attempt.print_id}, which is {belief.attempt.state}"
    if belief.printer.bed is Bed.OCCUPIED:
        return f"its bed is occupied; if it is empty, say so with `pms-coordinator clear {name}`"
    return None


def started(seen: Observation, before: FileFacts) -> bool:
    """Whether a look shows that the file prints, or its history that it has since."""
    if seen.path == before.path and seen.activity in ACTIVE:
        return True
    file = seen.file
    return file is not None and (file.successes, file.failures) != (
        before.successes,
        before.failures,
    )
