from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from pms.bus import control
from pms.bus.codec import CodecError
from pms.bus.control import (
    Ask,
    Cancel,
    Clear,
    ControlSocket,
    GetStatus,
    Pause,
    Resume,
    Wake,
    ask,
)
from pms.bus.endpoints import Endpoints
from pms.errors import CoordinatorNotRunningError, RefusedError, SettingsError

Reaction = Callable[[ControlSocket, Ask], None]


class Coordinator:
    """Answers questions in a thread, as the coordinator's loop would."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.asked: list[Ask] = []
        self.reaction: Reaction = lambda control_socket, _: control_socket.answer()
        self._context: zmq.Context[Any] = zmq.Context()
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        control_socket = ControlSocket(self._context, self.endpoint)
        self._ready.set()
        while not self._ended.is_set():
            control_socket.socket.poll(20)
            question = control_socket.receive()
            if question is not None:
                self.asked.append(question)
                self.reaction(control_socket, question)
        control_socket.close(linger_s=0)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._context.destroy(linger=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    endpoints = Endpoints(tmp_path / "run")
    endpoints.prepare()
    return endpoints.control


@pytest.fixture
def coordinator(endpoint: str) -> Iterator[Coordinator]:
    coordinator = Coordinator(endpoint)
    yield coordinator
    coordinator.end()


@pytest.mark.parametrize(
    "question",
    [
        GetStatus(),
        Wake(),
        Clear(printer="left one"),
        Clear(printer="7", print_id=3),
        Pause(print_id=1),
        Resume(print_id=1 << 40),
        Cancel(print_id=1),
    ],
)
def test_a_question_arrives_as_it_was_asked(coordinator: Coordinator, question: Ask) -> None:
    assert ask(coordinator.endpoint, question) is None
    assert coordinator.asked == [question]


@pytest.mark.parametrize(
    "data", [None, {"printers": [{"id": 1, "name": "ä"}]}, [], 0, "x" * (2 << 20)]
)
def test_data_comes_back(coordinator: Coordinator, data: Any) -> None:
    coordinator.reaction = lambda control_socket, _: control_socket.answer(data)
    assert ask(coordinator.endpoint, GetStatus()) == data


def test_a_refusal_comes_back_as_an_error(coordinator: Coordinator) -> None:
    coordinator.reaction = lambda control_socket, _: control_socket.refuse("no such printer")
    with pytest.raises(RefusedError, match=r"^no such printer$"):
        ask(coordinator.endpoint, Clear(printer="x"))
    coordinator.reaction = lambda control_socket, _: control_socket.answer(1)
    assert ask(coordinator.endpoint, GetStatus()) == 1


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"hello"],
        [b"\xff\xfe"],
        [b"[" * 100_000],
        [b'{"type":"Explode"}'],
        [b'{"type":"Clear"}'],
        [b'{"type":"Pause","print_id":"one"}'],
        [b'{"type":', b'"Wake"'],
    ],
)
def test_what_is_no_question_is_refused_and_the_next_one_answered(
    coordinator: Coordinator, frames: list[bytes]
) -> None:
    context: zmq.Context[Any] = zmq.Context()
    asker = context.socket(zmq.REQ)
    asker.connect(coordinator.endpoint)
    asker.send_multipart(frames)
    assert asker.poll(10_000)
    assert b'"ok":false' in asker.recv()
    context.destroy(linger=0)
    assert ask(coordinator.endpoint, Wake()) is None
    assert coordinator.asked == [Wake()]


def test_unknown_fields_of_a_question_are_ignored(coordinator: Coordinator) -> None:
    context: zmq.Context[Any] = zmq.Context()
    asker = context.socket(zmq.REQ)
    asker.connect(coordinator.endpoint)
    asker.send(b'{"type":"Pause","print_id":4,"why":"new"}')
    assert asker.poll(10_000)
    assert b'"ok":true' in asker.recv()
    context.destroy(linger=0)
    assert coordinator.asked == [Pause(print_id=4)]


def test_an_asker_that_does_not_wait_hurts_nobody(coordinator: Coordinator) -> None:
    context: zmq.Context[Any] = zmq.Context()
    asker = context.socket(zmq.REQ)
    asker.connect(coordinator.endpoint)
    asker.send(b'{"type":"Wake"}')
    while not coordinator.asked:
        assert not asker.closed
    context.destroy(linger=0)
    assert ask(coordinator.endpoint, GetStatus()) is None


def test_without_a_coordinator_the_error_says_what_to_do(endpoint: str) -> None:
    with pytest.raises(CoordinatorNotRunningError, match="start it with `pms-coordinator start`"):
        ask(endpoint, GetStatus())


def test_the_file_of_a_dead_coordinator_counts_for_nothing(endpoint: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(endpoint.removeprefix("ipc://"))
    with pytest.raises(CoordinatorNotRunningError, match="no coordinator runs"):
        ask(endpoint, GetStatus(), timeout_s=0.3)


def test_a_coordinator_that_does_not_answer_in_time(coordinator: Coordinator) -> None:
    released = threading.Event()

    def slow(control_socket: ControlSocket, _: Ask) -> None:
        released.wait(10)
        control_socket.answer()

    coordinator.reaction = slow
    with pytest.raises(CoordinatorNotRunningError, match=r"did not answer within 0\.2 s"):
        ask(coordinator.endpoint, GetStatus(), timeout_s=0.2)
    released.set()


def test_an_answer_that_is_none_is_an_error(coordinator: Coordinator) -> None:
    coordinator.reaction = lambda control_socket, _: control_socket.socket.send(b"hello")
    with pytest.raises(CodecError, match="answer cannot be read"):
        ask(coordinator.endpoint, GetStatus())


def test_an_endpoint_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    context: zmq.Context[Any] = zmq.Context()
    with pytest.raises(SettingsError, match="PMS_RUNTIME_DIR does not allow a socket"):
        ControlSocket(context, f"ipc://{tmp_path}/missing/x.sock")
    context.destroy(linger=0)


def test_every_question_is_in_the_union() -> None:
    assert set(control.Question.__subclasses__()) == set(Ask.__args__)
