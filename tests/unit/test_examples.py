"""The examples in the help texts: every command has some, and each can be run as it stands."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from pms.cli import coordinator, probe

TREES = {module.PROGRAM: module.build_parser() for module in (coordinator, probe)}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


ALL = [found for tree in TREES.values() for found in parsers(tree)]
#: Those that do something; the others only lead to these.
LEAVES = [parser for parser in ALL if parser.get_default("target")]


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """The command lines below `examples:`."""
    _, _, listed = (parser.epilog or "").partition("examples:\n")
    return [line.strip() for line in listed.splitlines()]


def words(example: str) -> list[str]:
    """The program of ours and its arguments, without what a shell does around them."""
    parts = re.split(r"\s[|>]\s", example)
    ours = next(part for part in parts if "pms-" in part)
    return [word for word in shlex.split(ours) if not re.match(r"[A-Z_]+=", word)]


def name(parser: argparse.ArgumentParser) -> str:
    return parser.prog


@pytest.mark.parametrize("parser", ALL, ids=name)
def test_every_help_can_be_shown(parser: argparse.ArgumentParser) -> None:
    assert parser.format_help().startswith("usage: ")


@pytest.mark.parametrize("parser", LEAVES, ids=name)
def test_every_command_has_examples_that_call_it(parser: argparse.ArgumentParser) -> None:
    assert examples(parser)
    for example in examples(parser):
        program, *arguments = words(example)
        options = TREES[program].parse_args(arguments)
        assert options.target == parser.get_default("target"), example


@pytest.mark.parametrize("program", TREES)
def test_every_program_has_examples_that_can_be_run(program: str) -> None:
    shown = [words(each) for each in examples(TREES[program]) if "--help" not in each]
    assert shown
    for _, *arguments in shown:
        assert TREES[program].parse_args(arguments).target


@pytest.mark.parametrize("parser", [p for p in ALL if p not in LEAVES], ids=name)
def test_groups_of_commands_explain_each(parser: argparse.ArgumentParser) -> None:
    (group,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    helps = {choice.dest: choice.help for choice in group._choices_actions}
    assert helps.keys() == group.choices.keys()
    assert all(helps.values())
