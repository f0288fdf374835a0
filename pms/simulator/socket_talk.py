"""The conversation over one connection to the push socket."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from pms.simulator import push
from pms.simulator.access import permission_list
from pms.simulator.octoprint import OctoPrint

MESSAGE_LIMIT_BYTES = 1024 * 1024

_CONNECTED = push.connected(permission_list())


async def talk(octoprint: OctoPrint, request: web.BaseRequest) -> web.StreamResponse:
    """Shake hands, listen to the client, and let `octoprint.push` speak to it until it goes."""
    if "Origin" in request.headers:
        return web.Response(status=403, text="Forbidden")
    socket = web.WebSocketResponse(compress=False, max_msg_size=MESSAGE_LIMIT_BYTES)
    await socket.prepare(request)
    assert request.transport is not None
    client = push.Client(request.transport)
    octoprint.push.clients.add(client)
    try:
        client.write(_CONNECTED)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                _hear(octoprint, client, message.data)
    finally:
        octoprint.push.clients.discard(client)
    return socket


def _hear(octoprint: OctoPrint, client: push.Client, text: str) -> None:
    """Act on what a client has said; what OctoPrint would ignore is ignored."""
    try:
        said = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return
    now = octoprint.now()
    match said:
        case {"auth": str(words)}:
            _authenticate(octoprint, client, words, now)
        case {"throttle": int(throttle)} if throttle >= 1:
            client.throttle = throttle
        case {"subscribe": dict(wanted)}:
            if client.subscribe(wanted) and client.authenticated:
                client.write(octoprint.push.history(now))
        case _:
            return


def _authenticate(octoprint: OctoPrint, client: push.Client, words: str, now: float) -> None:
    user = octoprint.access.by_session(words)
    if user is None or not user.may("STATUS"):
        client.authenticated = False
        client.write(push.reauthentication("stale"))
        return
    known, client.authenticated = client.authenticated, True
    if not known:
        octoprint.push.greet(client, now)
    payload = {"username": user.name, "remoteAddress": "127.0.0.1"}
    octoprint.emit("ClientAuthed", payload)
