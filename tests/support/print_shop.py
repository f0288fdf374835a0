"""Real printers at work for a coordinator, and the proof that each copy was printed once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pms.bus import control
from pms.bus.endpoints import Endpoints
from pms.demo.octoprint_server import OctoPrintServer
from tests.support.broker import Broker, Message
from tests.support.coordinator import Coordinator
from tests.support.file_server import FileServer
from tests.support.gcode import Gcode, dwelling_gcode
from tests.support.openfarm import OpenFarm
from tests.support.postgres import Database, Row
from tests.support.waiting import wait_until

#: Gets a copy of every notification, in the order in which the broker took them.
RECORDER = "recorder"
STORY = ["PrintStarted", "PrintFinished", "PrintCleared"]
TIMEOUT_S = 60.0

COMMENT = b";".ljust(1023, b".") + b"\n"


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job of one copy."""

    job: int
    gcode: Gcode


class PrintShop:
    """Printers `p0`, `p1` ... of a model each, which eject their parts, and a coordinator."""

    def __init__(
        self,
        coordinator: Coordinator,
        database: Database,
        broker: Broker,
        file_server: FileServer,
        servers: Sequence[OctoPrintServer],
    ) -> None:
        self.coordinator = coordinator
        self.broker = broker
        self.file_server = file_server
        self.servers = servers
        self.openfarm = OpenFarm(database)
        self._database = database
        self._told: list[Message] = []
        self.models = [
            self.openfarm.add_model(f"m{n}", autostart=True) for n in range(len(servers))
        ]
        self.ids = [
            self.openfarm.add_printer(f"p{n}", model, server.url, server.api_key)
            for n, (model, server) in enumerate(zip(self.models, servers, strict=True))
        ]
        self._record()

    def close(self) -> None:
        for server in self.servers:
            server.thaw()
        self.openfarm.close()

    def reconnect(self) -> None:
        """After the database was away."""
        self.openfarm.close()
        self.openfarm = OpenFarm(self._database)

    def _record(self) -> None:
        with self.broker.channel() as channel:
            channel.queue_declare(RECORDER, durable=True)
            for exchange in STORY:
                channel.queue_bind(RECORDER, exchange, routing_key="")

    # -- how the printers are ---------------------------------------------------

    def clear_by_hand(self) -> None:
        """From now on parts stay on the beds; before the coordinator starts."""
        for printer_id in self.ids:
            self.openfarm.update("printers", printer_id, autostart=False)

    def use_one_model(self) -> None:
        """Let every printer print everything; before the coordinator starts."""
        for printer_id in self.ids:
            self.openfarm.update("printers", printer_id, printer_model_id=self.models[0])

    # -- the coordinator ----------------------------------------------------------

    def start(self) -> None:
        """Start the coordinator and wait for the printers."""
        self.coordinator.start()
        for n in range(len(self.ids)):
            self.wait_for(n, "idle")

    def printer(self, n: int) -> dict[str, Any]:
        """A printer as `status` shows it, without the cost of a command."""
        endpoints = Endpoints(Path(self.coordinator.environment["PMS_RUNTIME_DIR"]))
        status = control.ask(endpoints.control, control.GetStatus(), timeout_s=20.0)
        return next(p for p in status["printers"] if p["id"] == self.ids[n])

    def wait_for(self, n: int, *states: str) -> dict[str, Any]:
        """Wait until a printer is in one of the states; gives it."""

        def reached() -> dict[str, Any] | None:
            printer = self.printer(n)
            return printer if printer["state"] in states else None

        return wait_until(reached, TIMEOUT_S, f"p{n} {' or '.join(states)}")

    def wait_for_new_worker(self, n: int, old_pid: int) -> dict[str, Any]:
        """Wait until another process serves the printer and knows what it does; gives it."""

        def replaced() -> dict[str, Any] | None:
            printer = self.printer(n)
            known = printer["state"] not in ("starting", "unreachable")
            return printer if known and printer["worker_pid"] not in (None, old_pid) else None

        return wait_until(replaced, TIMEOUT_S, f"another process for p{n}")

    # -- jobs -----------------------------------------------------------------------

    def order(
        self,
        n: int,
        seconds: float,
        *,
        m0: bool = True,
        padding: int = 0,
        message: bool = True,
        **columns: Any,
    ) -> Work:
        """A paid job of one copy for the model of a printer, whose JobPaid is sent.

        `padding` bytes of comments make its file longer.
        """
        gcode = padded(dwelling_gcode(seconds, m0=m0), padding)
        job = self.openfarm.add_job(
            model=self.models[n], finished_byte_pos=gcode.finished_byte_pos, **columns
        )
        self.file_server.put(job, gcode)
        if message:
            self.broker.publish_job_paid(job)
        return Work(job=job, gcode=gcode)

    def statuses(self, work: Work) -> list[str]:
        return self.openfarm.print_statuses(work.job)

    def wait_printing(self, *works: Work) -> None:
        def all_print() -> bool:
            return all("printing" in self.statuses(work) for work in works)

        wait_until(all_print, TIMEOUT_S, "the prints' start")

    def wait_completed(self, *works: Work) -> None:
        def all_are() -> bool:
            jobs = [self.openfarm.job(work.job) for work in works]
            return all(job["job_status"] == "completed" for job in jobs)

        wait_until(all_are, TIMEOUT_S, "the jobs' completion")

    # -- the proof ------------------------------------------------------------------

    def check(self, *works: Work, may_repeat: bool = False) -> None:
        """Wait until all are completed; each was printed and told of exactly once.

        `may_repeat`: coordinator or broker died, perhaps between a message and its confirmation,
        so that it may have come twice.
        """
        self.wait_completed(*works)
        self._wait_all_published()
        for work in works:
            self._check_rows(work)
            self._check_printed(work)
            self._check_told(work, may_repeat)
        for n, printer_id in enumerate(self.ids):
            assert not self.openfarm.printer(printer_id)["currently_printing"]
            assert self.printer(n)["bed"] == "clear"

    def told(self, work: Work) -> list[Message]:
        """The notifications of a job so far, in their order."""
        self._told += self.broker.messages(RECORDER)
        return [message for message in self._told if message.body["JobId"] == work.job]

    def told_ids(self) -> list[str]:
        """The ids of all notifications so far, in the order in which the broker took them."""
        self._told += self.broker.messages(RECORDER)
        return [str(message.properties.message_id) for message in self._told]

    def _wait_all_published(self) -> None:
        wait_until(lambda: not self._unpublished(), TIMEOUT_S, "the outbox to be empty")

    def _unpublished(self) -> list[Row]:
        rows = self.openfarm.rows("pms_outbox")
        return [row for row in rows if row["published_at"] is None]

    def _check_rows(self, work: Work) -> None:
        job = self.openfarm.job(work.job)
        (copy,) = self.openfarm.prints(work.job)
        assert copy["print_status"] == "completed"
        times = [copy["created_at"], copy["started_at"], copy["finished_at"], job["completed_at"]]
        assert times == sorted(times)
        (attempt,) = self.openfarm.rows("pms_attempts", job_id=work.job)
        assert attempt["state"] == "cleared"

    def _check_printed(self, work: Work) -> None:
        lines = [work.gcode.marks_in(server.printer_log()) for server in self.servers]
        whole = [*work.gcode.marks, *work.gcode.marks_behind]
        assert [printed for printed in lines if printed] == [whole]

    def _check_told(self, work: Work, may_repeat: bool) -> None:
        messages = self.told(work)
        by_id = {message.properties.message_id: message for message in messages}
        assert may_repeat or len(by_id) == len(messages)
        assert [message.properties.type for message in by_id.values()] == STORY


def padded(gcode: Gcode, size: int) -> Gcode:
    """The same with about so many bytes of comments in front."""
    lines = COMMENT * (size // len(COMMENT))
    marker = gcode.finished_byte_pos
    return replace(
        gcode,
        content=lines + gcode.content,
        finished_byte_pos=None if marker is None else marker + len(lines),
    )


def parent_of(pid: int) -> int:
    """The process that has started this one."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])


def strike(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that has to be there."""
    os.kill(pid, number)


def only(rows: Iterable[Row]) -> Row:
    """The one that there is."""
    (row,) = rows
    return row
