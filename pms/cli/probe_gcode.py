"""`pms-probe gcode`: sends the printer one command and shows what it answers."""

from __future__ import annotations

import argparse
import time

from pms.cli.confirm import confirm
from pms.cli.output import show_json, show_line
from pms.cli.probe_dialogue import Dialogue
from pms.cli.probe_push import Push
from pms.cli.probe_session import ProbeSession, open_session
from pms.domain.observation import ACTIVE, Activity, Observation
from pms.errors import PMSError, RefusedError
from workers.push_console import ConsoleStimulus, PushTerminal
from workers.push_frames import PushOpened, PushSnapshot

PUSH_TIMEOUT_S = 10.0
#: How soon it is noticed that none opens.
PUSH_WAIT_S = 0.1


def gcode(options: argparse.Namespace) -> int:
    """Send the command and show the answer."""
    command: str = options.command
    with open_session(options) as session:
        _check(session, force=options.force)
        confirm(f"Send {command} to {session.name}", yes=options.yes)
        with Push(session.target) as push:
            _wait_until_open(push, session.name)
            # A person may have taken long to answer.
            _check(session, force=options.force)
            session.octoprint.send_gcode(command)
            answer = _answer(push, Dialogue(command), options.timeout)
    if options.json:
        show_json({"command": command, "answer": answer})
    else:
        for line in answer:
            show_line(line)
    return 0


def _check(session: ProbeSession, *, force: bool) -> None:
    reason = objection(session.octoprint.look(), force=force)
    if reason is not None:
        raise RefusedError(f"nothing sent to {session.name}: {reason}")


def objection(seen: Observation, *, force: bool) -> str | None:
    """Why no command must be sent now."""
    if seen.activity in ACTIVE:
        between = f"it is {seen.state_text}, and a command goes in between; add --force to do it"
        return None if force else between
    if seen.activity is not Activity.OPERATIONAL:
        return f"it is {seen.state_text}; see `pms-probe connect`"
    return None


def _wait_until_open(push: Push, name: str) -> None:
    """The answer comes over push, so without it nothing is sent."""
    deadline = time.monotonic() + PUSH_TIMEOUT_S
    while not push.problem and time.monotonic() < deadline:
        if any(isinstance(stimulus, PushOpened) for stimulus in push.wait(PUSH_WAIT_S)):
            return
    why = f": {push.problem}" if push.problem else ""
    raise PMSError(f"nothing sent to {name}, since no push connection opens{why}")


def _answer(push: Push, dialogue: Dialogue, timeout_s: float) -> list[str]:
    """What the printer says; `timeout_s` is how long it may say nothing."""
    heard_at = time.monotonic()
    while not dialogue.done:
        said = len(dialogue.answer)
        for stimulus in push.wait(heard_at + timeout_s - time.monotonic()):
            _hear(dialogue, stimulus)
        now = time.monotonic()
        if len(dialogue.answer) > said:
            heard_at = now
        elif now - heard_at >= timeout_s and not dialogue.done:
            raise PMSError(dialogue.complaint(timeout_s))
    return dialogue.answer


def _hear(dialogue: Dialogue, stimulus: ConsoleStimulus) -> None:
    match stimulus:
        case PushTerminal(lines=lines):
            for line in lines:
                dialogue.take(line)
        case PushSnapshot(operational=False) if not dialogue.done:
            raise PMSError(
                f"{dialogue.command}: the printer is {stimulus.state_text} now, without an answer"
            )
