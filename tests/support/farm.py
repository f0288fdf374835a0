"""OpenFarm with a coordinator, and what the tests of the whole do with both in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pms.bus import control
from pms.bus.endpoints import Endpoints
from tests.support.broker import Broker
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import Gcode, GeneratedGcode, dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database, Row
from tests.support.waiting import wait_until

#: Far longer than anything takes that works.
TIMEOUT_S = 60.0

#: What may be stored for a job; None: nothing.
File = Gcode | GeneratedGcode | bytes | None


def endless_gcode() -> Gcode:
    """Prints for as long as a test lasts."""
    return dwelling_gcode(seconds=300.0, lines=1000)


class Reachable(Protocol):
    """A real OctoPrint, or a look-alike."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


class Farm:
    """The coordinator is not started yet; settings may be added to its environment."""

    def __init__(
        self,
        coordinator: Coordinator,
        database: Database,
        openfarm: OpenFarm,
        broker: Broker,
        file_server: FileServer,
    ) -> None:
        self.coordinator = coordinator
        self.database = database
        self.openfarm = openfarm
        self.broker = broker
        self.file_server = file_server
        self._models: dict[str, int] = {}
        coordinator.environment["PMS_POLL_INTERVAL"] = "0.5"

    def start(self, **settings: str) -> None:
        """Start the coordinator with these settings, too."""
        self.coordinator.environment.update(settings)
        self.coordinator.start()

    # -- what OpenFarm has ------------------------------------------------------

    def model(self, name: str) -> int:
        """The id of a printer model, which is added when it is not there yet."""
        if name not in self._models:
            self._models[name] = self.openfarm.add_model(name)
        return self._models[name]

    def add_printer(
        self, name: str, server: Reachable, *, model: str = "MK4", **columns: Any
    ) -> int:
        """A printer with its real address and key, unless `columns` say otherwise."""
        columns = {"address": server.url, "api_key": server.api_key} | columns
        return self.openfarm.add_printer(name, self.model(model), **columns)

    def add_job(self, content: File, **columns: Any) -> int:
        """A paid, approved job whose file is on the file server; None: it is not."""
        if "model" not in columns:
            columns["model"] = self.model("MK4")
        if isinstance(content, Gcode | GeneratedGcode):
            columns = {"finished_byte_pos": content.finished_byte_pos} | columns
        job = self.openfarm.add_job(**columns)
        if content is not None:
            self.file_server.put(job, content)
        return job

    def pay(self, content: File, **columns: Any) -> int:
        """The same, and the message that it is paid."""
        job = self.add_job(content, **columns)
        self.broker.publish_job_paid(job)
        return job

    # -- what became of it ------------------------------------------------------

    @property
    def runtime_dir(self) -> Path:
        """Where the coordinator's sockets are."""
        return Path(self.coordinator.environment["PMS_RUNTIME_DIR"])

    def ask(self, question: control.Ask) -> Any:
        """Put a question to the coordinator, without the cost of a command."""
        return control.ask(Endpoints(self.runtime_dir).control, question)

    def status(self) -> dict[str, Any]:
        """What `status --json` shows."""
        status: dict[str, Any] = self.ask(control.GetStatus())
        return status

    def printer(self, name: str) -> dict[str, Any]:
        """A printer as `status` shows it."""
        return next(p for p in self.status()["printers"] if p["name"] == name)

    def wait_for_printer(self, name: str, state: str, bed: str | None = None) -> dict[str, Any]:
        """Wait until a printer is in this state, perhaps with its bed `clear` or `occupied`."""

        def reached() -> dict[str, Any] | None:
            seen = self.printer(name)
            return seen if seen["state"] == state and bed in (None, seen["bed"]) else None

        what = f"{name} {state}" + (f", bed {bed}" if bed else "")
        # A printer that is new in the table is not there at once.
        return wait_until(reached, TIMEOUT_S, what, interval_s=0.05, ignoring=(StopIteration,))

    def wait_for_prints(self, job: int, *statuses: str) -> list[Row]:
        """Wait until the job's prints have these statuses, in any order."""
        wanted = sorted(statuses)
        wait_until(
            lambda: self.openfarm.print_statuses(job) == wanted,
            TIMEOUT_S,
            f"prints of job {job} to be {wanted}",
        )
        return self.openfarm.prints(job)

    def wait_for_completion(self, *jobs: int) -> None:
        """Wait until all of these jobs are completed."""
        wait_until(
            lambda: {self.openfarm.job(job)["job_status"] for job in jobs} == {"completed"},
            TIMEOUT_S,
            f"completion of the jobs {jobs}",
        )

    def attempts(self, job: int) -> list[Row]:
        """All tries to print the job's copies, the first one first."""
        return self.openfarm.rows("pms_attempts", job_id=job)

    def wait_for_attempts(self, job: int, *states: str) -> list[Row]:
        """Wait until the job's attempts are in these states, in their order."""
        wait_until(
            lambda: [row["state"] for row in self.attempts(job)] == list(states),
            TIMEOUT_S,
            f"attempts for job {job} to be {states}",
        )
        return self.attempts(job)

    def reasons(self, job: int) -> list[str]:
        """Why each waiting copy of the job waits, as `status` says it."""
        queue = self.status()["queue"]
        return [entry["reason"] for entry in queue if entry["job_id"] == job]

    def wait_for_reason(self, job: int, words: str) -> str:
        """Wait until copies of the job wait for a reason with these words in it."""

        def found() -> str | None:
            return next((text for text in self.reasons(job) if words in text), None)

        return wait_until(found, TIMEOUT_S, f"job {job} to wait: {words}", interval_s=0.05)

    def attention(self, **whose: int) -> list[str]:
        """What needs attention about `job_id=…` or `printer_id=…`, as `status` says it."""
        items = self.status()["attention"]
        return [item["text"] for item in items if whose.items() <= item.items()]

    def log_lines(self, *words: str) -> list[str]:
        """Lines of the coordinator's log that hold all of these."""
        lines = self.coordinator.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if all(word in line for word in words)]

    def postpone_no_longer(self, job: int) -> None:
        """Let the five minutes pass after which unusable G-code is asked for again."""
        with self.database.connect() as connection:
            connection.execute(
                "UPDATE pms_jobs SET gcode_retry_at = now() WHERE job_id = %s", (job,)
            )

    # -- secrets ------------------------------------------------------------------

    def assert_no_secrets(self, *more: str | bytes) -> None:
        """No key and no password is in the log, in the tables of PMS, or in what commands show."""
        shown = [
            self.coordinator.run(*command.split()).stdout
            for command in ("status", "status --json", "events --json", "printer list", "config")
        ]
        log = self.coordinator.log.read_text(encoding="utf-8")
        for text in (log, *shown, *self._own_tables(), *map(str, more)):
            for secret in self._secrets():
                assert secret not in text, f"{secret!r} in {_around(text, secret)!r}"

    def _secrets(self) -> list[str]:
        keys = [row["api_key"] for row in self.openfarm.rows("printers") if row["api_key"]]
        return [*keys, self.database.password, self.broker.password]

    def _own_tables(self) -> Sequence[str]:
        tables = ("pms_printers", "pms_attempts", "pms_jobs", "pms_outbox", "pms_events")
        return [str(row) for table in tables for row in self.openfarm.rows(table)]


def _around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 200) : at + 200]
