"""The control socket: commands and the page ask the coordinator, one question at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import zmq

from pms.bus.codec import CodecError
from pms.bus.endpoints import bind, open_socket
from pms.errors import CoordinatorNotRunningError, RefusedError

logger = logging.getLogger(__name__)

#: A coordinator that is there answers the connection at once, however busy its loop is.
CONNECT_TIMEOUT_S = 1.0
#: The status of a large farm with a long queue.
MAX_ANSWER_BYTES = 64 << 20


class Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all questions; decode `Ask`, not this."""


class GetStatus(Question, frozen=True, kw_only=True):
    """What `status --json` shows."""


class Wake(Question, frozen=True, kw_only=True):
    """Look at the database now instead of at the next poll."""


class Clear(Question, frozen=True, kw_only=True):
    """The printer's bed is empty."""

    #: Name or id.
    printer: str
    #: The print that was cleared; None: the one that lies there now.
    print_id: int | None = None


class Pause(Question, frozen=True, kw_only=True):
    """Pause a print."""

    print_id: int


class Resume(Question, frozen=True, kw_only=True):
    """Go on with a paused print."""

    print_id: int


class Cancel(Question, frozen=True, kw_only=True):
    """Cancel a print."""

    print_id: int


class RetryJob(Question, frozen=True, kw_only=True):
    """Print once more what failed for good."""

    job_id: int


class CancelJob(Question, frozen=True, kw_only=True):
    """Give a job up."""

    job_id: int


class RejectJob(Question, frozen=True, kw_only=True):
    """Give up a job that cannot be printed, and tell its customer."""

    job_id: int


Request = Clear | Pause | Resume | Cancel | RetryJob | CancelJob | RejectJob
Ask = GetStatus | Wake | Request


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`data` when it was done, `error` (for a person) when it was not."""

    ok: bool
    data: Any = None
    error: str | None = None


_questions: msgspec.json.Decoder[Ask] = msgspec.json.Decoder(Ask)
_answers = msgspec.json.Decoder(Answer)


class ControlSocket:
    """The coordinator's end. The main loop owns it; every question needs an answer."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        """Listen; raises SettingsError when the endpoint cannot be used."""
        self.socket = open_socket(context, zmq.REP)
        bind(self.socket, endpoint)

    def receive(self) -> Ask | None:
        """The next question, None when there is none. What is no question is refused here."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                return _questions.decode(b"".join(frames))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                logger.warning("control_question_refused", extra={"fields": {"reason": error}})
                self.refuse(f"not understood: {error}")

    def answer(self, data: Any = None) -> None:
        """The last question has been carried out; `data` is what JSON can hold."""
        self._send(Answer(ok=True, data=data))

    def refuse(self, text: str) -> None:
        """The last question could not be carried out, because of `text`."""
        self._send(Answer(ok=False, error=text))

    def close(self, linger_s: float = 1.0) -> None:
        """Close the socket, giving an answer so long to leave."""
        self.socket.close(linger=int(linger_s * 1000))

    def _send(self, answer: Answer) -> None:
        try:
            self.socket.send(msgspec.json.encode(answer), zmq.NOBLOCK)
        except zmq.Again:
            logger.warning("control_answer_dropped")


def ask(endpoint: str, question: Ask, timeout_s: float = 5.0) -> Any:
    """Put a question to the coordinator and return the data of its answer.

    Raises RefusedError with the coordinator's reason, and CoordinatorNotRunningError when nobody
    answers in time.
    """
    path = Path(endpoint.removeprefix("ipc://"))
    if not path.exists():
        raise _not_running(path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        frame = _exchange(context, endpoint, msgspec.json.encode(question), timeout_s)
    finally:
        context.destroy(linger=0)
    try:
        answer = _answers.decode(frame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CodecError(f"the coordinator's answer cannot be read: {error}") from error
    if not answer.ok:
        raise RefusedError(answer.error or "refused without a reason")
    return answer.data


def _exchange(context: zmq.Context[Any], endpoint: str, frame: bytes, timeout_s: float) -> bytes:
    socket = open_socket(context, zmq.REQ, MAX_ANSWER_BYTES)
    # Sending waits for a connection, which a file that a dead coordinator left never gives.
    socket.immediate = 1
    socket.sndtimeo = int(min(timeout_s, CONNECT_TIMEOUT_S) * 1000)
    socket.rcvtimeo = int(timeout_s * 1000)
    socket.connect(endpoint)
    try:
        socket.send(frame)
    except zmq.Again as error:
        raise _not_running(Path(endpoint.removeprefix("ipc://"))) from error
    try:
        answer: bytes = socket.recv()
    except zmq.Again as error:
        raise CoordinatorNotRunningError(
            f"the coordinator did not answer within {timeout_s:g} s; see its log"
        ) from error
    return answer


def _not_running(path: Path) -> CoordinatorNotRunningError:
    return CoordinatorNotRunningError(
        f"no coordinator runs with its sockets in {path.parent};"
        " start it with `pms-coordinator start`, or set PMS_DATA_DIR as it has it"
    )
