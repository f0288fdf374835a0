"""The REST client against real OctoPrints."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pms.demo.octoprint_server import OctoPrintServer
from pms.demo.octoprint_setup import User
from pms.domain.observation import Activity, FileFacts, Observation
from tests.support.gcode import Content, GeneratedGcode, dwelling_gcode
from tests.support.printers import OctoPrintFactory
from tests.support.waiting import wait_until
from workers.octoprint import (
    Conflict,
    NotFound,
    NotOctoPrint,
    OctoPrint,
    Rejected,
    TimedOut,
    Unauthorized,
    Unreachable,
    UploadAborted,
)

PATH = "pms/job-1_print-2_try-1.gcode"


@pytest.fixture
def server(octoprint_factory: OctoPrintFactory) -> OctoPrintServer:
    (server,) = octoprint_factory()
    return server


@pytest.fixture
def client(server: OctoPrintServer) -> Iterator[OctoPrint]:
    with OctoPrint(server.url, server.api_key) as client:
        yield client


def upload(client: OctoPrint, folder: Path, content: bytes, remote_path: str = PATH) -> str:
    local = folder / "local.gcode"
    local.write_bytes(content)
    return client.upload(local, remote_path, lambda sent, total: None, 60.0, lambda: False)


def stored_as(gcode: Content, facts: FileFacts | None) -> FileFacts:
    """What OctoPrint should say of it, whatever the time."""
    assert facts is not None
    return FileFacts(path=PATH, size=gcode.size, sha1=gcode.sha1, uploaded_at=facts.uploaded_at)


def look_until(
    client: OctoPrint, path: str | None, condition: Callable[[Observation], bool], what: str
) -> Observation:
    def look() -> Observation | None:
        seen = client.look(path)
        return seen if condition(seen) else None

    seen = wait_until(look, 30, what)
    assert seen is not None
    return seen


def look_for(client: OctoPrint, activity: Activity, path: str | None = None) -> Observation:
    return look_until(client, path, lambda seen: seen.activity is activity, activity)


class TestLook:
    def test_disconnected_connecting_and_operational(
        self, octoprint_factory: OctoPrintFactory
    ) -> None:
        (server,) = octoprint_factory(autoconnect=False)
        with OctoPrint(server.url, server.api_key) as client:
            assert client.look() == Observation(activity=Activity.DISCONNECTED, state_text="Closed")
            client.connect_printer()
            seen = look_for(client, Activity.OPERATIONAL)
            assert (seen.path, seen.progress, seen.error) == (None, None, "")
            client.connect_printer()
            assert client.look().activity is Activity.OPERATIONAL
            server.request("POST", "/api/connection", {"command": "disconnect"})
            look_for(client, Activity.DISCONNECTED)

    def test_a_print_that_pauses_at_its_m0_and_is_resumed(
        self, client: OctoPrint, tmp_path: Path
    ) -> None:
        gcode = dwelling_gcode(1.0)
        path = upload(client, tmp_path, gcode.content)
        facts = client.look(path).file
        assert facts == stored_as(gcode, facts)
        assert not facts.was_printed

        client.start(path)
        seen = look_for(client, Activity.PRINTING, path)
        assert seen.path == path
        assert seen.file == facts
        with pytest.raises(Conflict) as caught:
            client.start(path)
        assert caught.value.certainly_not_done

        seen = look_for(client, Activity.PAUSED, path)
        assert (seen.path, seen.filepos) == (path, gcode.finished_byte_pos)
        assert seen.progress is not None
        assert 0.5 < seen.progress < 1.0
        with pytest.raises(Conflict, match="currently in use"):
            client.delete(path)

        client.resume()
        seen = look_for(client, Activity.OPERATIONAL, path)
        assert (seen.path, seen.progress) == (path, 1.0)
        seen = look_until(client, path, was_printed, "the history")
        assert seen.file is not None
        assert (seen.file.successes, seen.file.last_success) == (1, True)
        assert seen.file.last_print_time_s is not None

        client.delete(path)
        client.delete(path)
        assert client.file(path) is None

    def test_pause_resume_and_cancel(self, client: OctoPrint, tmp_path: Path) -> None:
        path = upload(client, tmp_path, dwelling_gcode(60.0, lines=600).content)
        client.start(path)
        look_for(client, Activity.PRINTING)
        client.pause()
        assert look_for(client, Activity.PAUSED).state_text == "Paused"
        client.resume()
        look_for(client, Activity.PRINTING)
        client.cancel()
        seen = look_for(client, Activity.OPERATIONAL, path)
        assert (seen.path, seen.filepos, seen.progress) == (path, None, None)
        seen = look_until(client, path, was_printed, "the history")
        assert seen.file is not None
        assert (seen.file.failures, seen.file.last_success) == (1, False)
        for call in (client.pause, client.resume, client.cancel):
            with pytest.raises(Conflict):
                call()

    def test_finishing_while_the_printer_still_moves(
        self, octoprint_factory: OctoPrintFactory, tmp_path: Path
    ) -> None:
        (server,) = octoprint_factory(speed="slow")
        with OctoPrint(server.url, server.api_key) as client:
            path = upload(client, tmp_path, b"G28\nG1 X20 F600\n")
            client.start(path)
            seen = look_for(client, Activity.FINISHING, path)
            assert (seen.path, seen.progress) == (path, 1.0)
            look_for(client, Activity.OPERATIONAL, path)

    def test_an_error_of_the_firmware(
        self, server: OctoPrintServer, client: OctoPrint, tmp_path: Path
    ) -> None:
        path = upload(client, tmp_path, dwelling_gcode(60.0, lines=600).content)
        client.start(path)
        look_for(client, Activity.PRINTING)
        server.send_gcode("!!DEBUG:trigger_fatal_error_marlin")
        seen = look_for(client, Activity.ERROR, path)
        assert seen.state_text == "Offline after error"
        assert "Thermal Runaway" in seen.error
        assert seen.path is None
        assert look_until(client, path, was_printed, "the history").file is not None
        with pytest.raises(Conflict) as caught:
            client.start(path)
        assert caught.value.certainly_not_done
        client.connect_printer()
        assert look_for(client, Activity.OPERATIONAL).error == ""


def was_printed(seen: Observation) -> bool:
    return seen.file is not None and seen.file.was_printed


class TestFiles:
    def test_an_upload_gets_there_whole(
        self, server: OctoPrintServer, client: OctoPrint, tmp_path: Path, report: dict[str, str]
    ) -> None:
        gcode = GeneratedGcode(100 * 1024 * 1024)
        local = tmp_path / "big.gcode"
        with local.open("wb") as file:
            file.writelines(gcode.chunks())
        seen: list[tuple[int, int]] = []
        client.version()

        before = peak_memory(reset=True)
        path = client.upload(local, PATH, lambda *sent: seen.append(sent), 60.0, lambda: False)
        growth = peak_memory() - before
        report["memory for uploading 100 MiB"] = f"{growth / 2**20:.1f} MiB"

        assert growth < 8 * 2**20
        assert path == PATH
        facts = client.file(path)
        assert facts == stored_as(gcode, facts)
        assert facts.uploaded_at == pytest.approx(time.time(), abs=60.0)
        with (server.uploads / path).open("rb") as stored:
            assert hashlib.file_digest(stored, "sha1").hexdigest() == gcode.sha1
        assert seen[-1] == (gcode.size, gcode.size)

    def test_an_upload_keeps_to_its_rate(self, server: OctoPrintServer, tmp_path: Path) -> None:
        rate, content = 400_000, b"G1 X1\n" * 50_000
        with OctoPrint(server.url, server.api_key, upload_bytes_per_s=rate) as client:
            began = time.monotonic()
            path = upload(client, tmp_path, content)
            taken_s = time.monotonic() - began
            facts = client.file(path)
        assert taken_s >= len(content) / rate
        assert facts is not None
        assert facts.sha1 == hashlib.sha1(content).hexdigest()

    def test_octoprint_may_choose_another_name(self, client: OctoPrint, tmp_path: Path) -> None:
        path = upload(client, tmp_path, b"G28\n", "pms/a:b?*.gcode")
        assert path == "pms/ab.gcode"
        assert client.file(path) is not None

    def test_names_with_all_sorts_of_characters(self, client: OctoPrint, tmp_path: Path) -> None:
        path = upload(client, tmp_path, b"G28\n", "pms/é ü#%41+=.gcode")
        facts = client.file(path)
        assert facts is not None
        assert facts.path == path
        client.start(path)
        look_until(client, path, was_printed, "the history")

    def test_an_aborted_upload_stores_nothing(self, client: OctoPrint, tmp_path: Path) -> None:
        local = tmp_path / "local.gcode"
        local.write_bytes(b"G1 X1\n" * 1_000_000)
        begun: list[int] = []
        with pytest.raises(UploadAborted):
            client.upload(
                local, PATH, lambda sent, total: begun.append(sent), 60.0, lambda: bool(begun)
            )
        assert client.file(PATH) is None
        assert upload(client, tmp_path, b"G28\n") == PATH

    def test_refused_uploads(self, client: OctoPrint, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match="invalid type") as caught:
            upload(client, tmp_path, b"text", "pms/a.txt")
        assert caught.value.status == 415
        path = upload(client, tmp_path, dwelling_gcode(60.0, lines=600).content)
        client.start(path)
        look_for(client, Activity.PRINTING)
        with pytest.raises(Conflict, match="currently being printed"):
            upload(client, tmp_path, b"G28\n")

    def test_lists_and_absent_files(self, client: OctoPrint, tmp_path: Path) -> None:
        assert client.files() == []
        assert client.files("pms") == []
        # In a folder that does not exist, too, where OctoPrint itself fails.
        for absent in ("none.gcode", "pms/none.gcode", "pms/deep/er/none.gcode"):
            assert client.file(absent) is None
        assert client.files("pms/deep/er") == []
        with pytest.raises(NotFound) as caught:
            client.start("pms/none.gcode")
        assert caught.value.certainly_not_done
        paths = ["a.gcode", "pms/b.gcode", "pms/deep/c.gcode"]
        for path in paths:
            upload(client, tmp_path, b"G28\n", path)
        assert sorted(facts.path for facts in client.files()) == paths
        assert sorted(facts.path for facts in client.files("pms")) == paths[1:]
        assert client.file("pms") is None


class TestKeys:
    def test_the_key_s_own_name_and_session(
        self, server: OctoPrintServer, client: OctoPrint
    ) -> None:
        session = client.login()
        assert session.name == "admin"
        assert session.session
        assert client.version()["server"].startswith("1.")

    @pytest.mark.parametrize("key", ["WRONG", ""])
    def test_a_wrong_key_is_never_mistaken_for_anything_else(
        self, octoprint_factory: OctoPrintFactory, tmp_path: Path, key: str
    ) -> None:
        (server,) = octoprint_factory(autoconnect=False)
        with OctoPrint(server.url, key) as client:
            calls: list[Callable[[], object]] = [
                client.login,
                client.look,
                client.files,
                client.connect_printer,
                lambda: client.file(PATH),
                lambda: client.start(PATH),
                lambda: client.delete(PATH),
                lambda: upload(client, tmp_path, b"G28\n"),
            ]
            for call in calls:
                with pytest.raises(Unauthorized, match="api_key") as caught:
                    call()
                assert caught.value.certainly_not_done
                assert "WRONG" not in str(caught.value)
        assert list(server.uploads.rglob("*.gcode")) == []

    def test_a_user_without_the_permission(self, octoprint_factory: OctoPrintFactory) -> None:
        users = {"viewer": User(api_key="VIEWERKEY", groups=("readonly",))}
        (server,) = octoprint_factory(users=users)
        with OctoPrint(server.url, "VIEWERKEY") as client:
            assert client.look().activity is Activity.OPERATIONAL
            with pytest.raises(Unauthorized, match="permission"):
                client.connect_printer()


class TestServersThatGo:
    def test_the_kept_connection_survives_a_restart(
        self, server: OctoPrintServer, client: OctoPrint
    ) -> None:
        assert client.look().activity is Activity.OPERATIONAL
        server.kill()
        with pytest.raises(Unreachable) as caught:
            client.look()
        assert caught.value.refused
        assert caught.value.certainly_not_done
        server.start()
        # Refused connections, then a stand-in without any HTTP headers, then OctoPrint.
        wait_until(client.version, 30, "OctoPrint", ignoring=(Unreachable, NotOctoPrint))
        look_for(client, Activity.OPERATIONAL)

    def test_a_server_that_hangs(self, server: OctoPrintServer) -> None:
        with OctoPrint(server.url, server.api_key, timeout_s=0.5) as client:
            client.version()
            server.freeze()
            with pytest.raises(TimedOut) as caught:
                client.start(PATH)
            assert not caught.value.certainly_not_done
            server.thaw()
            wait_until(client.version, 30, "OctoPrint", ignoring=(TimedOut,))

    def test_a_server_that_dies_in_an_upload(
        self, server: OctoPrintServer, client: OctoPrint, tmp_path: Path
    ) -> None:
        local = tmp_path / "local.gcode"
        local.write_bytes(b"G1 X1\n" * 5_000_000)

        def kill(sent: int, total: int) -> None:
            if server.running:
                server.kill()

        with pytest.raises(Unreachable, match="broke off"):
            client.upload(local, PATH, kill, 60.0, lambda: False)


def peak_memory(*, reset: bool = False) -> int:
    """The most memory this process has used so far, or since the last reset; bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
