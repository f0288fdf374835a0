"""The person at the printers: looks, takes parts off, and tells PMS so."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from typing import Any

import requests

from pms.bus.control import Clear, ask
from pms.demo.octoprint_server import OctoPrintServerError
from pms.errors import PMSError
from tests.chaos.farm import Farm, FarmPrinter
from tests.chaos.monitor import Monitor

ROUND_S = 0.4
#: How long something waits for the person, at least and at most.
PATIENCE_S = (0.3, 2.0)
ASK_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 30.0
#: OctoPrint's words for a printer that does not move and holds no print.
AT_REST = ("Operational", "Closed", "Offline", "Error", "Closed with Error", "Offline after error")


class Operator:
    """A thread that acts on what the status shows, but only after a look at the printer itself."""

    def __init__(self, farm: Farm, monitor: Monitor, seed: int) -> None:
        self._farm = farm
        self._monitor = monitor
        self._random = random.Random(f"{seed} operator")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        #: When the person comes to what is to be done at a printer, monotonic seconds.
        self._comes_at: dict[tuple[int, str], float] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_S):
            status = self._monitor.status()
            if status is None:
                continue
            try:
                self._walk(status)
            except Exception as error:
                self._farm.history.note("operator stumbled", why=repr(error))

    def _walk(self, status: dict[str, Any]) -> None:
        shown = {printer["id"]: printer for printer in status["printers"]}
        doubtful = {item["printer_id"] for item in status["attention"] if "printer_id" in item}
        for printer in self._farm.printers:
            if printer.id in shown:
                self._visit(printer, shown[printer.id], printer.id in doubtful)

    def _visit(self, printer: FarmPrinter, shown: dict[str, Any], doubtful: bool) -> None:
        what = what_to_do(shown, doubtful)
        if what is None or not self._is_there(printer, f"{what} {shown['print_id']}"):
            return
        if what == "enable":
            self._enable(printer)
        else:
            self._clear(printer, shown, what)

    def _is_there(self, printer: FarmPrinter, what: str) -> bool:
        """People do not come at once."""
        now = time.monotonic()
        wait = self._random.uniform(*PATIENCE_S)
        return now >= self._comes_at.setdefault((printer.id, what), now + wait)

    def _clear(self, printer: FarmPrinter, shown: dict[str, Any], what: str) -> None:
        state = self._look(printer)
        if what == "lying part" and state not in (*AT_REST, "Paused"):
            return
        if what != "lying part":
            if state == "Paused":
                self._end_print(printer)
                return
            if state not in AT_REST:
                return
        # The bed is empty from here on; then PMS is told, whether the message arrives or not.
        print_id = shown["print_id"]
        self._farm.history.note(
            "removed", printer=printer.id, print=print_id, seen=what, state=state
        )
        self._comes_at.pop((printer.id, f"{what} {print_id}"), None)
        question = Clear(printer=printer.name, print_id=print_id)
        try:
            answer = ask(self._farm.control, question, ASK_TIMEOUT_S)
        except PMSError as error:
            answer = str(error)
        self._farm.history.note("clear", printer=printer.id, print=print_id, answer=answer)

    def _look(self, printer: FarmPrinter) -> str | None:
        """What the printer itself does; None: that cannot be seen now."""
        try:
            return printer.server.state()
        except (requests.RequestException, OctoPrintServerError):
            return None

    def _end_print(self, printer: FarmPrinter) -> None:
        """A print that PMS gave up waits at its M0: take the part off and let it end."""
        self._farm.history.note("ended at the printer", printer=printer.id)
        body = {"command": "pause", "action": "resume"}
        try:
            printer.server.request("POST", "/api/job", body)
        except requests.RequestException as error:
            self._farm.history.note("operator stumbled", why=repr(error))

    def _enable(self, printer: FarmPrinter) -> None:
        done = subprocess.run(
            [self._farm.command, "printer", "enable", printer.name],
            env=self._farm.operator_environment,
            cwd=self._farm.folder,
            capture_output=True,
            check=False,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        self._farm.history.note(
            "enabled", printer=printer.id, code=done.returncode, said=done.stderr.strip()
        )
        self._comes_at.pop((printer.id, "enable None"), None)


def what_to_do(shown: dict[str, Any], doubtful: bool) -> str | None:
    """What a printer waits for a person to do, as `status` shows it."""
    if shown["state"] == "finished":
        return "lying part" if shown["detail"] != "clearing" else None
    if shown["job_id"] is not None:
        return "doubt" if doubtful and shown["state"] == "error" else None
    if shown["bed"] == "occupied":
        return "occupied bed"
    return "enable" if shown["state"] == "suspended" else None
