"""Runs one command: imports what it needs, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable
from typing import cast

from pms.errors import PMSError, SettingsError, UsageError

FAILED = 1
WRONG_USAGE = 2
#: What a shell reports for a program that Ctrl-C has ended.
INTERRUPTED = 130


def run(program: str, options: argparse.Namespace) -> int:
    """Call the function that `options.target` names and return the program's exit code."""
    _tolerate_narrow_encodings()
    try:
        code = _function(options.target)(options)
        sys.stdout.flush()
    except (SettingsError, UsageError) as error:
        _complain(program, error)
        return WRONG_USAGE
    except PMSError as error:
        _complain(program, error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return FAILED
    return code


def _function(target: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    return cast("Callable[[argparse.Namespace], int]", function)


def _complain(program: str, error: PMSError) -> None:
    from pms.redaction import redact

    line = " ".join(redact(str(error)).split())
    visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    print(f"{program}: {visible}", file=sys.stderr)


def _tolerate_narrow_encodings() -> None:
    """A name that the terminal's encoding lacks must not end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _forget_output() -> None:
    # Whoever read our output has gone; the interpreter's own flush must not complain of it.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
