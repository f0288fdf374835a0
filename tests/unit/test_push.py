"""The push listener against scripted frames and against servers that are not OctoPrint.

OctoPrint itself is in tests/integration/test_push.py.
"""

from __future__ import annotations

import base64
import hashlib
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from pms.bus.messages import Temperature
from tests.support.odd_server import Behaviour, OddServer, answer, hangs, resets, says, trickles
from tests.support.tls import CERTIFICATE, server_tls
from tests.support.waiting import wait_until
from workers.connections import tls_context
from workers.octoprint import (
    NotOctoPrint,
    OctoPrintError,
    Rejected,
    ServerError,
    Session,
    TimedOut,
    Unauthorized,
    Unreachable,
)
from workers.push import PushListener, rest_s
from workers.push_connection import PushConnection, PushTiming, Silence
from workers.push_frames import (
    EVENTS,
    PushChanged,
    PushClosed,
    PushOpened,
    PushSilent,
    PushSnapshot,
    PushStimulus,
)
from workers.push_socket import PushSocket

KEY = "VERYSECRETKEY123"

FLAGS = {"operational": True, "printing": False, "paused": False, "ready": True}
NO_PROGRESS = {"completion": None, "filepos": None, "printTime": None, "printTimeLeft": None}
PROGRESS = {"completion": 25.0, "filepos": 70, "printTime": 3, "printTimeLeft": 9}
FILE = {"name": "a.gcode", "path": "pms/a.gcode", "origin": "local", "size": 280}
NO_FILE = {"name": None, "path": None, "origin": None, "size": None}


def picture(kind: str = "current", text: str = "Operational", **changes: Any) -> dict[str, Any]:
    flags = FLAGS | {"printing": text == "Printing", "paused": text == "Paused"}
    content = {
        "state": {"text": text, "flags": flags, "error": ""},
        "job": {"file": NO_FILE, "user": None},
        "progress": NO_PROGRESS,
        "temps": [],
        "markings": [{"type": "connected", "time": 1.0}],
    }
    return {kind: content | changes}


def event(kind: str) -> dict[str, Any]:
    return {"event": {"type": kind, "payload": {"name": "a.gcode"}}}


IDLE = PushSnapshot(state_text="Operational", printing=False, paused=False, operational=True)
SILENT = PushSilent(address="http://printer")
REAUTH = {"reauthRequired": {"reason": "stale"}}


class ScriptedSocket(PushSocket):
    """Gives the frames of a script, then ends; keeps what is sent."""

    def __init__(self, frames: list[dict[str, Any] | bytes | None]) -> None:
        super().__init__("http://printer")
        self.sent: list[dict[str, Any] | str] = []
        self._frames = iter(frames)

    def open(self, timeout_s: float) -> None:
        self.sent.append("open")

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def ping(self) -> None:
        self.sent.append("ping")

    def receive(self, timeout_s: float) -> bytes | None:
        try:
            frame = next(self._frames)
        except StopIteration:
            raise Unreachable("the script is over") from None
        return msgspec.json.encode(frame) if isinstance(frame, dict) else frame


def play(
    *frames: dict[str, Any] | bytes | None,
    timing: PushTiming | None = None,
    login: Callable[[], Session] = lambda: Session(name="admin", session="s1"),
) -> tuple[list[PushStimulus], ScriptedSocket, str]:
    """What a connection reports of these frames, what it sent, and how it ended."""
    scripted = ScriptedSocket(list(frames))
    reported: list[PushStimulus] = []
    connection = PushConnection(scripted, login, reported.append, timing or PushTiming())
    with pytest.raises(OctoPrintError) as ended:
        connection.listen()
    assert connection.opened is (PushOpened() in reported)
    return reported, scripted, str(ended.value)


