"""What the README names exists, and what it has to name is there."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from pms.bus.messages import Event
from pms.cli import coordinator, probe
from pms.domain.states import AttemptState, PrinterState
from pms.setting_table import TABLE, Setting
from pms.simulator import command as simulator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every command that does something, in full: `pms-coordinator job show`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from commands(child)
            return
    yield parser.prog


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def event_names() -> set[str]:
    """Texts of the source that may be a log event, and the events of the bus."""
    found = {snake_case(event.__name__) for event in get_args(Event)}
    for path in [*ROOT.glob("pms/**/*.py"), *ROOT.glob("workers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def table_below(header: str) -> str:
    return README.split(header, 1)[1].split("\n\n", 1)[0]


def heading_anchor(line: str) -> str:
    return re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.variable)
def test_every_setting_is_in_the_table(setting: Setting) -> None:
    row = re.search(rf"^\| `{setting.variable}` \|([^|]*)\|", README, re.MULTILINE)
    assert row is not None
    if setting.default and "{" not in setting.default:
        assert f"`{setting.default}`" in row[1]


def test_the_table_has_no_other_settings() -> None:
    named = re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert sorted(named) == sorted(setting.variable for setting in TABLE)


@pytest.mark.parametrize(
    "command",
    [
        *commands(coordinator.build_parser()),
        *commands(probe.build_parser()),
        *commands(simulator.build_parser()),
    ],
)
def test_every_command_is_named(command: str) -> None:
    assert re.search(rf"`{command}\b", README)


@pytest.mark.parametrize("state", [*PrinterState, *AttemptState])
def test_every_state_is_named(state: str) -> None:
    assert f"`{state}`" in README


def test_the_log_events_that_are_named_exist() -> None:
    first_columns = re.findall(r"^\| ([^|]*) \|", table_below("| event | level |"), re.MULTILINE)
    named = {name for column in first_columns for name in re.findall(r"`(\w+)`", column)}
    assert len(named) > 30
    assert named <= event_names()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if anchor:
            lines = path.read_text(encoding="utf-8").splitlines()
            anchors = [heading_anchor(line) for line in lines if line.startswith("#")]
            assert anchor in anchors, target
