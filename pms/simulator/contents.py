"""What is in the files of all printers: each content once on disk, however many have it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pms.simulator.gcode import Course, Scanner

_LINE_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of some file."""

    sha1: str
    course: Course
    on_disk: Path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.course.size

    def line_start(self, offset: int) -> int:
        """Where the line begins that this byte is in; not far back, however long the line."""
        begin = max(0, offset - _LINE_LIMIT_BYTES)
        with self.on_disk.open("rb") as stream:
            stream.seek(begin)
            found = stream.read(offset - begin).rfind(b"\n")
        return offset if found < 0 else begin + found + 1


class Contents:
    """All contents, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Content] = {}
        self._uses: dict[str, int] = {}

    def receive(self) -> Arriving:
        """Begin to take in a file."""
        return Arriving(self)

    def use(self, content: Content) -> Content:
        """Keep a content until it is released as often as it was used."""
        self._uses[content.sha1] += 1
        return content

    def release(self, content: Content) -> None:
        """Drop a content that nobody else uses."""
        self._uses[content.sha1] -= 1
        if not self._uses[content.sha1]:
            del self._uses[content.sha1], self._known[content.sha1]
            content.on_disk.unlink(missing_ok=True)

    def adopt(self, arrived: Path, sha1: str, course: Course) -> Content:
        """Give a complete file its place; it counts as used once."""
        if (known := self._known.get(sha1)) is not None:
            arrived.unlink()
            return self.use(known)
        content = Content(sha1, course, self.folder / sha1)
        arrived.rename(content.on_disk)
        self._known[sha1], self._uses[sha1] = content, 1
        return content


class Arriving:
    """A file on its way in: `write` each block, then `finish` or `abandon`."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        descriptor, name = tempfile.mkstemp(prefix="arriving-", dir=contents.folder)
        self._path = Path(name)
        self._stream = os.fdopen(descriptor, "wb", buffering=0)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._scanner = Scanner()

    def write(self, block: bytes) -> None:
        """Take the next bytes."""
        self._stream.write(block)
        self._sha1.update(block)
        self._scanner.feed(block)

    def finish(self) -> Content:
        """All bytes have come."""
        self._stream.close()
        return self._contents.adopt(self._path, self._sha1.hexdigest(), self._scanner.finish())

    def abandon(self) -> None:
        """No more bytes will come."""
        self._stream.close()
        self._path.unlink(missing_ok=True)
