"""Uploads: multipart form data, taken in a block at a time, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, hdrs, web

from pms.simulator import answers, names, payloads
from pms.simulator.call import TRUE, Call, Refused, json_response
from pms.simulator.contents import Content, Contents
from pms.simulator.files import StoredFile
from pms.simulator.states import State

BLOCK_BYTES = 256 * 1024
FIELD_LIMIT_BYTES = 100 * 1024


@dataclass(slots=True)
class Form:
    """What was sent."""

    fields: dict[str, str] = field(default_factory=dict)
    #: None: no file.
    filename: str | None = None
    #: Counts as used.
    content: Content | None = None


async def take_in(call: Call) -> web.Response:
    """`POST /api/files/local`: take in a file."""
    form = await _receive(call.request, call.look_alike.contents)
    if form.content is None:
        return _make_folder(call, form.fields)
    try:
        if call.path != "local":
            raise Refused.not_found()
        stored = _accepted(call, form)
    except Refused:
        call.look_alike.contents.release(form.content)
        raise
    return _store(call, stored, form.fields)


def _accepted(call: Call, form: Form) -> StoredFile:
    """The file as it is to be stored. Raises Refused."""
    fields, files, machine = form.fields, call.look_alike.files, call.look_alike.machine
    assert form.content is not None
    userdata = _userdata(fields)
    try:
        name = fields.get("filename") or form.filename or ""
        path = names.stored_path(fields.get("path", ""), name)
    except names.BadNameError as error:
        raise Refused(400, "Can not upload file, invalid file name") from error
    if machine.state.is_busy and machine.selected is not None and machine.selected.path == path:
        raise Refused(409, "Trying to overwrite file that is currently being printed")
    if files.get(path) is not None and fields.get("noOverwrite") in TRUE:
        raise Refused(409, "File already exists and noOverwrite was set")
    if not names.is_printable(path):
        raise Refused(415, "Could not upload file, invalid type")
    free = call.look_alike.faults.free_bytes
    if free is not None and form.content.size > free:
        raise Refused(500, "[Errno 28] No space left on device")
    display = name.rpartition("/")[2]
    date = int(call.look_alike.now())
    return StoredFile(path, display, call.user.name, date, form.content, userdata=userdata)


def _userdata(fields: dict[str, str]) -> Any:
    try:
        return json.loads(fields["userdata"]) if "userdata" in fields else None
    except ValueError as error:
        raise Refused(400, "userdata contains invalid JSON") from error


def _store(call: Call, stored: StoredFile, fields: dict[str, str]) -> web.Response:
    look_alike, machine = call.look_alike, call.look_alike.machine
    ready = machine.state is State.OPERATIONAL
    wants_select = fields.get("select") in TRUE and call.user.may("FILES_SELECT")
    wants_print = fields.get("print") in TRUE and call.user.may("PRINT")
    selects, prints = wants_select and ready, wants_print and ready
    selected_before = machine.selected is not None and machine.selected.path == stored.path
    look_alike.files.store(stored)
    call.announce_file("FileAdded", payloads.stored_at(stored.path, "add"))
    uploaded = {
        "name": stored.name,
        "path": stored.path,
        "target": "local",
        "select": wants_select,
        "print": wants_print,
        "effective_select": selects,
        "effective_print": prints,
    }
    if stored.userdata is not None:
        uploaded["userdata"] = stored.userdata

    def select_and_tell(now: float) -> None:
        if selects or prints or selected_before:
            machine.select(stored, call.user.name, now, start=prints)
        look_alike.emit("Upload", uploaded)

    look_alike.act(select_and_tell)
    return _stored(call, stored.path, effectiveSelect=selects, effectivePrint=prints)


def _stored(call: Call, path: str, **effects: bool) -> web.Response:
    refs = answers.file_refs(path, call.base)
    local = {"name": path.rpartition("/")[2], "path": path, "origin": "local", "refs": refs}
    content = {"files": {"local": local}, "done": True} | effects
    return json_response(content, 201, {hdrs.LOCATION: refs["resource"]})


def _make_folder(call: Call, fields: dict[str, str]) -> web.Response:
    if "foldername" not in fields:
        raise Refused(400, "No file to upload and no folder to create")
    try:
        outer = names.folder_path(fields.get("path", ""))
        path = f"{outer}/{names.sanitized(fields['foldername'])}".removeprefix("/")
    except names.BadNameError as error:
        raise Refused(400, "folder name is empty") from error
    call.look_alike.files.make_folder(path, int(call.look_alike.now()))
    folder = {
        "name": path.rpartition("/")[2],
        "path": path,
        "origin": "local",
        "refs": {"resource": answers.resource(path, call.base)},
    }
    return json_response({"folder": folder, "done": True}, 201)


# -- the body ----------------------------------------------------------------------


async def _receive(request: web.BaseRequest, contents: Contents) -> Form:
    """Take in the whole body; there is nothing in one that is no form."""
    form = Form()
    if not request.content_type.startswith("multipart/"):
        return form
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                await _take(part, form, contents)
    except BaseException:
        if form.content is not None:
            contents.release(form.content)
        raise
    return form


async def _take(part: BodyPartReader, form: Form, contents: Contents) -> None:
    if part.filename is None:
        value = await part.read_chunk(FIELD_LIMIT_BYTES)
        form.fields[part.name or ""] = value.decode(errors="replace")
        await part.release()
    elif part.name == "file" and form.content is None:
        form.filename = part.filename
        form.content = await _keep(part, contents)
    else:
        await part.release()


async def _keep(part: BodyPartReader, contents: Contents) -> Content:
    arriving = contents.receive()
    try:
        while block := await part.read_chunk(BLOCK_BYTES):
            arriving.write(block)
    except BaseException:
        arriving.abandon()
        raise
    return arriving.finish()
