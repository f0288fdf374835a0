"""The file server as the cache meets it: well, broken, and something else altogether."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode
from tests.support.ports import HOST, free_port
from tests.support.waiting import wait_until
from workers.gcode import CachedGcode, GcodeCache
from workers.gcode_sources import FileServerSource, GcodeError, GcodeMissing, GcodeUnavailable

GCODE = GeneratedGcode(1_000_000)
LIMIT_BYTES = 1 << 40
HTTP_TIMEOUT_S = 5.0
SHORT_TIMEOUT_S = 0.2
DEADLINE_S = 30.0
PROCESSES = multiprocessing.get_context("spawn")


def fetch(folder: Path, base_url: str, timeout_s: float = HTTP_TIMEOUT_S) -> CachedGcode:
    source = FileServerSource(base_url, timeout_s)
    with GcodeCache(folder, LIMIT_BYTES).fetch(7, source) as gcode:
        return gcode.facts()


@pytest.mark.parametrize("with_length", [False, True])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_file_arrives_as_it_is(
    file_server: FileServer, tmp_path: Path, with_length: bool, slash: str
) -> None:
    file_server.put(7, GCODE, with_length=with_length)

    gcode = fetch(tmp_path, file_server.base_url + slash)

    assert (gcode.size, gcode.sha1) == (GCODE.size, GCODE.sha1)
    assert gcode.finish_marker == GCODE.finished_byte_pos
    assert fetch(tmp_path, file_server.base_url) == gcode
    assert len(file_server.requests_for(7)) == 1


@pytest.mark.parametrize("with_length", [False, True])
def test_an_answer_that_is_cut_short_can_be_asked_for_again(
    file_server: FileServer, tmp_path: Path, with_length: bool
) -> None:
    file_server.put(7, GCODE, with_length=with_length, cuts=1, cut_after=300_000)

    with pytest.raises(GcodeUnavailable) as caught:
        fetch(tmp_path, file_server.base_url)

    assert str(caught.value) == (
        f"job 7: {file_server.base_url}/api/gcode/7 broke off the connection"
        " before the end of the G-code"
    )
    assert fetch(tmp_path, file_server.base_url).sha1 == GCODE.sha1


def test_a_passing_fault_can_be_asked_for_again(file_server: FileServer, tmp_path: Path) -> None:
    file_server.put(7, GCODE, failures=1)

    with pytest.raises(GcodeUnavailable) as caught:
        fetch(tmp_path, file_server.base_url)

    assert "answers 500" in str(caught.value)
    assert fetch(tmp_path, file_server.base_url).sha1 == GCODE.sha1


def test_no_file_is_said_in_words(file_server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(GcodeMissing) as caught:
        fetch(tmp_path, file_server.base_url)

    assert str(caught.value) == (
        "job 7: the file server has no G-code for it"
        f" ({file_server.base_url}/api/gcode/7 answers 404);"
        " upload the file again or reject the job"
    )


def test_a_stream_that_stands_still_is_given_up(file_server: FileServer, tmp_path: Path) -> None:
    file_server.put(7, GCODE).gate.clear()

    with pytest.raises(GcodeUnavailable) as caught:
        fetch(tmp_path, file_server.base_url, SHORT_TIMEOUT_S)

    assert "has sent nothing for 0.2 s" in str(caught.value)


def test_a_server_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    address = f"http://{HOST}:{free_port()}"

    with pytest.raises(GcodeUnavailable) as caught:
        fetch(tmp_path, address)

    assert str(caught.value) == (
        f"job 7: {address}/api/gcode/7 cannot be reached; does the file server run?"
    )


def test_an_unknown_host_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(GcodeUnavailable, match="unknown host name; check FILE_SERVER_BASE_URL"):
        fetch(tmp_path, "http://file-processor.invalid")


class CannedServer:
    """Answers the first request with given bytes, and keeps the request."""

    def __init__(self, answer: bytes) -> None:
        self.request = b""
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with self._listener, connection:
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(65536)
            connection.sendall(self._answer)


@contextmanager
def answering(answer: bytes) -> Iterator[CannedServer]:
    server = CannedServer(answer)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    thread.join(DEADLINE_S)


def answer(head: str, body: bytes = b"G28\n") -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("canned", "kind", "words"),
    [
        (answer("400 Bad Request"), GcodeMissing, "answers 400"),
        (answer("401 Unauthorized"), GcodeMissing, "answers 401"),
        (answer("204 No Content", b""), GcodeMissing, "answers 204"),
        (answer("302 Found\r\nLocation: /elsewhere"), GcodeMissing, "answers 302"),
        (answer("408 Request Timeout"), GcodeUnavailable, "answers 408"),
        (answer("429 Too Many Requests"), GcodeUnavailable, "answers 429"),
        (answer("503 Service Unavailable"), GcodeUnavailable, "answers 503"),
        (
            answer("200 OK\r\nContent-Type: text/html; charset=utf-8", b"<html>"),
            GcodeMissing,
            "text/html",
        ),
        (answer("200 OK\r\nContent-Encoding: gzip"), GcodeMissing, "gzip"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", GcodeUnavailable, ""),
        (b"220 mail.example ESMTP\r\n", GcodeUnavailable, ""),
        (b"", GcodeUnavailable, "broke off the connection"),
    ],
)
def test_other_answers_are_refused(
    tmp_path: Path, canned: bytes, kind: type[GcodeError], words: str
) -> None:
    with answering(canned) as server, pytest.raises(kind) as caught:
        fetch(tmp_path, f"http://{HOST}:{server.port}")

    text = str(caught.value)
    assert text.startswith("job 7: ")
    assert f"http://{HOST}:{server.port}/api/gcode/7" in text
    assert words in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_used_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{HOST}:1")

    with answering(answer("403 Forbidden")) as server, pytest.raises(GcodeMissing) as caught:
        fetch(tmp_path, f"http://farm:s%2Fecret@{HOST}:{server.port}/files/")

    assert server.request.startswith(b"GET /files/api/gcode/7 HTTP/1.1\r\n")
    assert b"Authorization: Basic ZmFybTpzL2VjcmV0\r\n" in server.request
    assert b"Accept-Encoding: identity\r\n" in server.request
    assert "ecret" not in str(caught.value)
    assert "farm" not in str(caught.value)


def fetch_in_process(folder: Path, base_url: str, found: Queue[CachedGcode]) -> None:
    found.put(fetch(folder, base_url, DEADLINE_S))


@contextmanager
def processes(count: int, *arguments: object) -> Iterator[list[SpawnProcess]]:
    started = [PROCESSES.Process(target=fetch_in_process, args=arguments) for _ in range(count)]
    for process in started:
        process.start()
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def test_of_many_processes_one_downloads(file_server: FileServer, tmp_path: Path) -> None:
    file_server.put(7, GCODE)
    found: Queue[CachedGcode] = PROCESSES.Queue()

    with processes(4, tmp_path, file_server.base_url, found):
        results = [found.get(timeout=DEADLINE_S) for _ in range(4)]

    assert {result.sha1 for result in results} == {GCODE.sha1}
    assert len(file_server.requests_for(7)) == 1


def test_when_a_downloading_process_is_killed_another_takes_over(
    file_server: FileServer, tmp_path: Path
) -> None:
    stored = file_server.put(7, GCODE)
    stored.gate.clear()
    found: Queue[CachedGcode] = PROCESSES.Queue()
    part = tmp_path / "job-7.part"

    with processes(1, tmp_path, file_server.base_url, found) as (downloading,):
        wait_until(part.exists, DEADLINE_S, "part of a download")
        with processes(1, tmp_path, file_server.base_url, found):
            downloading.kill()
            wait_until(
                lambda: len(file_server.requests_for(7)) == 2, DEADLINE_S, "a second request"
            )
            stored.gate.set()
            result = found.get(timeout=DEADLINE_S)

    assert result.sha1 == GCODE.sha1
    assert not part.exists()
