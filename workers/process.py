"""Entry of a printer's process, and what the fork server loads ahead for all of them."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import multiprocessing
import os
import signal
from types import FrameType

from workers.spec import WorkerSpec

logger = logging.getLogger(__name__)

#: Loaded once in the fork server, shared by all printers' processes.
PRELOADED = ("workers.preload",)

#: How far the printers' processes stand back, of 19, where there is too much to do at once.
NICENESS = 10

_PR_SET_PDEATHSIG = 1


def main(spec: WorkerSpec) -> None:
    """Run one printer until it is told to stop or its coordinator is gone."""
    _end_with_coordinator()
    from pms import logs
    from workers.loop import PrinterLoop

    logs.configure(spec.log_level, spec.log_format, process=spec.identity)
    logs.register_secret(spec.api_key)
    faulthandler.enable()
    loop = PrinterLoop(spec)

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.stop_soon()

    signal.signal(signal.SIGTERM, stop)
    # A ^C on the terminal is for the coordinator, which tells its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        loop.run()
    except Exception:
        logger.exception("worker_failed", extra={"printer_id": spec.printer_id})
        raise SystemExit(1) from None


def _end_with_coordinator() -> None:
    """Through the fork server, unless one of them is gone already and so past any signal."""
    fork_server = os.getppid()
    end_with_parent()
    coordinator = multiprocessing.parent_process()
    gone = coordinator is not None and not coordinator.is_alive()
    if gone or os.getppid() != fork_server or fork_server == 1:
        raise SystemExit(0)


def end_with_parent() -> None:
    """Let Linux kill this process when its parent ends, even while it hangs or is frozen.

    That is the fork server for a printer's process, and the coordinator for the fork server.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def give_way() -> None:
    """Let the coordinator go before what hundreds of printers' processes do.

    Otherwise it waits for its turn among them while many start or take in files at once.
    """
    os.nice(NICENESS)
