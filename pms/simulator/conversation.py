"""The conversation over one connection to the push socket."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from pms.simulator import push
from pms.simulator.access import permission_list
from pms.simulator.look_alike import LookAlike

MESSAGE_LIMIT_BYTES = 1024 * 1024

_CONNECTED = push.connected(permission_list())


async def talk(
    look_alike: LookAlike, request: web.BaseRequest, answering: asyncio.Event
) -> web.StreamResponse:
    """Shake hands, listen to the client, and let `look_alike.push` speak to it until it goes.

    What the client says is heard while `answering` is set.
    """
    if "Origin" in request.headers:
        return web.Response(status=403, text="Forbidden")
    socket = web.WebSocketResponse(compress=False, autoping=False, max_msg_size=MESSAGE_LIMIT_BYTES)
    await socket.prepare(request)
    assert request.transport is not None
    client = push.Client(request.transport)
    look_alike.push.clients.add(client)
    try:
        client.write(_CONNECTED)
        async for message in socket:
            await answering.wait()
            if message.type is WSMsgType.TEXT:
                _hear(look_alike, client, message.data)
            elif message.type is WSMsgType.PING:
                await socket.pong(message.data)
    finally:
        look_alike.push.clients.discard(client)
    return socket


def _hear(look_alike: LookAlike, client: push.Client, text: str) -> None:
    """Act on what a client has said; what OctoPrint would ignore is ignored."""
    try:
        said = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return
    now = look_alike.now()
    match said:
        case {"auth": str(words)}:
            _authenticate(look_alike, client, words, now)
        case {"throttle": int(throttle)} if throttle >= 1:
            client.throttle = throttle
        case {"subscribe": dict(wanted)}:
            if client.subscribe(wanted) and client.authenticated:
                look_alike.push.send_history(client, now)
        case _:
            return


def _authenticate(look_alike: LookAlike, client: push.Client, words: str, now: float) -> None:
    user = look_alike.access.by_session(words)
    if user is None or not user.may("STATUS"):
        look_alike.push.refuse(client)
        return
    known, client.authenticated = client.authenticated, True
    if not known:
        look_alike.push.greet(client, now)
    payload = {"username": user.name, "remoteAddress": "127.0.0.1"}
    look_alike.emit("ClientAuthed", payload)