class TestConversation:
    def test_subscribes_before_it_authenticates(self) -> None:
        _, scripted, _ = play()
        assert scripted.sent == [
            "open",
            {
                "subscribe": {
                    "state": {"logs": False, "messages": False},
                    "plugins": [],
                    "events": EVENTS,
                }
            },
            {"throttle": 20},
            {"auth": "admin:s1"},
        ]

    def test_logs_in_before_it_connects(self) -> None:
        def refused() -> Session:
            raise Unauthorized("no", 403)

        reported, scripted, ended = play(login=refused)
        assert (reported, scripted.sent, ended) == ([], [], "no")

    @pytest.mark.parametrize("kind", ["history", "current"])
    def test_is_open_with_the_first_picture(self, kind: str) -> None:
        reported, _, _ = play({"connected": {"version": "1"}}, picture(kind))
        assert reported == [PushOpened(), IDLE]

    def test_a_picture_tells_octoprints_time(self) -> None:
        reported, _, _ = play(picture(serverTime=1795439829.5))
        assert reported[1] == msgspec.structs.replace(IDLE, server_time=1795439829.5)

    def test_is_open_only_once(self) -> None:
        reported, _, _ = play(picture("history"), picture(), event("PrintStarted"))
        assert reported == [PushOpened(), IDLE, IDLE, PushChanged(kind="PrintStarted")]

    def test_is_not_open_while_nothing_comes_of_the_log_in(self) -> None:
        reported, _, _ = play({"connected": {"version": "1"}}, b"", None)
        assert reported == []

    def test_events_that_were_not_asked_for_are_left_out(self) -> None:
        reported, _, _ = play(picture(), event("ZChange"), event("PrintDone"))
        assert reported[2:] == [PushChanged(kind="PrintDone")]

    def test_a_picture_of_a_print(self) -> None:
        temps = [
            {"time": 1, "tool0": {"actual": 20.0, "target": 0.0}},
            {
                "time": 2,
                "tool0": {"actual": 210.5, "target": 215.0},
                "bed": {"actual": 60.0, "target": None},
                "chamber": {"actual": None, "target": None},
            },
        ]
        printing = picture(text="Printing", job={"file": FILE}, progress=PROGRESS, temps=temps)
        reported, _, _ = play(printing)
        assert reported[1] == PushSnapshot(
            state_text="Printing",
            printing=True,
            paused=False,
            operational=True,
            path="pms/a.gcode",
            progress=0.25,
            time_left_s=9,
            filepos=70,
            heaters={
                "tool0": Temperature(actual=210.5, target=215.0),
                "bed": Temperature(actual=60.0),
            },
        )

    @pytest.mark.parametrize(
        "frame",
        [
            b"no JSON",
            b"[]",
            b'{"current": 1}',
            b'{"current": {"state": {}}}',
            b'{"event": {"type": 3}}',
            b'{"reauthRequired": []}',
            b"[" * 100_000,
            b'{"x": ' + b"[" * 100_000,
            b'{"current": "\xff"}',
            msgspec.json.encode(picture(temps=[{"tool0": {"actual": "hot"}}])),
            msgspec.json.encode(picture(temps=[7])),
        ],
    )
    def test_malformed_frames_are_ignored(self, frame: bytes) -> None:
        reported, _, ended = play(picture(), frame, event("PrintDone"))
        assert reported == [PushOpened(), IDLE, PushChanged(kind="PrintDone")]
        assert ended == "the script is over"

    @pytest.mark.parametrize(
        ("frames", "throttles"),
        [
            ([picture()], []),
            ([picture(text="Printing")], [2]),
            ([picture(text="Paused")], [2]),
            ([picture(), event("PrintStarted")], [2]),
            ([picture(), event("PrintPaused"), picture(text="Paused")], [2]),
            ([picture(), event("PrinterStateChanged")], []),
            ([picture(text="Printing"), event("PrintDone")], [2]),
            ([picture(text="Printing"), event("PrintDone"), picture()], [2, 20]),
        ],
    )
    def test_pictures_come_rarely_while_nothing_is_printed(
        self, frames: list[dict[str, Any]], throttles: list[int]
    ) -> None:
        _, scripted, _ = play(*frames)
        assert scripted.sent[4:] == [{"throttle": throttle} for throttle in throttles]

    def test_logs_in_again_when_asked_to(self) -> None:
        sessions = iter(["s1", "s2", "s3"])
        _, scripted, _ = play(
            picture(), REAUTH, REAUTH, login=lambda: Session(name="admin", session=next(sessions))
        )
        assert scripted.sent[3:] == [{"auth": f"admin:s{number}"} for number in (1, 2, 3)]

    def test_does_not_log_in_for_ever(self) -> None:
        reported, scripted, ended = play(picture(), *[REAUTH] * 9)
        assert len([message for message in scripted.sent if "auth" in message]) == 4
        assert "takes no log-in" in ended
        assert reported == [PushOpened(), IDLE]

    def test_a_picture_makes_up_for_earlier_log_ins(self) -> None:
        _, _, ended = play(*[REAUTH, REAUTH, REAUTH, picture()] * 3)
        assert ended == "the script is over"

    def test_a_log_in_that_is_refused_ends_it(self) -> None:
        answers: list[Session | Exception] = [
            Session(name="admin", session="s1"),
            Rejected("too many", 429),
        ]

        def login() -> Session:
            given = answers.pop(0)
            if isinstance(given, Exception):
                raise given
            return given

        _, _, ended = play(picture(), REAUTH, login=login)
        assert ended == "too many"

    def test_asks_for_a_sign_of_life(self) -> None:
        _, scripted, _ = play(picture(), b"", None, timing=PushTiming(ping_interval_s=0.0))
        assert scripted.sent[4:] == ["ping"] * 3

    def test_a_silent_connection_is_given_up(self) -> None:
        reported, _, ended = play(picture(), None, timing=PushTiming(stale_s=0.0))
        assert reported == [PushOpened(), IDLE]
        assert ended.startswith("http://printer sent nothing over the push connection for")

    def test_signs_of_life_keep_a_connection(self) -> None:
        _, _, ended = play(picture(), b"", picture(), timing=PushTiming(stale_s=1e-9))
        assert ended == "the script is over"

    @pytest.mark.parametrize(
        ("frames", "reported"),
        [
            ([b"", picture()], [IDLE]),
            ([None], [SILENT]),
            ([None, None, None], [SILENT]),
            ([None, b"", None], [SILENT, SILENT]),
            ([None, picture(), None], [SILENT, IDLE, SILENT]),
        ],
    )
    def test_a_silence_is_reported_once(
        self, frames: list[dict[str, Any] | bytes | None], reported: list[PushStimulus]
    ) -> None:
        said, _, ended = play(picture(), *frames, timing=PushTiming(suspect_s=1e-9))
        assert said == [PushOpened(), IDLE, *reported]
        assert ended == "the script is over"

    def test_a_connection_without_a_picture_is_given_up(self) -> None:
        timing = PushTiming(open_timeout_s=0.0)
        _, _, ended = play({"connected": {}}, picture(), timing=timing)
        assert "may the api_key's user see the printer's status?" in ended


