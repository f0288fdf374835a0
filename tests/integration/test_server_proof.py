"""The proof that an OctoPrint is still the same process, on a real one."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.support.printers import OctoPrintFactory
from workers.octoprint import OctoPrint, Session
from workers.server_proof import KeptSession, is_taken

PATH = "pms/job-1_print-1_try-1.gcode"


def test_a_session_is_taken_by_the_server_that_gave_it_and_by_no_later_one(
    octoprint_factory: OctoPrintFactory,
) -> None:
    (server,) = octoprint_factory()
    with OctoPrint(server.url, server.api_key) as octoprint:
        session = octoprint.login()
    assert is_taken(server.url, session, 5.0)
    assert is_taken(server.url, session, 5.0)
    server.kill()
    server.start()
    server.wait_ready()
    assert not is_taken(server.url, session, 5.0)


def test_a_made_up_session_is_not_taken(octoprint_factory: OctoPrintFactory) -> None:
    (server,) = octoprint_factory()
    assert not is_taken(server.url, Session(name="admin", session="0" * 64), 5.0)


def test_the_session_is_kept_for_its_path_and_its_owner_alone(tmp_path: Path) -> None:
    kept = KeptSession(tmp_path / "printer-1.session")
    assert kept.recall(PATH) is None
    kept.keep(PATH, Session(name="admin", session="secret"))
    assert kept.recall(PATH) == Session(name="admin", session="secret")
    assert kept.recall("pms/another.gcode") is None
    assert stat.S_IMODE((tmp_path / "printer-1.session").stat().st_mode) == 0o600
    (tmp_path / "printer-1.session").write_bytes(b"{")
    assert kept.recall(PATH) is None
