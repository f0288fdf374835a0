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
    for action in _actions(tree):
        if action.metavar == FILE_METAVAR:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    made: str = shtab.complete(tree, shell=shell)
    return made


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)
