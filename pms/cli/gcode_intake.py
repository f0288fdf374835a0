"""Takes a file of this host into the folder where local G-code is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pms.domain.gcode_scan import GcodeFacts, GcodeScanner
from pms.errors import RefusedError

CHUNK_BYTES = 1024 * 1024


class TakenGcode:
    """A copy of a file that is safely on the disk, and not yet any job's."""

    def __init__(self, path: Path, facts: GcodeFacts) -> None:
        self._path = path
        self.facts = facts

    def give_to(self, job_id: int) -> None:
        """Make it the G-code of a job; the name is on the disk when this returns."""
        folder = self._path.parent
        try:
            self._path.replace(folder / f"job_{job_id}.gcode")
            _sync_folder(folder)
        except OSError as error:
            raise RefusedError(f"cannot store G-code in {folder}: {error.strerror}") from error


@contextmanager
def taken_in(source: Path, data_dir: Path) -> Iterator[TakenGcode]:
    """Copy and check a file; the copy is gone afterwards unless a job got it.

    Raises RefusedError when the file cannot be read or holds nothing that prints.
    """
    folder = data_dir / "gcode"
    # The process's id keeps two submissions apart; one that was killed is overwritten later.
    path = folder / f".submit-{os.getpid()}.part"
    try:
        yield TakenGcode(path, _copy(source, path))
    finally:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> GcodeFacts:
    with _reading(source) as file:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as copy:
                facts = _scan(_chunks(file, source), copy)
                copy.flush()
                os.fsync(copy.fileno())
        except OSError as error:
            raise RefusedError(
                f"cannot store G-code in {target.parent}: {error.strerror};"
                " check PMS_DATA_DIR and the space on its disk"
            ) from error
    if facts.size == 0:
        raise RefusedError(f"{source} is empty; slice it again")
    if not facts.has_command:
        raise RefusedError(f"{source} holds no G-code command; submit a sliced file")
    return facts


def _reading(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise _unreadable(source, error) from error


def _chunks(file: BinaryIO, source: Path) -> Iterator[bytes]:
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(source, error) from error
        if not chunk:
            return
        yield chunk


def _unreadable(source: Path, error: OSError) -> RefusedError:
    return RefusedError(f"cannot read {source}: {error.strerror}; name a G-code file")


def _scan(chunks: Iterator[bytes], copy: BinaryIO) -> GcodeFacts:
    scanner = GcodeScanner()
    for chunk in chunks:
        scanner.feed(chunk)
        copy.write(chunk)
    return scanner.finish()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
