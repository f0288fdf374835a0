"""The simulator's own interface: looking behind the look-alikes, and breaking them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from pms.simulator.access import viewer
from pms.simulator.failures import THERMAL_RUNAWAY, firmware_error
from pms.simulator.faults import Faults
from pms.simulator.server import Server
from pms.simulator.simulation import Simulation

T = TypeVar("T")


class Restart(msgspec.Struct, forbid_unknown_fields=True):
    """How long the server is away, in seconds."""

    down_s: float = 1.0


class Error(msgspec.Struct, forbid_unknown_fields=True):
    """What the firmware complains of."""

    text: str = THERMAL_RUNAWAY.error


class NewSetup(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed of a printer's setup."""

    speed: Annotated[float, msgspec.Meta(gt=0)] | None = None
    heating: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Viewer(msgspec.Struct, forbid_unknown_fields=True):
    """A user who may look only."""

    api_key: str


class Control:
    """Answers the requests; `{which}` in an address is a printer's number or `all`."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def application(self) -> web.Application:
        """What a server of aiohttp's serves."""
        application = web.Application(middlewares=[_in_words])
        application.add_routes(
            [
                web.get("/printers", self._list),
                web.get("/printers/{which}/prints", self._prints),
                web.get("/printers/{which}/faults", self._faults),
                web.put("/printers/{which}/faults", self._set_faults),
                web.patch("/printers/{which}/setup", self._set_up),
                web.post("/printers/{which}/{action}", self._act),
            ]
        )
        return application

    # -- looking ----------------------------------------------------------------------

    async def _list(self, _request: web.Request) -> web.Response:
        return _json([describe(server) for server in self._simulation.servers])

    async def _prints(self, request: web.Request) -> web.Response:
        chosen = self._chosen(request)
        return _json(
            [
                {"printer": server.look_alike.number} | asdict(record)
                for server in chosen
                for record in server.look_alike.machine.records.all
            ]
        )

    async def _faults(self, request: web.Request) -> web.Response:
        return _json([server.look_alike.faults for server in self._chosen(request)])

    # -- breaking ---------------------------------------------------------------------

    async def _set_faults(self, request: web.Request) -> web.Response:
        body = await request.read()
        for server in self._chosen(request):
            await server.set_faults(_read(body, Faults))
        return web.Response(status=204)

    async def _set_up(self, request: web.Request) -> web.Response:
        wanted = _read(await request.read(), NewSetup)
        for server in self._chosen(request):
            setup = server.look_alike.setup
            setup.speed = wanted.speed or setup.speed
            setup.heating = wanted.heating or setup.heating
            server.look_alike.act(server.look_alike.machine.hurry)
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        action = _ACTIONS.get(request.match_info["action"])
        if action is None:
            raise web.HTTPNotFound(text=f"there is no such action; there are {', '.join(_ACTIONS)}")
        body = await request.read() or b"{}"
        for server in self._chosen(request):
            await action(self._simulation, server, body)
        return web.Response(status=204)

    def _chosen(self, request: web.Request) -> list[Server]:
        which, servers = request.match_info["which"], self._simulation.servers
        if which == "all":
            return servers
        if which.isdecimal() and 1 <= int(which) <= len(servers):
            return [servers[int(which) - 1]]
        raise web.HTTPNotFound(text=f"there is no printer {which}; there are 1 to {len(servers)}")


def describe(server: Server) -> dict[str, Any]:
    """A printer in the list."""
    look_alike = server.look_alike
    machine = look_alike.machine
    return {
        "number": look_alike.number,
        "url": server.url,
        "api_key": look_alike.api_key,
        "state": machine.state.value,
        "path": machine.selected.path if machine.selected else None,
        "listens": server.listens,
        "push_clients": len(look_alike.push.clients),
    }


Action = Callable[[Simulation, Server, bytes], Awaitable[None]]


async def _restart(simulation: Simulation, server: Server, body: bytes) -> None:
    await simulation.restart_server(server, _read(body, Restart).down_s)


async def _stop(_simulation: Simulation, server: Server, _body: bytes) -> None:
    await server.kill()


async def _start(simulation: Simulation, server: Server, _body: bytes) -> None:
    await simulation.start_server(server)


async def _connect(_simulation: Simulation, server: Server, _body: bytes) -> None:
    server.look_alike.act(server.look_alike.machine.connect)


async def _drop(_simulation: Simulation, server: Server, _body: bytes) -> None:
    server.look_alike.act(server.look_alike.machine.drop)


async def _fail(_simulation: Simulation, server: Server, body: bytes) -> None:
    failure = firmware_error(_read(body, Error).text)
    server.look_alike.act(lambda now: server.look_alike.machine.fail(now, failure))


async def _cut_push(_simulation: Simulation, server: Server, _body: bytes) -> None:
    server.look_alike.push.cut()


async def _end_sessions(_simulation: Simulation, server: Server, _body: bytes) -> None:
    server.look_alike.end_sessions()


async def _add_viewer(_simulation: Simulation, server: Server, body: bytes) -> None:
    server.look_alike.access.add(viewer(_read(body, Viewer).api_key))


_ACTIONS: dict[str, Action] = {
    "restart": _restart,
    "stop": _stop,
    "start": _start,
    "connect": _connect,
    "drop": _drop,
    "error": _fail,
    "cut-push": _cut_push,
    "end-sessions": _end_sessions,
    "viewer": _add_viewer,
}


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


@web.middleware
async def _in_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say in JSON what is wrong with a request."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(
            status=error.status,
            body=msgspec.json.encode({"error": error.text}),
            content_type="application/json",
        )
