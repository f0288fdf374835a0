"""A request to a look-alike, and the forms that answers have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from pms.simulator.access import User
from pms.simulator.look_alike import LookAlike
from pms.simulator.payloads import Payload

FORBIDDEN = (
    "You don't have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server."
)
NOT_FOUND = (
    "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
)
NOT_JSON = (
    "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
)
BAD_JSON = "The browser (or proxy) sent a request that this server could not understand."
#: What OctoPrint takes for a yes.
TRUE = frozenset({"true", "True", "TRUE", "yes", "y", "1"})
SERVER_ERROR = (
    "The server encountered an internal error and was unable to complete your request. "
    "Either the server is overloaded or there is an error in the application."
)


class Refused(Exception):
    """The answer is an error with this status and this text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    @classmethod
    def not_found(cls) -> Refused:
        """There is nothing at this address."""
        return cls(404, NOT_FOUND)

    @classmethod
    def not_operational(cls) -> Refused:
        """The printer is not connected."""
        return cls(409, "Printer is not operational")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of somebody who is known."""

    look_alike: LookAlike
    request: web.BaseRequest
    user: User
    #: What the address holds, such as a file's path.
    path: str
    base: str

    def require(self, permission: str) -> None:
        """Raise Refused when the user lacks it."""
        if not self.user.may(permission):
            raise Refused(403, FORBIDDEN)

    async def json(self) -> dict[str, Any]:
        """The body. Raises Refused."""
        if self.request.content_type != "application/json":
            raise Refused(415, NOT_JSON)
        try:
            return msgspec.json.decode(await self.request.read(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused(400, BAD_JSON) from error

    async def command(self, **known: tuple[str, ...]) -> dict[str, Any]:
        """The body, whose command is one of these, with its arguments. Raises Refused."""
        content = await self.json()
        if content.get("command") not in known:
            raise Refused(400, "command is invalid")
        if any(name not in content for name in known[content["command"]]):
            raise Refused(400, "Mandatory parameters missing")
        return content

    def announce_file(self, kind: str, payload: Payload) -> None:
        """Tell that a file has come or gone."""
        self.look_alike.emit(kind, payload)
        self.look_alike.emit("UpdatedFiles", {"type": "printables"})


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def json_response(
    content: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=msgspec.json.encode(content),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def no_content() -> web.Response:
    """The answer to most commands."""
    return web.Response(status=204)
