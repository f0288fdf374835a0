"""What the commands' argument parsers share; light, since every process of PMS imports it."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Only the stubs know this class as generic.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

#: The longest text that OpenFarm's columns hold.
NAME_LIMIT = 255
MAX_ID = 2**63 - 1
MAX_INTEGER = 2**31 - 1
_EXAMPLES = "examples:"


class HelpFormatter(argparse.HelpFormatter):
    """Wraps what is prose, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_EXAMPLES):
            return text
        words = " ".join(text.split())
        # Names of commands and files stay whole.
        return textwrap.fill(
            words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


class Parser(argparse.ArgumentParser):
    """Answers unknown options with the usage of their command, not of the whole program."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but of a command everything has to be known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


class MixingParser(Parser):
    """Takes options between words, too.

    By itself, argparse fills a word that may be left out as soon as an option follows.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, with the words of a command brought together."""
        if args is not None and self._subparsers is None:
            valued = {
                name for name, action in self._option_string_actions.items() if action.nargs != 0
            }
            args = options_first(args, valued)
        return super().parse_known_args(args, namespace)


def options_first(arguments: Sequence[str], valued: Collection[str]) -> list[str]:
    """The same arguments, each option, and the value of one in `valued`, before all words."""
    options: list[str] = []
    words: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return [*options, "--", *words, *left]
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        options.append(argument)
        if argument in valued:
            options += itertools.islice(left, 1)
    return [*options, *words]


def new_parser(
    program: str,
    description: str,
    examples: str,
    kind: type[Parser] = Parser,
) -> Parser:
    """A program's parser, which shows examples at the end of its help."""
    return kind(
        prog=program,
        description=description,
        epilog=_epilog(examples),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


def add_commands(parser: argparse.ArgumentParser) -> Commands:
    """Let `parser` take one of several commands, which are added to the result."""
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_command(
    commands: Commands,
    name: str,
    target: str,
    summary: str,
    *,
    description: str = "",
    examples: str = "",
    json: bool = False,
) -> argparse.ArgumentParser:
    """Add a command that calls `target` (`module:function`, imported only then)."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=_epilog(examples),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(target=target)
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def add_completion(commands: Commands, program: str) -> None:
    """Add the command that prints a shell's completion script for the program."""
    parser = add_command(
        commands,
        "completion",
        "pms.cli.completion:completion",
        "print a script with which a shell completes this program",
        description=f"""\
Print a script with which a shell completes {program}. Bash reads it from
~/.local/share/bash-completion/completions/{program} (with the package bash-completion),
fish from ~/.config/fish/completions/{program}.fish, and zsh from the file _{program}
in a folder of its fpath.""",
        examples=f"""
{program} completion bash > ~/.local/share/bash-completion/completions/{program}
{program} completion fish > ~/.config/fish/completions/{program}.fish
{program} completion zsh > ~/.zfunc/_{program}""",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(program=program)


def add_limit(parser: argparse.ArgumentParser, what: str, default: int) -> None:
    """Let a command take `--limit N`."""
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number(1, 100_000),
        default=default,
        help=f"at most so many {what}; default: {default}",
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Let a command that asks first take `--yes`."""
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Read a whole number between both limits."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {minimum} to {maximum}"
            )
        return value

    return read


row_id = whole_number(1, MAX_ID)


def name(text: str) -> str:
    """Read a name, or another text that goes into a column of OpenFarm's."""
    text = text.strip()
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise argparse.ArgumentTypeError(
            f"must be 1 to {NAME_LIMIT} characters, without control characters"
        )
    return text


def material(text: str) -> tuple[str, str]:
    """Read `TYPE/COLOR`."""
    material_type, slash, color = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{text!r} is not TYPE/COLOR, for example PLA/Black")
    return name(material_type), name(color)


def _epilog(examples: str) -> str | None:
    if not examples:
        return None
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return f"{_EXAMPLES}\n{lines}"
