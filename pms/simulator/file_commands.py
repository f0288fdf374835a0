"""OctoPrint's REST interface to its files."""

from __future__ import annotations

import json
import shutil
from typing import Any

from aiohttp import hdrs, web

from pms.simulator import answers, names, payloads
from pms.simulator import upload as uploads
from pms.simulator.call import SERVER_ERROR, Call, Refused, json_response, no_content
from pms.simulator.files import StoredFile

TRUE = frozenset({"true", "True", "TRUE", "yes", "y", "1"})


async def everything(call: Call) -> web.Response:
    """`GET /api/files`."""
    return _list(call)


async def listing(call: Call) -> web.Response:
    """`GET /api/files/<storage>`."""
    if call.path == "sdcard":
        return json_response({"files": []})
    if call.path != "local":
        raise Refused.not_found()
    return _list(call)


def _list(call: Call) -> web.Response:
    usage = shutil.disk_usage(call.look_alike.contents.folder)
    files = answers.listing(call.look_alike.files, "", call.base, deep=_flag(call, "recursive"))
    return json_response({"files": files, "free": usage.free, "total": usage.total})


async def info(call: Call) -> web.Response:
    """`GET /api/files/local/<path>`: a file or a folder."""
    files = call.look_alike.files
    if (stored := files.get(call.path)) is not None:
        return json_response(answers.file_info(stored, call.base))
    if files.has_folder(call.path):
        return json_response(answers.folder_info(files, call.path, call.base, deep=True))
    # OctoPrint 1.11 fails on a path whose folder does not exist.
    if not files.has_folder(call.path.rpartition("/")[0]):
        raise Refused(500, SERVER_ERROR)
    raise Refused.not_found()


async def download(call: Call) -> web.StreamResponse:
    """`GET /downloads/files/local/<path>`."""
    stored = call.look_alike.files.get(call.path)
    if stored is None:
        return web.Response(
            status=404,
            text="<html><title>404: Not Found</title><body>404: Not Found</body></html>",
            content_type="text/html",
        )
    disposition = f'attachment; filename="{stored.name}"'
    return web.FileResponse(
        stored.content.on_disk,
        headers={hdrs.CONTENT_DISPOSITION: disposition, hdrs.CONTENT_TYPE: "text/plain"},
    )


async def command(call: Call) -> web.Response:
    """`POST /api/files/local/<path>`."""
    content = await call.command(
        select=(), unselect=(), copy=("destination",), move=("destination",)
    )
    match content["command"]:
        case "select":
            return _select(call, start=content.get("print") in (True, "true"))
        case "unselect":
            return _unselect(call)
        case "copy":
            return _copy(call, str(content["destination"]))
        case _:
            return _move(call, str(content["destination"]))


def _select(call: Call, *, start: bool) -> web.Response:
    call.require("FILES_SELECT")
    machine, stored = call.look_alike.machine, _existing(call)
    if not machine.state.flags["ready"]:
        raise Refused(409, "Printer is already printing, cannot select a new file")
    if start:
        call.require("PRINT")
    user = call.user.name
    call.look_alike.act(lambda now: machine.select(stored, user, now, start=start))
    return no_content()


def _unselect(call: Call) -> web.Response:
    call.require("FILES_SELECT")
    machine = call.look_alike.machine
    if not machine.state.flags["ready"]:
        return web.Response(
            status=409, text="Printer is already printing, cannot unselect current file"
        )
    if machine.selected is None:
        return web.Response(
            status=409, text="Cannot unselect current file when there is no file selected"
        )
    if call.path not in (machine.selected.path, "current"):
        return web.Response(status=400, text="Only the currently selected file can be unselected")
    machine.unselect()
    return no_content()


def _copy(call: Call, destination: str) -> web.Response:
    call.require("FILES_UPLOAD")
    stored = _existing(call)
    path = _free_path(call, stored, destination, "copy")
    call.look_alike.files.copy(stored, path)
    _announce(call, "FileAdded", payloads.stored_at(path, "copy"))
    return _copied(call, stored.name, path)


