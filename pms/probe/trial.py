"""Stores a small file in a folder of its own at an OctoPrint, and takes it away again."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
from pathlib import Path

from pms.probe import service_diagnosis
from pms.probe.findings import Finding, ok, skipped
from pms.probe.inside import Inside
from pms.probe.server_diagnosis import FILES_DELETE, FILES_LIST, FILES_UPLOAD
from pms.probe.steps import Step
from workers.octoprint_errors import OctoPrintError

#: Harmless, even if somebody printed it: it asks for the temperatures.
GCODE = b"; pms-probe check\nM105\n"
_FILE = "check.gcode"


class Trial:
    """An upload, which neither selects nor prints its file, a comparison, and a deletion."""

    def __init__(self, inside: Inside, timeout_s: float) -> None:
        self._inside = inside
        self._timeout_s = timeout_s
        #: Used once, so that nothing of anybody else's can be in it.
        self._folder = f"pms-probe-{secrets.token_hex(4)}"
        self._path = ""
        self._is_stored = False

    def steps(self) -> list[Step]:
        """In order."""
        return [
            # What could not be found or taken away again would stay there.
            Step("upload", self._upload, (FILES_UPLOAD.step, FILES_LIST.step, FILES_DELETE.step)),
            Step("checksum", self._compare, ("upload",)),
            Step("deletion", self._delete, ("upload",)),
        ]

    def clean_up(self) -> None:
        """Take away what an interrupted check has left, if OctoPrint lets it."""
        if self._is_stored:
            with contextlib.suppress(OctoPrintError):
                self._inside.octoprint.delete(self._folder)

    def _upload(self) -> Finding:
        # It may be stored even if the answer is lost.
        self._is_stored = True
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, _FILE)
            local.write_bytes(GCODE)
            try:
                self._path = self._inside.octoprint.upload(
                    local,
                    f"{self._folder}/{_FILE}",
                    on_progress=lambda _sent, _total: None,
                    timeout_s=self._timeout_s,
                    abort=lambda: False,
                )
            except OctoPrintError as error:
                return service_diagnosis.upload_failed(error)
        return ok(f"{len(GCODE)} bytes as {self._path}")

    def _compare(self) -> Finding:
        stored = self._inside.octoprint.file(self._path)
        sent = hashlib.sha1(GCODE, usedforsecurity=False).hexdigest()
        return service_diagnosis.checksum(sent, None if stored is None else stored.sha1)

    def _delete(self) -> Finding:
        octoprint = self._inside.octoprint
        octoprint.delete(self._folder)
        if octoprint.file(self._path) is not None:
            return service_diagnosis.not_deleted()
        self._is_stored = False
        return ok("gone again")


def left_out() -> list[Step]:
    """The same steps, for a check that must not write."""
    return [
        Step(name, lambda: skipped("left out by --no-write"))
        for name in ("upload", "checksum", "deletion")
    ]
