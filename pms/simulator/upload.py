"""Uploads: multipart form data, taken in a block at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

from pms.simulator.contents import Content, Contents

BLOCK_BYTES = 64 * 1024
FIELD_LIMIT_BYTES = 100 * 1024


@dataclass(slots=True)
class Form:
    """What was sent."""

    fields: dict[str, str] = field(default_factory=dict)
    #: None: no file.
    filename: str | None = None
    #: Counts as used.
    content: Content | None = None


async def receive(request: web.BaseRequest, contents: Contents) -> Form:
    """Take in the whole body. Raises ValueError when it is no form."""
    form = Form()
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
        form.content = await _store(part, contents)
    else:
        await part.release()


async def _store(part: BodyPartReader, contents: Contents) -> Content:
    arriving = contents.receive()
    try:
        while block := await part.read_chunk(BLOCK_BYTES):
            arriving.write(block)
    except BaseException:
        arriving.abandon()
        raise
    return arriving.finish()
