"""A transfer as its printer's process starts it, as far as it needs no OctoPrint."""

from __future__ import annotations

import queue
from pathlib import Path

from pms.domain.states import TransferProblem
from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode
from tests.support.ports import HOST, free_port
from tests.support.specs import worker_spec
from workers.steps import BeginTransfer, TransferOutcome
from workers.transfer import Transfer

JOB = 1
END_S = 20.0


def test_what_is_fetched_is_told_before_any_of_it_can_be_sent(
    file_server: FileServer, tmp_path: Path
) -> None:
    gcode = GeneratedGcode(1_000_000)
    file_server.put(JOB, gcode)
    spec = worker_spec(
        tmp_path,
        address=f"http://{HOST}:{free_port()}",
        file_server_base_url=file_server.base_url,
        transfer_retries=0,
    )
    fetched: list[int] = []
    outcomes: queue.SimpleQueue[TransferOutcome] = queue.SimpleQueue()
    Transfer(
        spec,
        BeginTransfer(5, 2, JOB, "pms/job-1_print-2_try-3.gcode"),
        on_fetch=fetched.append,
        on_progress=lambda sent, total: None,
        on_end=outcomes.put,
    ).start()
    assert outcomes.get(timeout=END_S).problem is TransferProblem.UPLOAD_FAILED
    assert 0 < fetched[0] <= 1_000_000
