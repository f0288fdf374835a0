"""What is wrong with the server that answers, and with PMS's rights on it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus

from pms.probe.answers import CurrentUser
from pms.probe.door import Door, Reply
from pms.probe.findings import Finding, failed, ok, warning
from pms.probe.network_diagnosis import other_octoprint
from pms.probe.reachability import Endpoint
from workers.octoprint_errors import (
    NotOctoPrint,
    OctoPrintError,
    Rejected,
    ServerError,
    TimedOut,
    Unauthorized,
    one_line,
)

_STILL_STARTING = b"OctoPrint is still starting"
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SEE_LOG = "see octoprint.log on OctoPrint's machine"
_PROXY_DOWN = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class Permission:
    """A right that PMS's user has to have in OctoPrint."""

    key: str
    #: As OctoPrint's settings name it.
    title: str
    #: What it allows.
    use: str
    #: Without it, nothing is printed.
    required: bool = True

    @property
    def step(self) -> str:
        """The name of the step that looks for it."""
        return f"permission {self.title.lower()}"


STATUS = Permission("STATUS", "Status", "see what the printer does")
CONNECTION = Permission("CONNECTION", "Connection", "connect the printer")
FILES_LIST = Permission("FILES_LIST", "File List", "see files and how their prints ended")
FILES_UPLOAD = Permission("FILES_UPLOAD", "File Upload", "store G-code")
FILES_SELECT = Permission("FILES_SELECT", "File Select", "select the file to print")
FILES_DELETE = Permission("FILES_DELETE", "File Delete", "remove G-code that was printed")
FILES_DOWNLOAD = Permission("FILES_DOWNLOAD", "File Download", "read files back", required=False)
PRINT = Permission("PRINT", "Print", "start, pause, resume and cancel prints")
PERMISSIONS = (
    STATUS,
    CONNECTION,
    FILES_LIST,
    FILES_UPLOAD,
    FILES_SELECT,
    FILES_DELETE,
    FILES_DOWNLOAD,
    PRINT,
)


def http(endpoint: Endpoint, door: Door) -> Finding:
    """Whether HTTP comes out of the door."""
    if door.wants_tls:
        return failed(
            f"port {endpoint.port} speaks TLS, and the address does not begin with https://",
            f"write {replace(endpoint, tls=True).address}, or give the port that has plain HTTP",
        )
    answer = door.reply or door.front
    if answer is not None:
        server = f", {one_line(answer.server)}" if answer.server else ""
        return ok(f"status {answer.status}{server}")
    if door.words:
        said = one_line(door.words.decode(errors="replace"))
        return failed(
            f"port {endpoint.port} speaks something else than HTTP: {said!r}",
            "correct the port",
        )
    return failure(door.error or NotOctoPrint("no answer"))


def start_up(door: Door) -> Finding:
    """Whether OctoPrint has started."""
    if door.front is not None and _STILL_STARTING in door.front.body:
        return failed(
            "OctoPrint is still starting up",
            "wait a minute or two and check again; if it goes on, " + _SEE_LOG,
        )
    return ok("is over")


def octoprint(door: Door, elsewhere: str | None) -> Finding:
    """Whether it is an OctoPrint that answers; `elsewhere` on the host, one does."""
    if door.is_octoprint:
        return ok("answers as OctoPrint does")
    cause, remedy = _other_server(door)
    return failed(cause, other_octoprint(elsewhere) if elsewhere else remedy)


def _other_server(door: Door) -> tuple[str, str]:
    """Who answers instead of an OctoPrint, and what to do about that."""
    status, location = (door.reply.status, door.reply.location) if door.reply else (0, "")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return (
            f"the server sends everybody on to {one_line(location) or 'nowhere'}",
            "use the address at which OctoPrint itself answers: PMS follows no redirect, "
            "which would take the API key along",
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            "a proxy in front of OctoPrint wants a log-in of its own",
            "let PMS pass it without one, or give OctoPrint's own address: PMS has an API key only",
        )
    if status in _PROXY_DOWN:
        return (
            f"a proxy answers{_portrait(door)}, and OctoPrint behind it does not (status {status})",
            "start OctoPrint, or correct where the proxy looks for it",
        )
    return (
        f"another web server answers{_portrait(door)}, no OctoPrint",
        "correct the address: the port, or the path under which a proxy shows OctoPrint",
    )


def _portrait(door: Door) -> str:
    """What is known about the server, to recognise it by."""
    answers = [answer for answer in (door.front, door.reply) if answer is not None]
    titles = [f"page {title!r}" for title in map(_title, answers) if title]
    servers = [one_line(answer.server) for answer in answers if answer.server]
    known = [*servers[:1], *titles[:1]]
    return f" ({', '.join(known)})" if known else ""


def _title(answer: Reply) -> str:
    found = _TITLE.search(answer.body)
    return one_line(found.group(1).decode(errors="replace")) if found else ""


def api_key(user: CurrentUser) -> Finding:
    """Whether OctoPrint knows whose key it is."""
    if user.name is None:
        return failed(
            "OctoPrint does not know this API key",
            "copy it anew from OctoPrint (Settings > Application Keys, or the settings of a user); "
            "a key goes when it is made anew, and with its user",
        )
    groups = f", groups {', '.join(user.groups)}" if user.groups else ""
    return ok(f"user {user.name}{groups}")


def unusable_key(text: str) -> Finding:
    """The key cannot even be sent."""
    return failed(
        text, "give the key as OctoPrint shows it: --api-key K, or `pms-coordinator printer set`"
    )


def permission(user: CurrentUser, needed: Permission) -> Finding:
    """Whether the user has one of the rights."""
    if needed.key in user.permissions:
        return ok(needed.use)
    cause = f"user {user.name} may not {needed.use}"
    remedy = (
        f"in OctoPrint, Settings > Access Control: give {user.name} the permission "
        f"{needed.title!r}, or the group 'Operator'"
    )
    if needed.required:
        return failed(cause, remedy)
    return warning(cause, f"{remedy}; PMS prints without it")


def failure(error: OctoPrintError) -> Finding:
    """A call that should have worked went wrong."""
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return failed(str(error), remedy)
    return failed(str(error), "check the network between here and OctoPrint")


_REMEDIES: Iterable[tuple[type[OctoPrintError], str]] = (
    (
        TimedOut,
        "OctoPrint hangs or its machine is overloaded: look at its load and at octoprint.log; "
        "restart OctoPrint when nothing prints",
    ),
    (Unauthorized, "the rights of the API key's user have to be looked at in OctoPrint"),
    (ServerError, _SEE_LOG),
    (Rejected, _SEE_LOG),
    (NotOctoPrint, "look for a proxy in between, or a plugin that changes OctoPrint's answers"),
)