class TestSilence:
    """With the timing of PMS; seconds since something came last."""

    @pytest.mark.parametrize(
        ("seconds", "ping", "suspect", "next_deadline"),
        [
            (0.0, False, False, 4.0),
            (3.9, False, False, 4.0),
            (4.0, True, False, 5.5),
            (5.4, True, False, 5.5),
            (5.5, True, True, 9.5),
            (34.0, True, True, 35.0),
        ],
    )
    def test_what_it_calls_for(
        self, seconds: float, ping: bool, suspect: bool, next_deadline: float
    ) -> None:
        silence = Silence(PushTiming(), 100.0)
        now = 100.0 + seconds
        assert silence.lasts_s(now) == pytest.approx(seconds)
        assert silence.becomes_suspect(now) is suspect
        assert silence.calls_for_ping(now) is ping
        assert silence.next_deadline() == pytest.approx(100.0 + next_deadline)
        assert not silence.becomes_suspect(now)
        assert not silence.calls_for_ping(now)

    def test_a_sign_of_life_ends_it(self) -> None:
        silence = Silence(PushTiming(), 100.0)
        assert silence.becomes_suspect(106.0)
        silence.broken(107.0)
        assert silence.lasts_s(108.0) == 1.0
        assert not silence.calls_for_ping(110.9)
        assert not silence.becomes_suspect(112.4)
        assert silence.becomes_suspect(112.5)


