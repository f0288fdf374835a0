"""`pms-probe check` as its users run it, and what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.commands import Commands, command_line

TIMEOUT_S = 60.0
WRONG = ("warning", "failed")
#: Said instead of another remedy when this machine has an OctoPrint on a usual port.
ELSEWHERE = "an OctoPrint answers at http"


class Checked:
    """What a check said."""

    def __init__(self, code: int, report: dict[str, Any]) -> None:
        self.code = code
        self.printer = report["printer"]
        self.steps = {step["name"]: step for step in report["steps"]}
        self.wrong = [name for name, step in self.steps.items() if step["result"] in WRONG]
        assert report["ok"] == (code == 0) == (not self.wrong)

    def expect(self, step: str, cause: str, remedy: str) -> None:
        """Nothing is wrong but this step, with these patterns in its texts."""
        assert self.wrong == [step], self.steps
        assert re.search(cause, self.steps[step]["cause"]), self.steps[step]
        assert re.search(remedy, self.steps[step]["remedy"]), self.steps[step]

    def left_out(self, because: str) -> list[str]:
        """The steps that were skipped because another one failed."""
        reason = f"depends on {because}"
        return [
            name
            for name, step in self.steps.items()
            if (step["result"], step["detail"]) == ("skipped", reason)
        ]


class Checker:
    """Runs the command, with this API key unless told otherwise."""

    def __init__(self, api_key: str, authority: Path) -> None:
        self._api_key = api_key
        #: Printers are reached soon, or not at all.
        self._environment = os.environ | {
            "PMS_HTTP_TIMEOUT": "3",
            "SSL_CERT_FILE": str(authority),
        }

    def __call__(self, url: str, *options: str, key: str | None = None) -> Checked:
        """Check what is at a URL."""
        return self._checked(self.show(url, "--json", *options, key=key))

    def show(self, url: str, *options: str, key: str | None = None) -> Done:
        """The same for people, or as `options` say."""
        key = key or self._api_key
        done = run(self._environment | {"OCTOPRINT_API_KEY": key}, url, *options)
        assert key not in done.stdout
        return done

    def printer(self, commands: Commands, printer: str) -> Checked:
        """Check a printer of the database."""
        return self._checked(run(commands.environment, "--printer", printer, "--json"))

    def _checked(self, done: Done) -> Checked:
        return Checked(done.returncode, json.loads(done.stdout))


Done = subprocess.CompletedProcess[str]


def run(environment: Mapping[str, str], *arguments: str) -> Done:
    """Run `pms-probe check` to its end."""
    done = subprocess.run(
        command_line(("pms-probe", "check", *arguments)),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.stderr == ""
    return done
