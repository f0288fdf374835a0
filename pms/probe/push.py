"""Tries OctoPrint's push socket: whether it opens, takes a log-in, and delivers."""

from __future__ import annotations

import time
from dataclasses import dataclass

import websocket

from pms.probe import service_diagnosis
from pms.probe.findings import Finding
from workers.octoprint import OctoPrint, Session
from workers.octoprint_errors import OctoPrintError
from workers.push_socket import PushSocket
from workers.server_proof import verdict


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of it."""

    finding: Finding
    #: Seconds by which OctoPrint's clock is ahead of the one here, when it told its time.
    clock_ahead_s: float | None = None


def listen(octoprint: OctoPrint, timeout_s: float) -> Heard:
    """Log in and wait for the first picture of the printer; each may take `timeout_s`."""
    try:
        session = octoprint.login()
    except OctoPrintError as error:
        return Heard(service_diagnosis.no_login(error))
    socket = PushSocket(octoprint.address)
    try:
        return _converse(socket, session, timeout_s)
    finally:
        socket.close()


def _converse(socket: PushSocket, session: Session, timeout_s: float) -> Heard:
    opened_at = time.monotonic()
    try:
        socket.open(timeout_s)
    except OctoPrintError as error:
        return Heard(service_diagnosis.push_not_opened(error, _refused_with(error)))
    try:
        picture = verdict(socket, session, timeout_s).picture
    except OctoPrintError as error:
        return Heard(service_diagnosis.push_silent(error))
    if picture is None:
        return Heard(service_diagnosis.push_log_in_refused())
    told = picture.server_time
    return Heard(
        service_diagnosis.push_ok(time.monotonic() - opened_at),
        clock_ahead_s=None if told is None else told - time.time(),
    )


def _refused_with(error: OctoPrintError) -> int | None:
    """The HTTP status that came instead of a WebSocket."""
    cause = error.__cause__
    return cause.status_code if isinstance(cause, websocket.WebSocketBadStatusException) else None