class TestResting:
    @pytest.mark.parametrize(
        ("error", "failures", "seconds"),
        [
            (Unreachable("gone"), 1, 0.5),
            (Unreachable("gone", refused=True), 3, 2.0),
            (TimedOut("slow"), 99, 30.0),
            (ServerError("ill"), 2, 1.0),
            (Unauthorized("no", 403), 1, 60.0),
            (Rejected("too many", 429), 99, 60.0),
        ],
    )
    def test_doubles_up_to_a_minute_except_for_refused_log_ins(
        self, error: OctoPrintError, failures: int, seconds: float
    ) -> None:
        assert rest_s(error, failures, 0.5) == seconds


# A socket against odd servers.

TIMEOUT_S = 0.4


def upgraded(behave: Behaviour) -> Behaviour:
    """Shakes hands as a WebSocket server does, then behaves."""

    def shake(connection: socket.socket, head: str, over: threading.Event) -> None:
        key = head.split("Sec-WebSocket-Key: ")[1].partition("\r\n")[0]
        magic = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
        accept = base64.b64encode(hashlib.sha1(magic).digest()).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        behave(connection, head, over)

    return shake


def frame(payload: bytes, opcode: int = 1, *, last: bool = True) -> bytes:
    first = opcode | (0x80 if last else 0)
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "certificate.pem"
    file.write_text(CERTIFICATE)
    tls_context.cache_clear()
    yield file
    tls_context.cache_clear()


