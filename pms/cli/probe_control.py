"""`pms-probe pause`, `resume`, `cancel`, `connect`, `disconnect`: one order to one OctoPrint.

OctoPrint takes an order before it has had its effect, so each is waited for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pms.cli.confirm import confirm
from pms.cli.output import show_json, show_line
from pms.cli.probe_orders import Order, is_so, objection, outcome, question
from pms.cli.probe_session import ProbeSession, open_session
from pms.domain.observation import Observation
from pms.errors import PMSError, RefusedError
from workers.octoprint_console import Console

#: Longer than a print needs to pause while it heats up, or a dead port to be given up.
EFFECT_TIMEOUT_S = 60.0


def control(options: argparse.Namespace) -> int:
    """Carry out `options.order` and wait for its effect."""
    order = Order(options.order)
    with open_session(options) as session:
        seen = session.octoprint.look()
        already = is_so(order, seen)
        if not already:
            seen = _carry_out(session, order, _agreed(session, order, seen, options))
    if options.json:
        shown = {"activity": seen.activity, "state_text": seen.state_text}
        show_json({"order": order, "already": already} | shown)
    else:
        show_line(f"{session.name}: {seen.state_text}{' already' if already else ''}")
    return 0


def _agreed(
    session: ProbeSession, order: Order, seen: Observation, options: argparse.Namespace
) -> Observation:
    """What the printer does when a person has agreed to the order, and it still fits."""
    force = order is Order.DISCONNECT and options.force
    _check(order, seen, session.name, force=force)
    confirm(question(order, seen.path, session.name), yes=options.yes)
    # A person may have taken long to answer.
    now = session.octoprint.look()
    if now.path != seen.path:
        raise RefusedError(f"{session.name} has another file selected by now: not done")
    _check(order, now, session.name, force=force)
    return now


def _check(order: Order, seen: Observation, name: str, *, force: bool) -> None:
    reason = objection(order, seen, force=force)
    if reason is not None:
        raise RefusedError(f"{name} is {seen.state_text}: {reason}")


def _carry_out(session: ProbeSession, order: Order, before: Observation) -> Observation:
    """Give the order; returns what its effect looks like."""

    def reached(seen: Observation, waited_s: float) -> bool:
        done = outcome(order, before, seen, waited_s)
        if done is False:
            why = f": {seen.error}" if seen.error else ""
            raise PMSError(f"{session.name} has taken the order, but is {seen.state_text} now{why}")
        return done is True

    _give(session.octoprint, order)
    return session.wait(reached, EFFECT_TIMEOUT_S)


def _give(octoprint: Console, order: Order) -> None:
    calls: dict[Order, Callable[[], None]] = {
        Order.PAUSE: octoprint.pause,
        Order.RESUME: octoprint.resume,
        Order.CANCEL: octoprint.cancel,
        Order.CONNECT: octoprint.connect_printer,
        Order.DISCONNECT: octoprint.disconnect_printer,
    }
    calls[order]()
