"""The files of one OctoPrint, with what their prints came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from pms.simulator.contents import Content, Contents


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last print of a file ended."""

    at: float
    success: bool
    print_time_s: float | None


@dataclass(slots=True)
class Prints:
    """All prints of a file."""

    success: int = 0
    failure: int = 0
    last: Outcome | None = None

    def add(self, outcome: Outcome) -> None:
        """One more print has ended."""
        self.success += outcome.success
        self.failure += not outcome.success
        self.last = outcome


@dataclass(slots=True)
class StoredFile:
    """A file as OctoPrint holds it."""

    path: str
    display: str
    user: str
    #: Unix time of the upload.
    date: int
    content: Content
    prints: Prints = field(default_factory=Prints)
    userdata: Any = None

    @property
    def name(self) -> str:
        """Without its folders."""
        return PurePosixPath(self.path).name


class Files:
    """A tree of folders and files. Paths have no slash at either end; the root is empty."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._files: dict[str, StoredFile] = {}
        #: With the Unix time at which each was made.
        self._folders: dict[str, int] = {}

    def get(self, path: str) -> StoredFile | None:
        """The file at this path."""
        return self._files.get(path)

    def has_folder(self, path: str) -> bool:
        """Whether there is such a folder; the root is always there."""
        return not path or path in self._folders

    def folder_date(self, path: str) -> int:
        """When the folder was made."""
        return self._folders[path]

    def store(self, stored: StoredFile) -> None:
        """Put a file in its place, whose content counts as used; its folders are made.

        A file that is overwritten with what it holds already keeps its history.
        """
        before = self._files.get(stored.path)
        if before is not None:
            if before.content is stored.content:
                stored.prints = before.prints
            self._contents.release(before.content)
        self.make_folder(str(PurePosixPath(stored.path).parent), stored.date)
        self._files[stored.path] = stored

    def copy(self, source: StoredFile, path: str) -> None:
        """Store the same content under another path; OctoPrint copies the history, too."""
        content = self._contents.use(source.content)
        name = PurePosixPath(path).name
        self.store(
            replace(source, path=path, display=name, content=content, prints=replace(source.prints))
        )

    def move(self, source: StoredFile, path: str) -> None:
        """Give a file another path; its history goes with it."""
        del self._files[source.path]
        source.path, source.display = path, PurePosixPath(path).name
        self._files[path] = source

    def make_folder(self, path: str, date: int) -> None:
        """Make a folder and those around it, where they are missing."""
        for folder in (path, *map(str, PurePosixPath(path).parents)):
            if folder != ".":
                self._folders.setdefault(folder, date)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with everything below it."""
        for inner in [inner for inner in self._files if _is_in(inner, path)]:
            self._contents.release(self._files.pop(inner).content)
        for inner in [inner for inner in self._folders if _is_in(inner, path)]:
            del self._folders[inner]

    def files_in(self, folder: str) -> Iterator[StoredFile]:
        """Those directly in it."""
        return (stored for path, stored in self._files.items() if _parent(path) == folder)

    def folders_in(self, folder: str) -> Iterator[str]:
        """The paths of those directly in it."""
        return (path for path in self._folders if _parent(path) == folder)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_in(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}/")