class TestSocket:
    @pytest.mark.parametrize(
        ("behave", "kind", "words"),
        [
            (says(b"Not found"), Unreachable, "closed the push connection"),
            (says(bytes(range(256)) * 99), NotOctoPrint, "no push socket"),
            (says(answer("200 OK", b"<html>")), NotOctoPrint, "no push socket"),
            (says(answer("403 Forbidden", KEY.encode())), NotOctoPrint, "no push socket"),
            (says(answer("404 Not Found")), NotOctoPrint, "no push socket"),
            (
                says(answer("302 Found", b"", "Location: http://hidden:hidden@x/")),
                NotOctoPrint,
                "no push socket",
            ),
            (
                says(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
                NotOctoPrint,
                "no push socket",
            ),
            (
                says(b"HTTP/1.1 500 No\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 5_000_000),
                NotOctoPrint,
                "bytes at once",
            ),
            (hangs, TimedOut, "does not answer"),
            (trickles(b"HTTP/1.1 101 Yes\r\nX: ", b"x"), TimedOut, "does not answer"),
            (resets(b""), Unreachable, "broke off"),
        ],
    )
    def test_a_handshake_that_fails_is_named_in_words(
        self, behave: Behaviour, kind: type[OctoPrintError], words: str
    ) -> None:
        with OddServer(behave) as server:
            push_socket = PushSocket(server.address)
            with pytest.raises(OctoPrintError, match=words) as caught:
                push_socket.open(TIMEOUT_S)
            push_socket.close()
        assert type(caught.value) is kind
        assert server.address in str(caught.value)
        assert KEY not in str(caught.value)
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize(
        ("behave", "words"),
        [
            (says(), "closed the push connection"),
            (says(frame(b"\x03\xe8", opcode=8)), "closed the push connection"),
            (says(frame(b"x" * 200)[:50]), "closed the push connection"),
            (resets(b""), "broke off"),
            (says(b"\xf3\x01x"), "no push socket"),
            (says(frame(b"x" * (4 * 1024 * 1024 + 1))), "more than 4194304 bytes at once"),
            (
                says(
                    *[
                        frame(b"x" * 1_000_000, opcode=1 if n == 0 else 0, last=False)
                        for n in range(5)
                    ]
                ),
                "more than 4194304 bytes at once",
            ),
            (says(frame(b"x" * 200, opcode=9)), "no push socket"),
        ],
    )
    def test_a_connection_that_ends_is_named_in_words(self, behave: Behaviour, words: str) -> None:
        with OddServer(upgraded(behave)) as server:
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            with pytest.raises(OctoPrintError, match=words):
                push_socket.receive(10.0)
            push_socket.close()

    def test_messages_and_signs_of_life(self) -> None:
        parts = frame(b"pa", last=False) + frame(b"", 9) + frame(b"rts", 0)
        talk = says(frame(b"one"), frame(b"", 10), frame(b"x" * 300), parts)
        with OddServer(upgraded(talk)) as server:
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            received = [push_socket.receive(10.0) for _ in range(5)]
            push_socket.close()
        assert received == [b"one", b"", b"x" * 300, b"", b"parts"]

    def test_a_limit_counts_for_each_message(self) -> None:
        big = b"x" * 3_000_000
        with OddServer(upgraded(says(frame(big), frame(big)))) as server:
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            assert [push_socket.receive(10.0) for _ in range(2)] == [big, big]
            push_socket.close()

    def test_a_message_in_pieces_does_not_hold_the_reader(self) -> None:
        go_on = threading.Event()

        def pauses(connection: socket.socket, head: str, over: threading.Event) -> None:
            whole = frame(b"x" * 200)
            connection.sendall(whole[:100])
            go_on.wait(10)
            connection.sendall(whole[100:])
            over.wait(10)

        with OddServer(upgraded(pauses)) as server:
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            assert push_socket.receive(0.05) is None
            assert push_socket.receive(0.0) is None
            go_on.set()
            assert push_socket.receive(10.0) == b"x" * 200
            push_socket.close()

    def test_a_trickle_does_not_hold_the_reader(self) -> None:
        with OddServer(upgraded(trickles(b"\x81\x7e\xff\xff", b"x"))) as server:
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            assert push_socket.receive(0.3) is None
            push_socket.close()

    @pytest.mark.parametrize("behave", [hangs, upgraded(hangs)])
    def test_any_thread_can_cut_it_off(self, behave: Behaviour) -> None:
        push_socket = PushSocket("http://127.0.0.1")
        ended: queue.SimpleQueue[Exception] = queue.SimpleQueue()

        def use() -> None:
            try:
                push_socket.open(60.0)
                push_socket.receive(60.0)
            except OctoPrintError as error:
                ended.put(error)

        with OddServer(behave) as server:
            push_socket.address = server.address
            thread = threading.Thread(target=use, daemon=True)
            thread.start()
            wait_until(lambda: server.heads, 10, "a request")
            push_socket.cut()
            assert isinstance(ended.get(timeout=10), Unreachable)
            push_socket.close()

    def test_over_tls(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def talk(connection: socket.socket, head: str, over: threading.Event) -> None:
            connection.sendall(frame(b"one"))
            over.wait(10)

        with OddServer(upgraded(talk), server_tls(certificate)) as server:
            untrusted = PushSocket(server.address)
            with pytest.raises(Unreachable, match="self-signed"):
                untrusted.open(10.0)
            untrusted.close()

            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            tls_context.cache_clear()
            push_socket = PushSocket(server.address)
            push_socket.open(10.0)
            assert push_socket.receive(10.0) == b"one"
            assert push_socket.receive(0.05) is None
            push_socket.ping()
            push_socket.cut()
            with pytest.raises(OctoPrintError):
                push_socket.receive(10.0)
            push_socket.close()

    def test_once_cut_off_it_does_not_open(self) -> None:
        with OddServer(upgraded(hangs)) as server:
            push_socket = PushSocket(server.address)
            push_socket.cut()
            with pytest.raises(Unreachable):
                push_socket.open(10.0)
            assert server.heads == []


# The listener.


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that answers no connection, like a printer that is switched off."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port


#: After so many, the backoff outlasts a test.
MANY_FAILURES = 8


class TestListener:
    @pytest.mark.parametrize("address", ["", "http://", "http://user:hidden@host"])
    def test_an_address_that_cannot_be_used_is_no_error(self, address: str) -> None:
        listener = PushListener(address, KEY, lambda stimulus: None)
        listener.start()
        wait_until(lambda: not listener.alive, 10, "the thread's end")
        listener.stop()

    def test_stops_while_it_connects(self, deaf_port: int) -> None:
        listener = PushListener(f"127.0.0.1:{deaf_port}", KEY, lambda stimulus: None)
        listener.start()
        listener.stop()

    def test_stops_before_it_was_started(self) -> None:
        PushListener("10.0.0.7", KEY, lambda stimulus: None).stop()

    def test_a_refused_log_in_is_not_repeated_at_once(self) -> None:
        with OddServer(says(answer("429 Slow", b'{"error": "too many"}'))) as server:
            listener = PushListener(server.address, KEY, lambda stimulus: None)
            listener.start()
            wait_until(lambda: server.heads, 10, "a log-in")
            listener.wake()
            listener.stop()
            assert len(server.heads) == 1
        assert not listener.alive

    def test_opens_reports_and_comes_back(self) -> None:
        def octoprint(connection: socket.socket, head: str, over: threading.Event) -> None:
            if head.startswith("POST /login-prefix/api/login"):
                login = b'{"name": "admin", "session": "s1"}'
                says(answer("200 OK", login))(connection, head, over)
            elif head.startswith("GET /login-prefix/sockjs/websocket"):
                frames = [frame(msgspec.json.encode(picture())), frame(b"", opcode=8)]
                upgraded(says(*frames))(connection, head, over)

        stimuli: queue.SimpleQueue[PushStimulus] = queue.SimpleQueue()
        with OddServer(octoprint) as server:
            address = f"{server.address}/login-prefix"
            listener = PushListener(address, KEY, stimuli.put, random=lambda: 0.0)
            listener.start()
            seen = [stimuli.get(timeout=10) for _ in range(6)]
            listener.stop()
        closed = PushClosed(reason=f"{address} closed the push connection")
        assert seen == [PushOpened(), IDLE, closed] * 2
        assert not listener.alive
        assert all("Origin" not in head for head in server.heads)

    def test_a_server_that_hangs_while_it_is_connected_to_is_reported(self) -> None:
        stimuli: queue.SimpleQueue[PushStimulus] = queue.SimpleQueue()
        with OddServer(hangs) as server:
            timing = PushTiming(open_timeout_s=0.2)
            listener = PushListener(server.address, KEY, stimuli.put, timing)
            listener.start()
            assert stimuli.get(timeout=10) == PushSilent(address=server.address)
            listener.stop()

    def test_what_wakes_it_while_a_connection_fails_is_not_lost(self) -> None:
        """OctoPrint has answered somebody else in that moment; the backoff would be long."""
        tries: list[int] = []

        class Failing:
            opened = False

            def listen(self) -> NoReturn:
                tries.append(len(tries))
                if len(tries) <= MANY_FAILURES:
                    listener.wake()
                raise Unreachable("refused")

        listener = PushListener(
            "http://printer",
            KEY,
            lambda stimulus: None,
            random=lambda: 1.0,
            make_connection=lambda *_about: Failing(),  # type: ignore[return-value,arg-type]
        )
        listener.start()
        wait_until(lambda: len(tries) > MANY_FAILURES, 10, "another try")
        listener.stop()

    def test_nothing_is_reported_after_the_stop(self) -> None:
        stopped = threading.Event()
        reported: list[PushStimulus] = []

        def answers_late(connection: socket.socket, head: str, over: threading.Event) -> None:
            stopped.wait(10)
            login = b'{"name": "admin", "session": "s1"}'
            says(answer("200 OK", login))(connection, head, over)

        with OddServer(answers_late) as server:
            listener = PushListener(server.address, KEY, reported.append)
            listener.start()
            wait_until(lambda: server.heads, 10, "a log-in")
            listener.stop()
            stopped.set()
            wait_until(lambda: not listener.alive, 10, "the thread's end")
            assert len(server.heads) == 1
        assert reported == []

    def test_a_defect_does_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        called = threading.Event()

        def broken(stimulus: PushStimulus) -> None:
            called.set()
            raise LookupError("a defect")

        def octoprint(connection: socket.socket, head: str, over: threading.Event) -> None:
            if head.startswith("POST"):
                says(answer("200 OK", b'{"name": "a", "session": "s"}'))(connection, head, over)
            else:
                upgraded(says(frame(msgspec.json.encode(picture()))))(connection, head, over)

        with OddServer(octoprint) as server:
            listener = PushListener(server.address, KEY, broken, random=lambda: 0.0)
            listener.start()
            assert called.wait(10)
            called.clear()
            assert called.wait(10)
            listener.stop()
        assert "push_failed" in caplog.messages
