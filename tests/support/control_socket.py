"""The sockets of a coordinator whose farm is whatever a test says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import zmq

from pms.bus.control import Ask, ControlSocket, GetStatus, Pause
from pms.bus.endpoints import Endpoints
from pms.bus.messages import Progress
from pms.bus.telemetry import Publisher

PRINTER = {
    "id": 1,
    "name": "mk4-1",
    "model": "MK4",
    "enabled": True,
    "state": "printing",
    "bed": "occupied",
    "worker_pid": 17,
    "restarts": 0,
    "print_id": 12,
    "job_id": 3,
    "progress": 0.25,
    "eta_s": 90.0,
    "temperatures": {"bed": {"actual": 60.0, "target": 60.0}},
    "last_seen_at": "2026-05-04T12:00:00+00:00",
    "detail": "",
}
STATUS = {
    "coordinator": {
        "pid": 4711,
        "started_at": "2026-05-04T12:00:00+00:00",
        "database": "connected",
        "broker": "connected",
        "version": "0.1.0",
    },
    "printers": [PRINTER],
    "queue": [{"print_id": 13, "job_id": 3, "reason": "1 MK4 printer: 1 printing"}],
    "attention": [],
}


class CoordinatorSockets:
    """The sockets of a coordinator with a farm that does nothing by itself."""

    def __init__(self, runtime_dir: Path) -> None:
        self._endpoints = Endpoints(runtime_dir)
        self._endpoints.prepare()
        self.status: dict[str, Any] = STATUS
        self.progress: float | None = None
        self.asked: list[Ask] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        control = ControlSocket(context, self._endpoints.control)
        publisher = Publisher(context, self._endpoints.telemetry)
        while not self._end.is_set():
            control.socket.poll(20)
            while (question := control.receive()) is not None:
                self._answer(control, question)
            if self.progress is not None:
                publisher.publish(1, Progress(attempt_id=1, progress=self.progress))
        context.destroy(linger=0)

    def _answer(self, control: ControlSocket, question: Ask) -> None:
        match question:
            case GetStatus():
                control.answer(self.status)
            case Pause():
                control.refuse("print 12 is paused, not printing")
            case _:
                self.asked.append(question)
                control.answer({"state": "doing"})
