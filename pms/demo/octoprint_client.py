"""A client for one OctoPrint, for whoever sets up a demonstration or a test."""

from __future__ import annotations

import time
from typing import Any

import requests

from pms.errors import PMSError

POLL_INTERVAL_S = 0.03


class OctoPrintServerError(PMSError):
    """An OctoPrint of the demonstration did not do what was asked of it."""


class OctoPrintClient:
    """Talks with the OctoPrint at `url`; from any thread, one call at a time."""

    def __init__(self, url: str, api_key: str) -> None:
        #: The base URL, without a slash at its end.
        self.url = url
        self.api_key = api_key

    def request(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 10.0, **options: Any
    ) -> tuple[int, Any]:
        """Make one call; gives the status and the answer, parsed where it is JSON.

        `options` are those of requests, such as `files` and `data`. Raises
        requests.RequestException when there is no answer.
        """
        headers = {"X-Api-Key": self.api_key} | options.pop("headers", {})
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method, self.url + path, json=body, headers=headers, timeout=timeout_s, **options
            )
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            return answer.status_code, answer.json()
        return answer.status_code, answer.text or None

    def connect_printer(self, timeout_s: float = 20.0) -> None:
        """Connect to the virtual printer and wait until it is operational."""
        connect = {"command": "connect", "port": "VIRTUAL", "baudrate": 115200}
        self._expect(204, "POST", "/api/connection", connect)
        self.wait_state("Operational", timeout_s=timeout_s)

    def state(self) -> str:
        """Ask the printer's connection for its state: Closed, Operational, Printing and so on."""
        return str(self._expect(200, "GET", "/api/connection")["current"]["state"])

    def wait_state(self, *wanted: str, timeout_s: float = 20.0) -> str:
        """Wait until the state is one of `wanted`, and give it."""
        deadline = time.monotonic() + timeout_s
        while (state := self.state()) not in wanted:
            if time.monotonic() > deadline:
                raise OctoPrintServerError(f"{self.url} is {state}, not {' or '.join(wanted)}")
            time.sleep(POLL_INTERVAL_S)
        return state

    def job(self) -> dict[str, Any]:
        """Give `/api/job`: the selected file, its progress and the state."""
        job: dict[str, Any] = self._expect(200, "GET", "/api/job")
        return job

    def upload(self, name: str, content: bytes, **fields: str) -> str:
        """Store a file, such as `folder/part.gcode`; gives the path that OctoPrint chose."""
        folder, _, file = name.rpartition("/")
        options = {"files": {"file": (file, content)}, "data": {"path": folder} | fields}
        answer = self._expect(201, "POST", "/api/files/local", timeout_s=60.0, **options)
        return str(answer["files"]["local"]["path"])

    def select_and_print(self, path: str) -> None:
        """Start to print a file that was uploaded."""
        self._expect(204, "POST", f"/api/files/local/{path}", {"command": "select", "print": True})

    def send_gcode(self, *commands: str) -> None:
        """Send commands to the printer; `!!DEBUG:...` makes the virtual printer misbehave."""
        self._expect(204, "POST", "/api/printer/command", {"commands": list(commands)})

    def _expect(self, wanted: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = self.request(method, path, body, **options)
        if status != wanted:
            raise OctoPrintServerError(f"{self.url}{path} answered {status}: {answer}")
        return answer
