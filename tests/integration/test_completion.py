"""The completion scripts, in the real shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pms.cli import completion
from tests.support.commands import command_line
from tests.support.programs import find_program
from tests.support.terminal import Terminal

PROGRAMS = ("pms-coordinator", "pms-probe")
PROMPT = "ready>"
KILL_LINE = "\x15"

#: What is typed before the Tab, and what then stands there.
CASES = (
    ("pms-coordinator stat", "pms-coordinator status"),
    ("pms-coordinator job prio", "pms-coordinator job priority"),
    ("pms-coordinator submit --mat", "pms-coordinator submit --material"),
    ("pms-coordinator submit only-fi", "pms-coordinator submit only-file.gcode"),
    ("pms-coordinator completion z", "pms-coordinator completion zsh"),
    ("pms-probe complet", "pms-probe completion"),
    ("pms-probe completion fi", "pms-probe completion fish"),
)


def bash(folder: Path) -> list[str | Path]:
    sourced = "; ".join(f"source {script(folder, program)}" for program in PROGRAMS)
    start = folder / "start.bash"
    start.write_text(f"{sourced}\nPS1='{PROMPT}'\n")
    return [find_program("bash"), "--noprofile", "--rcfile", start, "-i"]


def zsh(folder: Path) -> list[str | Path]:
    start = folder / ".zshrc"
    start.write_text(
        f"fpath=({folder} $fpath)\nautoload -U compinit\ncompinit -u -d {folder}/dump\n"
        f"PS1='{PROMPT}'\n"
    )
    return [find_program("zsh"), "-i"]


def fish(folder: Path) -> list[str | Path]:
    sourced = "; ".join(f"source {script(folder, program)}" for program in PROGRAMS)
    prompt = f"function fish_prompt; echo -n '{PROMPT}'; end"
    settings = "set -g fish_greeting; set -g fish_autosuggestion_enabled 0"
    return [find_program("fish"), "--no-config", "-i", "-C", f"{sourced}; {prompt}; {settings}"]


def script(folder: Path, program: str) -> Path:
    return folder / f"_{program}"


@pytest.mark.parametrize("shell", [bash, zsh, fish], ids=lambda shell: shell.__name__)
def test_the_shell_completes_commands_options_choices_and_files(
    shell: Callable[[Path], list[str | Path]], tmp_path: Path
) -> None:
    for program in PROGRAMS:
        made = subprocess.run(
            command_line((program, "completion", shell.__name__)), capture_output=True, check=True
        )
        script(tmp_path, program).write_bytes(made.stdout)
    (tmp_path / "only-file.gcode").touch()
    folder = str(tmp_path)
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "ZDOTDIR": folder, "LANG": "C.UTF-8"}
    with Terminal(shell(tmp_path), environment, columns=200, folder=tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        for typed, completed in CASES:
            terminal.press(f"{typed}\t")
            terminal.wait_for(f"{PROMPT}{completed}")
            terminal.press(KILL_LINE)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_command_comes_with_its_summary(shell: str) -> None:
    made = completion.script("pms-probe", shell)
    assert "find out why a printer does not print" in made
    assert "Nothing but OctoPrint is needed" not in made