def _move(call: Call, destination: str) -> web.Response:
    call.require("FILES_UPLOAD")
    stored = _existing(call)
    source, name = stored.path, stored.name
    path = _free_path(call, stored, destination, "move")
    call.require("FILES_DELETE")
    if _is_in_use(call, source):
        raise Refused(409, "Trying to move a file or folder that is currently in use")
    if call.look_alike.machine.selected is stored:
        call.look_alike.machine.unselect()
    call.look_alike.files.move(stored, path)
    call.look_alike.emit("FileRemoved", payloads.stored_at(source, "move"))
    call.look_alike.emit("FileAdded", payloads.stored_at(path, "move"))
    _announce(call, "FileMoved", payloads.moved(source, path))
    return _copied(call, name, path)


def _free_path(call: Call, stored: StoredFile, destination: str, what: str) -> str:
    """Where a copy goes; raises Refused when it cannot."""
    files = call.look_alike.files
    if files.has_folder(destination):
        destination = f"{destination}/{stored.name}"
    if files.get(destination) is not None or files.has_folder(destination):
        raise Refused(409, "File or folder does already exist")
    if not files.has_folder(destination.rpartition("/")[0]):
        raise Refused(500, f"Could not {what} {stored.path} to {destination}")
    return destination


def _copied(call: Call, name: str, path: str) -> web.Response:
    answer = {
        "name": name,
        "path": path,
        "origin": "local",
        "refs": answers.file_refs(path, call.base),
    }
    return json_response(answer, 201, {hdrs.LOCATION: answers.resource(path, call.base)})


async def delete(call: Call) -> web.Response:
    """`DELETE /api/files/local/<path>`: a file, or a folder with all that is in it."""
    files, machine = call.look_alike.files, call.look_alike.machine
    stored = files.get(call.path)
    if stored is None and not files.has_folder(call.path):
        raise Refused.not_found()
    if _is_in_use(call, call.path):
        what = "file that is" if stored else "folder that contains a file that is"
        raise Refused(409, f"Trying to delete a {what} currently in use")
    selected = machine.selected
    if selected is not None and _is_in(selected.path, call.path):
        machine.unselect()
    files.remove(call.path)
    if stored is not None:
        _announce(call, "FileRemoved", payloads.stored_at(call.path, "remove"))
    else:
        name = call.path.rpartition("/")[2]
        _announce(call, "FolderRemoved", {"storage": "local", "path": call.path, "name": name})
    return no_content()


async def upload(call: Call) -> web.Response:
    """`POST /api/files/local`: take in a file."""
    form = await uploads.receive(call.request, call.look_alike.contents)
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


def _accepted(call: Call, form: uploads.Form) -> StoredFile:
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
    ready = machine.state.flags["ready"]
    wants_select = fields.get("select") in TRUE and call.user.may("FILES_SELECT")
    wants_print = fields.get("print") in TRUE and call.user.may("PRINT")
    selects, prints = wants_select and ready, wants_print and ready
    selected_before = machine.selected is not None and machine.selected.path == stored.path
    look_alike.files.store(stored)
    _announce(call, "FileAdded", payloads.stored_at(stored.path, "add"))
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
    refs = answers.file_refs(stored.path, call.base)
    local = {"name": stored.name, "path": stored.path, "origin": "local", "refs": refs}
    content = {
        "files": {"local": local},
        "done": True,
        "effectiveSelect": selects,
        "effectivePrint": prints,
    }
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


# -- inside -----------------------------------------------------------------------


def _existing(call: Call) -> StoredFile:
    stored = call.look_alike.files.get(call.path)
    if stored is None:
        raise Refused.not_found()
    return stored


def _is_in_use(call: Call, path: str) -> bool:
    machine = call.look_alike.machine
    selected = machine.selected
    return machine.state.is_busy and selected is not None and _is_in(selected.path, path)


def _is_in(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}/")


def _flag(call: Call, name: str) -> bool:
    return call.request.query.get(name, "") in TRUE


def _announce(call: Call, kind: str, payload: payloads.Payload) -> None:
    call.look_alike.emit(kind, payload)
    call.look_alike.emit("UpdatedFiles", {"type": "printables"})
