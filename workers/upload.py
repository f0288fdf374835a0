"""The body of an upload: a file as multipart form data, read a block at a time.

OctoPrint refuses chunked uploads, so the length is known before the first byte is sent.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from requests_toolbelt.multipart.encoder import MultipartEncoder

from workers.octoprint_errors import UploadAborted
from workers.pace import Pace

#: How long an abort can go unnoticed while the other side takes no bytes.
ABORT_POLL_S = 0.25
PROGRESS_INTERVAL_S = 0.25

#: Called with the bytes sent so far and the file's size, now and then and at the end.
OnProgress = Callable[[int, int], None]
#: Asked often; True ends the upload.
Abort = Callable[[], bool]


class Content(Protocol):
    """What is uploaded; it may still be coming while it is read."""

    #: Of all of it, in bytes.
    size: int

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; waits for at least one, if there are more to come."""


class LocalFile:
    """A file on this host's disk, as content."""

    def __init__(self, stream: BinaryIO) -> None:
        self.size = os.fstat(stream.fileno()).st_size
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """The next bytes. Raises OSError, also for a file that has become shorter."""
        block = self._stream.read(size)
        if size and not block:
            raise OSError(errno.EIO, "the file has become shorter", self._stream.name)
        return block


@contextmanager
def opened(content: Content | Path) -> Iterator[Content]:
    """A local file as content; anything else as it is. Raises OSError."""
    if not isinstance(content, Path):
        yield content
        return
    with content.open("rb") as stream:
        yield LocalFile(stream)


class _Part:
    """Content as the encoder wants it: with the number of bytes that are left."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.len = content.size

    def read(self, size: int = -1) -> bytes:
        block = self._content.read(self.len if size < 0 else size)
        if size and self.len and not block:
            # The encoder would ask for ever.
            raise OSError(errno.EIO, "the file has become shorter")
        self.len -= len(block)
        return block


class UploadBody:
    """What urllib3 reads and a patient connection sends; used once."""

    def __init__(
        self,
        content: Content,
        remote_path: str,
        *,
        on_progress: OnProgress,
        stall_timeout_s: float,
        abort: Abort,
        overwrite: bool = True,
    ) -> None:
        self.stall_timeout_s = stall_timeout_s
        #: How fast it may be sent; to be set before.
        self.pace = Pace(None)
        self._abort = abort
        self._on_progress = on_progress
        self._size = content.size
        folder, _, name = remote_path.rpartition("/")
        self._encoder = MultipartEncoder(
            fields={
                "path": folder,
                "noOverwrite": "false" if overwrite else "true",
                "select": "false",
                "print": "false",
                "file": (name, _Part(content), "application/octet-stream"),
            }
        )
        self._length: int = self._encoder.len
        self._read = 0
        self._reported_at = float("-inf")

    def __len__(self) -> int:
        return self._length

    @property
    def content_type(self) -> str:
        """The Content-Type header, with the boundary between the parts."""
        return str(self._encoder.content_type)

    def read(self, size: int = -1) -> bytes:
        """The next block. Raises UploadAborted."""
        self._check_abort()
        block: bytes = self._encoder.read(self.pace.block(size))
        self._read += len(block)
        self._report(time.monotonic())
        return block

    def _report(self, now: float) -> None:
        if self._read < self._length and now - self._reported_at < PROGRESS_INTERVAL_S:
            return
        self._reported_at = now
        # The form fields around the file are not worth telling apart.
        self._on_progress(min(self._read, self._size), self._size)

    def send(self, connected: socket.socket, block: bytes) -> None:
        """Send a block, however slowly the other side takes it, and wait if that was too fast.

        Raises TimeoutError when it takes nothing for `stall_timeout_s`, and UploadAborted.
        """
        left = memoryview(block)
        began_at = moved_at = time.monotonic()
        connected.settimeout(min(ABORT_POLL_S, self.stall_timeout_s))
        while left:
            try:
                left = left[connected.send(left) :]
                moved_at = time.monotonic()
            except TimeoutError:
                self._check_abort()
                if time.monotonic() - moved_at >= self.stall_timeout_s:
                    raise
        self._rest(self.pace.wait_s(len(block), began_at, time.monotonic()))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._check_abort()
            time.sleep(min(left_s, ABORT_POLL_S))

    def _check_abort(self) -> None:
        if self._abort():
            raise UploadAborted("the upload was aborted", certainly_not_done=True)
