"""Asks before a command changes something."""

from __future__ import annotations

import sys

from pms.cli.output import visible
from pms.errors import RefusedError


def confirm(what: str, *, yes: bool) -> None:
    """Return when a person agrees to `what`, or has done so with `--yes`; else RefusedError.

    The question goes to stderr, so that what is printed for programs stays clean.
    """
    if yes:
        return
    # Where it was closed, Python has none.
    if sys.stdin is None or not sys.stdin.isatty():
        raise RefusedError(
            f"nobody can be asked ({visible(what)}): add --yes to do it all the same"
        )
    print(f"{visible(what)}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("not done")
