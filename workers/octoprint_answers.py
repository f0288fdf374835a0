"""OctoPrint's JSON, only as deep as PMS needs it, and what it means.

REST and push carry the same parts, so both read them here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pms.domain.observation import Activity, FileFacts, Observation


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all parts: unknown fields are ignored."""


class Connection(Answer, frozen=True):
    """State of the serial connection, live."""

    state: str


class ConnectionAnswer(Answer, frozen=True):
    """`GET /api/connection`."""

    current: Connection


class SelectedFile(Answer, frozen=True):
    """The file that is printed or was printed last; all null when there is none."""

    path: str | None = None
    origin: str | None = None


class Job(Answer, frozen=True):
    """What the printer works on."""

    file: SelectedFile = SelectedFile()

    @property
    def path(self) -> str | None:
        """Path in OctoPrint's own storage; files on the SD card have none."""
        return self.file.path if self.file.origin == "local" else None


class JobProgress(Answer, frozen=True):
    """How far the job is; all null when nothing was started."""

    #: Percent; -100 for an empty file.
    completion: float | None = None
    filepos: int | None = None
    print_time_left: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1."""
        return None if self.completion is None else min(1.0, max(0.0, self.completion / 100))


class JobAnswer(Answer, frozen=True):
    """`GET /api/job`: a copy, some milliseconds old."""

    state: str
    job: Job
    progress: JobProgress
    error: str | None = None


class LastPrint(Answer, frozen=True):
    """How the last print of a file ended."""

    success: bool
    print_time: float | None = None
    #: When it ended, in seconds since 1970.
    date: float | None = None


class PrintHistory(Answer, frozen=True):
    """All prints of a file's present content."""

    success: int = 0
    failure: int = 0
    last: LastPrint | None = None


class StoredFile(Answer, frozen=True):
    """A file, or a folder with its content."""

    path: str
    type: str = ""
    size: int | None = None
    hash: str | None = None
    #: When it was stored, in seconds since 1970.
    date: float | None = None
    prints: PrintHistory | None = None
    children: list[StoredFile] = []

    def facts(self) -> FileFacts | None:
        """What PMS wants to know; None for a folder."""
        if self.type == "folder" or self.size is None:
            return None
        prints = self.prints or PrintHistory()
        return FileFacts(
            path=self.path,
            size=self.size,
            sha1=self.hash,
            uploaded_at=self.date,
            successes=prints.success,
            failures=prints.failure,
            last_success=prints.last.success if prints.last else None,
            last_print_time_s=prints.last.print_time if prints.last else None,
        )

    def all_files(self) -> Iterator[StoredFile]:
        """This file, or all files below this folder."""
        if self.type != "folder":
            yield self
        for child in self.children:
            yield from child.all_files()

    def all_facts(self) -> list[FileFacts]:
        """The facts of all of these files."""
        return [facts for file in self.all_files() if (facts := file.facts()) is not None]


class FileList(Answer, frozen=True):
    """`GET /api/files/local?recursive=true`."""

    files: list[StoredFile]


class FreeSpace(Answer, frozen=True):
    """Of the disk that holds the uploads, in `GET /api/files/local`."""

    free: int | None = None


class UploadedFile(Answer, frozen=True):
    """Where OctoPrint put it; names are sanitized, so this may not be what was asked for."""

    path: str


class UploadedFiles(Answer, frozen=True):
    """By storage."""

    local: UploadedFile


class UploadAnswer(Answer, frozen=True):
    """`POST /api/files/local` with a file."""

    files: UploadedFiles
    done: bool = True


class LoginAnswer(Answer, frozen=True):
    """`POST /api/login`."""

    name: str
    session: str


_ACTIVITIES = {
    "Closed": Activity.DISCONNECTED,
    "Offline": Activity.DISCONNECTED,
    "Offline after error": Activity.ERROR,
    "Error": Activity.ERROR,
    "Opening serial connection": Activity.CONNECTING,
    "Detecting serial connection": Activity.CONNECTING,
    "Connecting": Activity.CONNECTING,
    "Operational": Activity.OPERATIONAL,
    "Starting": Activity.PRINTING,
    "Printing": Activity.PRINTING,
    "Pausing": Activity.PRINTING,
    "Resuming": Activity.PRINTING,
    "Paused": Activity.PAUSED,
    "Cancelling": Activity.CANCELLING,
    "Finishing": Activity.FINISHING,
}


def activity_of(state_text: str) -> Activity:
    """What OctoPrint's state text means; what is not known is not ours to touch."""
    return _ACTIVITIES.get(state_text, Activity.OTHER)


def agree(connection: Connection, job: JobAnswer) -> bool:
    """Whether the job's copy has caught up with the connection."""
    if connection.state == "Closed":
        return activity_of(job.state) in (Activity.DISCONNECTED, Activity.ERROR)
    return connection.state == job.state


def observation(
    connection: Connection, job: JobAnswer, file: FileFacts | None = None
) -> Observation:
    """One look; where the two disagree, the connection is right, because it is live.

    Only the job tells an error from a plain disconnection.
    """
    activity, text = activity_of(connection.state), connection.state
    if connection.state == "Closed" and activity_of(job.state) is Activity.ERROR:
        activity, text = Activity.ERROR, job.state
    return Observation(
        activity=activity,
        state_text=text,
        error=job.error or "",
        path=job.job.path,
        filepos=job.progress.filepos,
        progress=job.progress.fraction,
        time_left_s=job.progress.print_time_left,
        file=file,
    )
