"""All that the process of a printer is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSpec:
    """One printer and the settings that its process needs; travels to the process by pickle."""

    printer_id: int
    #: Counts the processes that this printer has had, across restarts of the coordinator.
    incarnation: int
    name: str
    address: str | None
    api_key: str | None = field(repr=False)
    #: False: watch the printer, but connect nothing.
    enabled: bool
    bus_endpoint: str
    poll_interval_s: float
    http_timeout_s: float
    upload_timeout_s: float
    transfer_retries: int
    #: How long files stay on OctoPrint that only a person could want.
    file_retention_s: float
    #: Bytes a second to this printer; None: any number.
    transfer_rate: int | None
    cache_folder: Path
    cache_bytes: int
    file_server_base_url: str | None = field(repr=False)
    #: Keeps the log-in that was made before the last start, for its owner alone.
    session_file: Path
    #: Where submitted G-code lies when there is no file server.
    gcode_folder: Path
    log_level: str
    log_format: str

    @property
    def identity(self) -> str:
        """Name of the process on the bus, unique for each start."""
        return f"printer-{self.printer_id}.{self.incarnation}"

    def as_incarnation(self, incarnation: int) -> WorkerSpec:
        """The same for the next process of this printer."""
        return replace(self, incarnation=incarnation)
