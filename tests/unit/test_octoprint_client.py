"""The REST client against servers that are not OctoPrint, or not well; and its pure parts.

OctoPrint itself is in tests/integration/test_octoprint_client.py.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pms.domain.observation import Activity, FileFacts
from tests.support.odd_server import (
    Behaviour,
    OddServer,
    answer,
    hangs,
    read_head,
    resets,
    says,
    trickles,
)
from tests.support.tls import CERTIFICATE, server_tls
from workers.connections import tls_context
from workers.octoprint import (
    FILE_LIST_LIMIT_BYTES,
    BadAddress,
    Conflict,
    DiskFull,
    NotFound,
    NotOctoPrint,
    OctoPrint,
    OctoPrintError,
    Rejected,
    ServerError,
    Session,
    TimedOut,
    Unauthorized,
    Unreachable,
    UploadAborted,
    normalize_address,
)
from workers.octoprint_answers import (
    Connection,
    JobAnswer,
    StoredFile,
    activity_of,
    agree,
    observation,
)

KEY = "VERYSECRETKEY123"
TIMEOUT_S = 0.4


def refuses(status: str, words: str) -> Behaviour:
    return says(answer(status, msgspec.json.encode({"error": words})))


HUGE = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1024 * 1024 + 1)
BOMB = b"".join(b"H%d: x\r\n" % number for number in range(300))

# What the server does; the error; words in it; whether a start has certainly not happened.
ODD_SERVERS: dict[str, tuple[Behaviour, type[OctoPrintError], str, bool]] = {
    "stand-in at start-up": (says(b"Not found"), NotOctoPrint, "may still be starting", False),
    "garbage": (says(bytes(range(256)) * 10), NotOctoPrint, "not as OctoPrint does", False),
    "endless header line": (
        says(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000),
        NotOctoPrint,
        "",
        False,
    ),
    "hundreds of headers": (says(b"HTTP/1.1 200 OK\r\n" + BOMB + b"\r\n"), NotOctoPrint, "", False),
    "login page of a router": (
        says(answer("200 OK", b"<!DOCTYPE html><title>Router</title>")),
        NotOctoPrint,
        "a web page",
        False,
    ),
    "JSON list": (says(answer("200 OK", b"[1, 2]")), NotOctoPrint, "unknown JSON", False),
    "broken JSON": (says(answer("200 OK", b'{"current": {"sta')), NotOctoPrint, "JSON", False),
    "deep JSON": (says(answer("200 OK", b"[" * 100_000)), NotOctoPrint, "JSON", False),
    "not UTF-8": (says(answer("200 OK", b'{"state": "\xff\xfe"}')), NotOctoPrint, "JSON", False),
    "huge": (says(HUGE), NotOctoPrint, "more than 1048576 bytes", False),
    "redirect": (
        says(answer("302 Found", b"", "Location: https://me:hidden@other.example/x?apikey=hidden")),
        NotOctoPrint,
        "redirects to https://other.example/x;",
        False,
    ),
    "redirect nowhere": (says(answer("301 Moved")), NotOctoPrint, "redirects to nowhere", False),
    "redirect to nonsense": (
        says(answer("301 Moved", b"", "Location: http://[::1")),
        NotOctoPrint,
        "malformed",
        False,
    ),
    "hangs": (hangs, TimedOut, "no complete answer in time", False),
    "body trickles": (
        trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{", b" "),
        TimedOut,
        "no complete answer",
        False,
    ),
    "headers trickle": (trickles(b"HTTP/1.1 200 OK\r\nX: ", b"x"), TimedOut, "no complete", False),
    "chunks trickle": (
        trickles(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        TimedOut,
        "no complete answer",
        False,
    ),
    "continues for ever": (
        trickles(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        TimedOut,
        "no complete answer",
        False,
    ),
    "closes at once": (says(), Unreachable, "broke off", False),
    "reset at once": (resets(b""), Unreachable, "broke off", False),
    "reset in the body": (
        resets(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        Unreachable,
        "broke off",
        False,
    ),
    "cut body": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
        Unreachable,
        "broke off",
        False,
    ),
    "cut chunk": (
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        Unreachable,
        "broke off",
        False,
    ),
    "server error": (refuses("500 No", "out of memory"), ServerError, "500: out of memory", False),
    "disk full": (
        refuses("500 No", "[Errno 28] No space left on device"),
        DiskFull,
        "disk is full (status 500)",
        False,
    ),
    "quota": (
        refuses("400 Bad", "[Errno 122] Disk quota exceeded"),
        DiskFull,
        "disk is full (status 400)",
        False,
    ),
    "no storage": (says(answer("507 No")), DiskFull, "disk is full (status 507)", False),
    "bad gateway": (says(answer("502 Bad", b"<html>")), ServerError, "status 502", False),
    "wrong key": (
        refuses("400 Bad Request", "CSRF validation failed"),
        Unauthorized,
        "does not accept the printer's api_key",
        True,
    ),
    "no permission": (refuses("403 No", "not yours"), Unauthorized, "lacks the permission", True),
    "proxy wants a login": (says(answer("401 No")), Unauthorized, "api_key", True),
    "conflict": (
        refuses("409 Conflict", "Printer is not operational"),
        Conflict,
        "Printer is not operational",
        True,
    ),
    "absent": (refuses("404 Gone", "File not found"), NotFound, "File not found", True),
    "rate limit": (
        refuses("429 Slow", "Too many\nlog-ins"),
        Rejected,
        "429: Too many log-ins",
        True,
    ),
    "long words": (refuses("418 Teapot", "words " * 999), Rejected, "words words", True),
    "echoed key": (refuses("415 No", f"bad {KEY}!"), Rejected, "bad ***!", True),
    "deep words": (says(answer("415 No", b'{"x":' + b"[" * 100_000)), Rejected, "415", True),
    "words of another kind": (says(answer("415 No", b'{"error": 1}')), Rejected, "415", True),
}


@pytest.mark.parametrize("name", ODD_SERVERS)
def test_an_odd_server_is_named_in_words(name: str) -> None:
    behave, kind, words, certainly_not_done = ODD_SERVERS[name]
    with (
        OddServer(behave) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
        pytest.raises(OctoPrintError) as caught,
    ):
        client.start("pms/a.gcode")
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert server.address in str(caught.value)
    assert caught.value.certainly_not_done is certainly_not_done
    assert_fit_for_people(caught.value)


def assert_fit_for_people(error: OctoPrintError) -> None:
    text = str(error)
    assert text.isprintable()
    assert len(text) < 400
    while error is not None:
        assert KEY not in str(error)
        assert "hidden" not in str(error)
        error = error.__cause__  # type: ignore[assignment]


@pytest.mark.parametrize("call", ["version", "look", "login"])
def test_a_404_for_what_every_octoprint_has_is_no_octoprint(call: str) -> None:
    with (
        OddServer(says(answer("404 Not Found", b"<html>"))) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
        pytest.raises(NotOctoPrint),
    ):
        getattr(client, call)()


@pytest.mark.parametrize(
    ("body", "free"),
    [
        (b'{"files": [{"name": "a"}], "free": 5, "total": 9}', 5),
        (b'{"files": [], "free": 0}', 0),
        (b'{"files": []}', None),
        (b'{"files": "' + b"x" * FILE_LIST_LIMIT_BYTES + b'", "free": 5}', None),
        (b"<html>", None),
    ],
    ids=["said", "none", "not said", "too much to read", "a page"],
)
def test_free_space_is_known_where_octoprint_says_it(body: bytes, free: int | None) -> None:
    with (
        OddServer(says(answer("200 OK", body))) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
    ):
        assert client.free_bytes() == free


def test_a_file_is_not_absent_because_octoprint_fails() -> None:
    with (
        OddServer(fails_for_files) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
        pytest.raises(ServerError),
    ):
        client.file("pms/a.gcode")


def fails_for_files(connection: socket.socket, head: str, over: threading.Event) -> None:
    failure = answer("500 No") if ".gcode" in head.splitlines()[0] else answer("200 OK", b"{}")
    says(failure)(connection, head, over)


def test_a_get_with_status_400_is_no_matter_of_the_key() -> None:
    with (
        OddServer(refuses("400 Bad", "CSRF validation failed")) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
        pytest.raises(Rejected) as caught,
    ):
        client.version()
    assert not isinstance(caught.value, Unauthorized)


def test_a_redirect_is_not_followed_and_cookies_are_not_kept() -> None:
    good = answer("200 OK", b'{"server": "1"}', "Set-Cookie: session=stolen")
    with OddServer(says(good)) as other, OctoPrint(other.address, KEY) as client:
        client.version()
        client.version()
        assert len(other.heads) == 2
        redirect = answer("307 There", b"", f"Location: {other.address}/api/version")
        with (
            OddServer(says(redirect)) as server,
            OctoPrint(server.address, KEY) as redirected,
            pytest.raises(NotOctoPrint),
        ):
            redirected.version()
        assert len(other.heads) == 2
    assert all("Cookie" not in head for head in other.heads)
    assert all(f"X-Api-Key: {KEY}" in head for head in other.heads)


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    good = says(answer("200 OK", b'{"server": "1"}'))
    with OddServer(good) as server, OctoPrint(server.address, KEY) as client:
        assert client.version() == {"server": "1"}


def test_one_connection_is_kept_for_all_requests() -> None:
    answers = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"server": "1"}',
        b"HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\ngone",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"server": "1"}',
    )
    asked: list[str] = []

    def behave(connection: socket.socket, head: str, over: threading.Event) -> None:
        for number, words in enumerate(answers):
            asked.append((head if number == 0 else read_head(connection)).split(" HTTP")[0])
            connection.sendall(words)

    with OddServer(behave) as server, OctoPrint(server.address, KEY) as client:
        client.version()
        assert client.file("a.gcode") is None
        client.delete("a.gcode")
        client.version()
        assert len(server.heads) == 1
    assert [line.split()[0] for line in asked] == ["GET", "GET", "DELETE", "GET"]


def test_a_path_prefix_is_kept_and_file_names_are_quoted() -> None:
    with OddServer(says(answer("204 No Content"))) as server:
        with OctoPrint(f"{server.address}/octo/", KEY) as client:
            client.start("pms/a b?c#d%e.gcode")
        assert server.heads[0].startswith(
            "POST /octo/api/files/local/pms/a%20b%3Fc%23d%25e.gcode HTTP/1.1"
        )


# No connection.


def test_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with OctoPrint(f"127.0.0.1:{port}", KEY) as client, pytest.raises(Unreachable) as caught:
        client.look()
    assert caught.value.refused
    assert caught.value.certainly_not_done
    assert "is OctoPrint running there?" in str(caught.value)
    assert_fit_for_people(caught.value)


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with OctoPrint("nobody.example", KEY) as client, pytest.raises(Unreachable) as caught:
        client.look()
    assert not caught.value.refused
    assert caught.value.certainly_not_done
    assert "the host name is not known" in str(caught.value)
    assert_fit_for_people(caught.value)


def test_a_host_that_is_switched_off() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            OctoPrint(f"127.0.0.1:{port}", KEY, connect_timeout_s=0.2) as client,
            pytest.raises(TimedOut) as caught,
        ):
            client.start("a.gcode")
    assert caught.value.certainly_not_done
    assert "is it switched on" in str(caught.value)
    assert_fit_for_people(caught.value)


def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*args: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(socket.socket, "connect", no_route)
    with OctoPrint("10.255.255.1", KEY) as client, pytest.raises(Unreachable) as caught:
        client.start("a.gcode")
    assert caught.value.certainly_not_done
    assert "No route to host" in str(caught.value)
    assert_fit_for_people(caught.value)


# TLS.


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "certificate.pem"
    file.write_text(CERTIFICATE)
    tls_context.cache_clear()
    yield file
    tls_context.cache_clear()


def test_an_untrusted_certificate_is_refused(certificate: Path) -> None:
    with (
        OddServer(says(), server_tls(certificate)) as server,
        OctoPrint(server.address, KEY) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.start("a.gcode")
    assert caught.value.certainly_not_done
    assert "self-signed" in str(caught.value)
    assert server.heads == []
    assert_fit_for_people(caught.value)


def test_a_certificate_in_ssl_cert_file_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    good = says(answer("200 OK", b'{"server": "1"}'))
    with (
        OddServer(good, server_tls(certificate)) as server,
        OctoPrint(server.address, KEY) as client,
    ):
        assert client.version() == {"server": "1"}


def test_tls_has_deadlines_too(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trickle = trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{", b" ")
    with (
        OddServer(trickle, server_tls(certificate)) as server,
        OctoPrint(server.address, KEY, timeout_s=TIMEOUT_S) as client,
        pytest.raises(TimedOut),
    ):
        client.version()


def test_https_to_a_server_without_tls() -> None:
    with (
        OddServer(says(b"what?")) as server,
        OctoPrint(server.address.replace("http:", "https:"), KEY) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.version()
    assert "http://" in str(caught.value)
    assert_fit_for_people(caught.value)


# The key.


@pytest.mark.parametrize(
    ("key", "words"), [("", "has no api_key"), ("  ", "has no api_key"), ("a\nb: c", "odd")]
)
def test_a_key_that_cannot_be_sent(key: str, words: str) -> None:
    with OctoPrint("10.0.0.7", key) as client, pytest.raises(Unauthorized, match=words) as caught:
        client.look()
    assert "set its api_key" in str(caught.value)


def test_a_key_is_sent_without_the_blanks_around_it() -> None:
    good = says(answer("200 OK", b'{"server": "1"}'))
    with OddServer(good) as server, OctoPrint(server.address, f" {KEY}\n") as client:
        client.version()
    assert f"X-Api-Key: {KEY}\r\n" in server.heads[0]


def test_the_session_is_not_shown() -> None:
    assert "hidden" not in repr(Session(name="admin", session="hidden"))


# Uploads.


@pytest.fixture
def gcode(tmp_path: Path) -> Path:
    file = tmp_path / "a.gcode"
    file.write_bytes(b"G1 X1\n" * 1_500_000)
    return file


SLOW_UPLOAD_STALL_S = 1.0


def reads_slowly(connection: socket.socket, head: str, over: threading.Event) -> None:
    """Takes longer in all than the timeout, but never pauses that long."""
    ending = b""
    while not ending.endswith(b"--\r\n"):
        over.wait(SLOW_UPLOAD_STALL_S / 100)
        ending = (ending + connection.recv(64 * 1024))[-4:]
    stored = b'{"files": {"local": {"path": "pms/a.gcode"}}, "done": true}'
    connection.sendall(answer("201 Created", stored))


def test_a_slow_upload_goes_on_as_long_as_it_moves(gcode: Path) -> None:
    seen: list[tuple[int, int]] = []
    with OddServer(reads_slowly) as server, OctoPrint(server.address, KEY) as client:
        path = client.upload(
            gcode,
            "pms/a.gcode",
            lambda *sent: seen.append(sent),
            SLOW_UPLOAD_STALL_S,
            lambda: False,
        )
    size = gcode.stat().st_size
    assert path == "pms/a.gcode"
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    assert "Transfer-Encoding" not in server.heads[0]


def test_an_upload_that_nobody_reads_times_out(gcode: Path) -> None:
    with (
        OddServer(hangs) as server,
        OctoPrint(server.address, KEY) as client,
        pytest.raises(TimedOut) as caught,
    ):
        client.upload(gcode, "pms/a.gcode", lambda *sent: None, TIMEOUT_S, lambda: False)
    assert_fit_for_people(caught.value)


def test_an_upload_that_is_never_answered_times_out(tmp_path: Path) -> None:
    small = tmp_path / "small.gcode"
    small.write_bytes(b"G28\n")
    with (
        OddServer(hangs) as server,
        OctoPrint(server.address, KEY) as client,
        pytest.raises(TimedOut),
    ):
        client.upload(small, "pms/a.gcode", lambda *sent: None, TIMEOUT_S, lambda: False)


def test_an_upload_ends_when_it_shall_although_nobody_reads(gcode: Path) -> None:
    enough = threading.Event()
    with (
        OddServer(hangs) as server,
        OctoPrint(server.address, KEY) as client,
        pytest.raises(UploadAborted),
    ):
        client.upload(gcode, "pms/a.gcode", lambda *sent: enough.set(), 60.0, enough.is_set)


def test_a_connection_that_breaks_in_an_upload(gcode: Path) -> None:
    with (
        OddServer(resets(b"")) as server,
        OctoPrint(server.address, KEY) as client,
        pytest.raises(Unreachable, match="broke off") as caught,
    ):
        client.upload(gcode, "pms/a.gcode", lambda *sent: None, TIMEOUT_S, lambda: False)
    assert_fit_for_people(caught.value)


# Addresses.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("printer", "http://printer"),
        ("Printer.Local:5000", "http://printer.local:5000"),
        (" 10.0.0.7 ", "http://10.0.0.7"),
        ("10.0.0.7:5000/", "http://10.0.0.7:5000"),
        ("HTTP://10.0.0.7:80", "http://10.0.0.7"),
        ("https://farm.example/octo1/", "https://farm.example/octo1"),
        ("https://farm.example:443", "https://farm.example"),
        ("https://farm.example:8443", "https://farm.example:8443"),
        ("http://octopi.local/?#temp", "http://octopi.local"),
        ("octopi_1.local", "http://octopi_1.local"),
        ("::1", "http://[::1]"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http://drucker-küche.local", "http://xn--drucker-kche-llb.local"),
        ("http://farm.example/octo%201", "http://farm.example/octo%201"),
    ],
)
def test_addresses_as_people_write_them(text: str, address: str) -> None:
    assert normalize_address(text) == address
    assert normalize_address(address) == address


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_ipv6_address_without_a_port_is_no_host_name(scheme: str) -> None:
    with (
        OctoPrint(f"{scheme}://[::1]", KEY, TIMEOUT_S) as client,
        pytest.raises(OctoPrintError) as caught,
    ):
        client.version()
    assert "host name" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_no_address(text: str) -> None:
    with pytest.raises(BadAddress, match="the printer has no address: set its ip_address"):
        normalize_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http:///octo",
        "http://host:99999",
        "http://host:0",
        "http://host:",
        "http://host:port",
        "host:1:2",
        "ftp://host",
        "http:/host",
        "not an address",
        "http://ho\tst",
        "10.0.0.300",
        "10.0.0",
        "http://a..b",
        "-host",
        "http://host\\x",
        "http://[::1",
        "http://[::zz]",
        "/api",
        "x" * 300,
    ],
)
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(BadAddress, match="is malformed") as caught:
        normalize_address(text)
    assert caught.value.certainly_not_done
    assert_fit_for_people(caught.value)


@pytest.mark.parametrize(
    "text", ["http://user:hidden@host", "hidden@host", "http://hidden@", "http://a:hidden@b:99999"]
)
def test_credentials_in_an_address_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadAddress, match="remove it") as caught:
        normalize_address(text)
    assert_fit_for_people(caught.value)


# What answers mean.

PROGRESS = {"completion": 50.0, "filepos": 100, "printTime": 3, "printTimeLeft": 4}
NO_PROGRESS = {"completion": None, "filepos": None, "printTime": None, "printTimeLeft": None}
FILE = {"name": "a.gcode", "origin": "local", "path": "pms/a.gcode", "size": 200}
NO_FILE = {"name": None, "origin": None, "path": None, "size": None}


def job(state: str, **changes: object) -> JobAnswer:
    answered = {"state": state, "job": {"file": FILE}, "progress": PROGRESS} | changes
    return msgspec.convert(answered, JobAnswer)


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("Closed", Activity.DISCONNECTED),
        ("Offline", Activity.DISCONNECTED),
        ("Offline after error", Activity.ERROR),
        ("Error", Activity.ERROR),
        ("Opening serial connection", Activity.CONNECTING),
        ("Detecting serial connection", Activity.CONNECTING),
        ("Connecting", Activity.CONNECTING),
        ("Operational", Activity.OPERATIONAL),
        ("Starting", Activity.PRINTING),
        ("Printing", Activity.PRINTING),
        ("Pausing", Activity.PRINTING),
        ("Resuming", Activity.PRINTING),
        ("Paused", Activity.PAUSED),
        ("Cancelling", Activity.CANCELLING),
        ("Finishing", Activity.FINISHING),
        ("Printing from SD", Activity.OTHER),
        ("Starting print from SD", Activity.OTHER),
        ("Starting to send file to SD", Activity.OTHER),
        ("Sending file to SD", Activity.OTHER),
        ("Transferring file to SD", Activity.OTHER),
        ("Unknown State (99)", Activity.OTHER),
        ("", Activity.OTHER),
    ],
)
def test_state_texts(text: str, activity: Activity) -> None:
    assert activity_of(text) is activity


@pytest.mark.parametrize(
    ("live", "copy", "activity", "text", "agreed"),
    [
        ("Operational", "Operational", Activity.OPERATIONAL, "Operational", True),
        ("Closed", "Offline", Activity.DISCONNECTED, "Closed", True),
        ("Closed", "Offline after error", Activity.ERROR, "Offline after error", True),
        ("Closed", "Printing", Activity.DISCONNECTED, "Closed", False),
        ("Printing", "Operational", Activity.PRINTING, "Printing", False),
        ("Operational", "Finishing", Activity.OPERATIONAL, "Operational", False),
        ("Operational", "Offline after error", Activity.OPERATIONAL, "Operational", False),
        ("Paused", "Pausing", Activity.PAUSED, "Paused", False),
    ],
)
def test_the_live_connection_decides(
    live: str, copy: str, activity: Activity, text: str, agreed: bool
) -> None:
    seen = observation(Connection(state=live), job(copy))
    assert (seen.activity, seen.state_text) == (activity, text)
    assert agree(Connection(state=live), job(copy)) is agreed


def test_an_observation_of_a_print() -> None:
    seen = observation(Connection(state="Printing"), job("Printing"))
    assert (seen.path, seen.filepos) == ("pms/a.gcode", 100)
    assert (seen.progress, seen.time_left_s) == (0.5, 4)
    assert seen.error == ""


def test_an_observation_of_an_error() -> None:
    failed = job(
        "Offline after error", error="Thermal Runaway", job={"file": NO_FILE}, progress=NO_PROGRESS
    )
    seen = observation(Connection(state="Closed"), failed)
    assert (seen.activity, seen.error) == (Activity.ERROR, "Thermal Runaway")
    assert (seen.path, seen.filepos, seen.progress) == (None, None, None)


def test_a_file_on_the_sd_card_is_not_ours() -> None:
    assert job("Printing from SD", job={"file": FILE | {"origin": "sdcard"}}).job.path is None


@pytest.mark.parametrize(("completion", "fraction"), [(-100, 0.0), (0, 0.0), (100.5, 1.0)])
def test_progress_stays_between_0_and_1(completion: float, fraction: float) -> None:
    seen = job("Operational", progress=PROGRESS | {"completion": completion})
    assert seen.progress.fraction == fraction


@pytest.mark.parametrize(
    ("prints", "facts"),
    [
        (None, {}),
        (
            {"failure": 0, "success": 1, "last": {"date": 1, "printTime": 0.5, "success": True}},
            {"successes": 1, "last_success": True, "last_print_time_s": 0.5},
        ),
        (
            {"failure": 2, "success": 0, "last": {"date": 1, "success": False}},
            {"failures": 2, "last_success": False},
        ),
        (
            {"failure": 0, "success": 1, "last": {"date": 1, "printTime": None, "success": True}},
            {"successes": 1, "last_success": True},
        ),
    ],
)
def test_the_history_of_a_file(prints: dict[str, object] | None, facts: dict[str, object]) -> None:
    answered = {"path": "pms/a.gcode", "size": 3, "hash": "ab", "type": "machinecode", "date": 7}
    stored = msgspec.convert(answered | ({"prints": prints} if prints else {}), StoredFile)
    fixed = FileFacts(path="pms/a.gcode", size=3, sha1="ab", uploaded_at=7)
    expected = replace(fixed, **facts)  # type: ignore[arg-type]
    assert stored.facts() == expected
    assert expected.was_printed is (prints is not None)


def test_the_files_below_a_folder() -> None:
    leaf = {"path": "pms/x/a.gcode", "type": "machinecode", "size": 1}
    folder = {"path": "pms/x", "type": "folder", "size": 1, "children": [leaf]}
    stored = msgspec.convert({"path": "pms", "type": "folder", "children": [folder]}, StoredFile)
    assert [facts.path for facts in stored.all_facts()] == ["pms/x/a.gcode"]
    assert stored.facts() is None
