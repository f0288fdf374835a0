"""`completion`: scripts with which shells complete the commands, made from the commands' tree."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from pms.cli import coordinator, probe

#: What an argument that names a file is called in every usage line.
FILE_METAVAR = "FILE"
_TREES = {coordinator.PROGRAM: coordinator.build_parser, probe.PROGRAM: probe.build_parser}


def completion(options: argparse.Namespace) -> int:
    """Print the script for one shell."""
    print(script(options.program, options.shell))
    return 0


def script(program: str, shell: str) -> str:
    """The script with which `shell` completes `program`."""
    tree = _TREES[program]()
    for parser in _below(tree):
        # Shells show it beside the command, where a summary is enough.
        parser.description = None
        for action in parser._actions:
            if action.metavar == FILE_METAVAR:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    made: str = shtab.complete(tree, shell=shell)
    return made


def _below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield child
                yield from _below(child)
