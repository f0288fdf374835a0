"""The folder of the G-code cache, which the processes of all printers share.

Each job has its G-code, a small JSON file that vouches for it, and a lock file. A lock of the
kernel (flock) belongs to a process and ends with it, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec

from workers.gcode_sources import GcodeUnavailable

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAME = re.compile(r"job-([0-9]+)\.(gcode|json|part|lock)")
_COMPLETE = frozenset({"gcode", "json"})
_LARGE = frozenset({"gcode", "part"})


class NoRoomInCache(GcodeUnavailable):
    """The disk that holds the cache is full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedGcode:
    """A job's G-code on this host's disk."""

    path: Path
    #: In bytes.
    size: int
    #: Hexadecimal.
    sha1: str
    #: Byte offset just behind the last M0 line; None when there is none.
    finish_marker: int | None


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """What the JSON file says of a complete file of G-code."""

    size: int
    sha1: str
    finish_marker: int | None
    #: Where the G-code came from.
    origin: str

    @classmethod
    def of(cls, gcode: CachedGcode, origin: str) -> Voucher:
        """Vouch for this G-code."""
        return cls(
            size=gcode.size, sha1=gcode.sha1, finish_marker=gcode.finish_marker, origin=origin
        )


class Lock:
    """A lock that is held until it is released."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def share(self) -> None:
        """Let others read what this lock was held alone for.

        The kernel may let somebody change the files just between; whoever has them open keeps
        what they were.
        """
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


class Entry:
    """One job's files. Read them under a shared lock, change them under an exclusive one."""

    def __init__(self, folder: Path, job_id: int) -> None:
        self.job_id = job_id
        self.gcode = folder / f"job-{job_id}.gcode"
        #: What is being written, until it takes the place of one of the two.
        self.part = folder / f"job-{job_id}.part"
        self._voucher = folder / f"job-{job_id}.json"
        self._lock = folder / f"job-{job_id}.lock"

    def lock_shared(self) -> Lock | None:
        """Keep the files from being changed; None while somebody changes them."""
        return self._try_lock(fcntl.LOCK_SH)

    def lock_exclusively(self) -> Lock | None:
        """Become the only one who uses the files; None while somebody else does."""
        return self._try_lock(fcntl.LOCK_EX)

    def load(self, origin: str) -> CachedGcode | None:
        """The G-code, when it is complete and came from `origin`."""
        try:
            voucher = msgspec.json.decode(self._voucher.read_bytes(), type=Voucher)
            size = self.gcode.stat().st_size
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if (voucher.size, voucher.origin) != (size, origin):
            return None
        return CachedGcode(
            path=self.gcode,
            size=size,
            sha1=voucher.sha1,
            finish_marker=voucher.finish_marker,
        )

    def publish(self, voucher: Voucher) -> None:
        """Put the written part in place, then the voucher: it stands for a complete file.

        Nothing waits for the disk. What a power failure spoils is found out when the SHA-1 that
        OctoPrint computes of an upload is another one, and is fetched again.
        """
        self.part.replace(self.gcode)
        self.part.write_bytes(msgspec.json.encode(voucher))
        self.part.replace(self._voucher)

    def touch(self) -> None:
        """Note that the G-code is being used now."""
        os.utime(self._voucher)

    @property
    def is_complete(self) -> bool:
        """Whether both are there, the G-code and what vouches for it."""
        return self.gcode.exists() and self._voucher.exists()

    def last_used(self) -> float:
        """Seconds since the epoch; 0 for what is not complete."""
        try:
            return self._voucher.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def clear(self) -> None:
        """Remove all but the lock; the voucher first, so that it never stands for nothing."""
        for path in (self._voucher, self.gcode, self.part):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        self.clear()
        self._lock.unlink(missing_ok=True)

    def _try_lock(self, mode: int) -> Lock | None:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        locked = False
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
            # Who held it before may have removed the entry, and with it this very file.
            locked = os.fstat(descriptor).st_nlink > 0
        except BlockingIOError:
            pass
        finally:
            if not locked:
                os.close(descriptor)
        return Lock(descriptor) if locked else None


@dataclass(slots=True)
class Holding:
    """What one job has in the folder."""

    entry: Entry
    #: That its G-code takes, complete or not.
    bytes: int = 0
    kinds: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether it can be used; the rest of a download that was killed cannot."""
        return self.kinds >= _COMPLETE


def holdings(folder: Path) -> list[Holding]:
    """All jobs that have any file in the folder, in one pass: there may be thousands."""
    found: dict[int, Holding] = {}
    if not folder.exists():
        return []
    with os.scandir(folder) as files:
        for file in files:
            name = _NAME.fullmatch(file.name)
            if name is None:
                continue
            job_id, kind = int(name[1]), name[2]
            holding = found.setdefault(job_id, Holding(Entry(folder, job_id)))
            holding.kinds.add(kind)
            if kind in _LARGE:
                with suppress(FileNotFoundError):
                    holding.bytes += file.stat().st_size
    return list(found.values())


@contextmanager
def in_words(folder: Path, job_id: int) -> Iterator[None]:
    """Say what is wrong with the folder. Raises NoRoomInCache or GcodeUnavailable."""
    try:
        yield
    except OSError as error:
        cannot = f"job {job_id}: the G-code cache {folder} cannot be used"
        if error.errno in _DISK_FULL:
            raise NoRoomInCache(
                f"{cannot}: its disk is full; free space on it or lower PMS_CACHE_BYTES"
            ) from error
        raise GcodeUnavailable(f"{cannot}: {error.strerror}; check PMS_DATA_DIR") from error
