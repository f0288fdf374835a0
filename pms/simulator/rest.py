"""OctoPrint's REST interface, as far as PMS and those who test it use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from pms.simulator import answers, file_commands, upload
from pms.simulator.call import FORBIDDEN, Call, Handler, Refused, json_response, no_content
from pms.simulator.look_alike import LookAlike
from pms.simulator.states import State

CSRF = "CSRF validation failed"
_NOT_FOUND_PAGE = (
    "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
)


async def answer(look_alike: LookAlike, request: web.BaseRequest) -> web.StreamResponse:
    """Carry out one request; never raises but for lost connections."""
    try:
        return await _carry_out(look_alike, request)
    except Refused as refused:
        return json_response({"error": refused.text}, refused.status)


async def _carry_out(look_alike: LookAlike, request: web.BaseRequest) -> web.StreamResponse:
    if not request.path.startswith(("/api/", "/downloads/")):
        return _page(request.path)
    user = look_alike.access.by_key(_api_key(request))
    if user is None:
        raise Refused(403, FORBIDDEN) if request.method == "GET" else Refused(400, CSRF)
    route, path = _route_of(request)
    call = Call(look_alike, request, user, path, f"http://{request.host}")
    if route.permission is not None:
        call.require(route.permission)
    return await route.handler(call)


def _route_of(request: web.BaseRequest) -> tuple[Route, str]:
    """The route, and the path that the address holds. Raises Refused."""
    found = [(route, match) for route in ROUTES if (match := route.pattern.fullmatch(request.path))]
    for route, match in found:
        if route.method == request.method:
            return route, match.groupdict().get("path", "")
    if found:
        raise Refused(405, "The method is not allowed for the requested URL.")
    raise Refused.not_found()


def _page(path: str) -> web.Response:
    """What is for people: there is a start page, which asks for a log-in, and nothing else."""
    if path == "/":
        return web.Response(status=302, headers={"Location": "/login/?redirect=/?"})
    return web.Response(status=404, text=_NOT_FOUND_PAGE, content_type="text/html")


def _api_key(request: web.BaseRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token if scheme == "Bearer" else ""
    return request.headers.get("X-Api-Key") or bearer or request.query.get("apikey", "")


# -- the server -------------------------------------------------------------------


async def _version(_call: Call) -> web.Response:
    return json_response(answers.version())


async def _server(_call: Call) -> web.Response:
    return json_response({"version": answers.VERSION, "safemode": None})


async def _settings(_call: Call) -> web.Response:
    return json_response({"appearance": {"name": "", "color": "default"}, "feature": {}})


async def _current_user(call: Call) -> web.Response:
    user = call.user
    return json_response(
        {"name": user.name, "groups": user.groups, "permissions": sorted(user.permissions)}
    )


async def _log_in(call: Call) -> web.Response:
    content = await call.json()
    if not content.get("passive"):
        raise Refused(403, FORBIDDEN)
    session = call.look_alike.access.log_in(call.user)
    return json_response(
        {
            "name": call.user.name,
            "session": session,
            "active": True,
            "user": True,
            "admin": call.user.may("ADMIN"),
            "apikey": call.user.api_key,
            "groups": call.user.groups,
            "permissions": [],
            "needs": {"role": sorted(call.user.permissions), "group": call.user.groups},
            "settings": {},
            "_login_mechanism": "apikey",
            "_is_external_client": False,
        }
    )


# -- the printer ------------------------------------------------------------------


async def _connection(call: Call) -> web.Response:
    return json_response(answers.connection(call.look_alike.machine))


async def _connect(call: Call) -> web.Response:
    content = await call.command(connect=(), disconnect=(), fake_ack=())
    options = answers.connection(call.look_alike.machine)["options"]
    if content["command"] == "connect":
        for name, choices in (("port", options["ports"]), ("baudrate", options["baudrates"])):
            if name in content and content[name] not in (*choices, "AUTO", 0):
                raise Refused(400, f"{name} is invalid")
        call.look_alike.act(call.look_alike.machine.connect)
    elif content["command"] == "disconnect":
        call.look_alike.act(call.look_alike.machine.disconnect)
    return no_content()


async def _printer(call: Call) -> web.Response:
    machine = call.look_alike.machine
    if not machine.state.is_operational:
        raise Refused.not_operational()
    excluded = frozenset(call.request.query.get("exclude", "").split(","))
    return json_response(answers.printer(machine, call.look_alike.now(), excluded))


async def _printer_error(call: Call) -> web.Response:
    return json_response(answers.printer_error(call.look_alike.machine))


async def _printer_command(call: Call) -> web.Response:
    if not call.look_alike.machine.state.is_operational:
        raise Refused.not_operational()
    content = await call.json()
    if "command" not in content and "commands" not in content:
        raise Refused(400, "No commands included in request")
    commands = content["commands"] if "commands" in content else [content["command"]]
    machine = call.look_alike.machine
    for text in commands:
        call.look_alike.act(partial(machine.command, text))
    return no_content()


async def _job(call: Call) -> web.Response:
    return json_response(answers.job_answer(call.look_alike.machine, call.look_alike.now()))


async def _control_job(call: Call) -> web.Response:
    machine, user = call.look_alike.machine, call.user.name
    if not machine.state.is_operational:
        raise Refused.not_operational()
    content = await call.command(start=(), restart=(), pause=(), cancel=())
    call.require("PRINT")
    command, busy = content["command"], machine.state.is_busy
    if command == "start":
        if busy:
            raise Refused(409, "Printer already has an active print job, did you mean 'restart'?")
        call.look_alike.act(lambda now: machine.start(user, now))
    elif command == "restart":
        if machine.state is not State.PAUSED:
            raise Refused(409, "Printer does not have an active print job or is not paused")
        call.look_alike.act(lambda now: machine.start(user, now))
    elif not busy:
        raise Refused(
            409, f"Printer is neither printing nor paused, '{command}' command cannot be performed"
        )
    elif command == "cancel":
        call.look_alike.act(lambda now: machine.cancel(user, now))
    else:
        _pause_or_resume(call, content.get("action", "toggle"))
    return no_content()


def _pause_or_resume(call: Call, action: str) -> None:
    machine, user = call.look_alike.machine, call.user.name
    if action not in ("toggle", "pause", "resume"):
        raise Refused(400, "Unknown action")
    if action == "toggle":
        action = "resume" if machine.state is State.PAUSED else "pause"
    if action == "pause":
        call.look_alike.act(lambda now: machine.pause(user, now))
    else:
        call.look_alike.act(lambda now: machine.resume(user, now))


@dataclass(frozen=True, slots=True)
class Route:
    """An address, and who may use it."""

    method: str
    pattern: re.Pattern[str]
    permission: str | None
    handler: Handler


def _routes(*rows: tuple[str, str, str | None, Handler]) -> tuple[Route, ...]:
    return tuple(Route(method, re.compile(path), needs, do) for method, path, needs, do in rows)


ROUTES = _routes(
    ("GET", "/api/version", "STATUS", _version),
    ("GET", "/api/server", "STATUS", _server),
    ("GET", "/api/settings", "SETTINGS_READ", _settings),
    ("GET", "/api/currentuser", None, _current_user),
    ("POST", "/api/login", None, _log_in),
    ("GET", "/api/connection", "STATUS", _connection),
    ("POST", "/api/connection", "CONNECTION", _connect),
    ("GET", "/api/printer", "STATUS", _printer),
    ("GET", "/api/printer/error", "STATUS", _printer_error),
    ("POST", "/api/printer/command", "CONTROL", _printer_command),
    ("GET", "/api/job", "STATUS", _job),
    ("POST", "/api/job", None, _control_job),
    ("GET", "/api/files", "FILES_LIST", file_commands.everything),
    ("GET", "/api/files/(?P<path>[^/]+)", "FILES_LIST", file_commands.listing),
    ("POST", "/api/files/(?P<path>[^/]+)", "FILES_UPLOAD", upload.take_in),
    ("GET", "/api/files/local/(?P<path>.+)", "FILES_LIST", file_commands.info),
    ("POST", "/api/files/local/(?P<path>.+)", None, file_commands.command),
    ("DELETE", "/api/files/local/(?P<path>.+)", "FILES_DELETE", file_commands.delete),
    ("GET", "/downloads/files/local/(?P<path>.+)", "FILES_DOWNLOAD", file_commands.download),
)
