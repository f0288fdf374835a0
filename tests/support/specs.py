"""What a printer's process is told when a test starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.spec import WorkerSpec


def worker_spec(folder: Path, **changes: Any) -> WorkerSpec:
    """Of printer 1, which keeps its files in this folder."""
    settings: dict[str, Any] = {
        "printer_id": 1,
        "incarnation": 1,
        "name": "p1",
        "address": None,
        "api_key": "key",
        "enabled": True,
        "bus_endpoint": "",
        "poll_interval_s": 1.0,
        "http_timeout_s": 10.0,
        "upload_timeout_s": 10.0,
        "transfer_rate": None,
        "transfer_retries": 5,
        "file_retention_s": 0.0,
        "cache_folder": folder / "cache",
        "cache_bytes": 100_000_000,
        "file_server_base_url": None,
        "session_file": folder / "session",
        "gcode_folder": folder,
        "log_level": "INFO",
        "log_format": "console",
    }
    return WorkerSpec(**settings | changes)
