"""OctoPrint's REST interface to its files."""

from __future__ import annotations

import shutil

from aiohttp import hdrs, web

from pms.simulator import answers, payloads
from pms.simulator.call import SERVER_ERROR, TRUE, Call, Refused, json_response, no_content
from pms.simulator.files import StoredFile
from pms.simulator.states import State


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
    free = call.look_alike.faults.free_bytes
    files = answers.listing(call.look_alike.files, "", call.base, deep=_flag(call, "recursive"))
    return json_response(
        {"files": files, "free": usage.free if free is None else free, "total": usage.total}
    )


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
    if machine.state is not State.OPERATIONAL:
        raise Refused(409, "Printer is already printing, cannot select a new file")
    if start:
        call.require("PRINT")
    user = call.user.name
    call.look_alike.act(lambda now: machine.select(stored, user, now, start=start))
    return no_content()


def _unselect(call: Call) -> web.Response:
    call.require("FILES_SELECT")
    machine = call.look_alike.machine
    if machine.state is not State.OPERATIONAL:
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
    call.announce_file("FileAdded", payloads.stored_at(path, "copy"))
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
    call.announce_file("FileMoved", payloads.moved(source, path))
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
        call.announce_file("FileRemoved", payloads.stored_at(call.path, "remove"))
    else:
        name = call.path.rpartition("/")[2]
        call.announce_file("FolderRemoved", {"storage": "local", "path": call.path, "name": name})
    return no_content()


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
