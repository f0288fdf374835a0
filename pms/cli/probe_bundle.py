"""`pms-probe bundle`: all that a bug report needs, in one file, and nothing that is secret."""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pms.cli import bundle_outside, bundle_parts
from pms.cli.bundle_parts import Part
from pms.cli.output import add_row, plain, show, show_json, show_line, table
from pms.cli.session import read_settings
from pms.errors import RefusedError
from pms.scrubbing import Scrubber

_MASKED = """\
API keys, passwords, tokens, session ids, users' names and e-mail addresses are replaced by ***,
in every form in which they may be written. Look through it all the same before you publish it.
"""
_SUSPICIOUS = """\
The database could not be read, so the printers' API keys are not known: every long word with
digits in it is replaced, too.
"""


def bundle(options: argparse.Namespace) -> int:
    """Gather, scrub, pack, and say what was put in."""
    made_at = datetime.now(UTC)
    path = Path(options.file or f"pms-bundle-{made_at:%Y%m%d-%H%M%S}.zip")
    if path.exists():
        raise RefusedError(f"{path} is there already: name another file")
    settings = read_settings()
    found = bundle_parts.stored(settings)
    known = bundle_parts.known(settings, os.environ, found)
    scrubber = Scrubber(known.secrets, known.people, suspicious=not known.complete)
    parts = [
        bundle_parts.versions(),
        bundle_parts.settings_part(settings),
        bundle_parts.status(settings),
        *found.parts,
        *bundle_outside.logs(options.log),
        *bundle_outside.octoprints(found.printers),
    ]
    packed = [_scrubbed(part, scrubber) for part in parts]
    head = _head(made_at, packed, suspicious=not known.complete)
    _write(path, [Part(name="README.txt", about="what is in here", content=head), *packed])
    _report(path, packed, as_json=options.json)
    return 0


def _scrubbed(part: Part, scrubber: Scrubber) -> Part:
    content = part.content
    if isinstance(content, str):
        text = scrubber.text(content)
    else:
        value = json.loads(json.dumps(content, default=plain))
        text = json.dumps(scrubber.data(value), indent=1, ensure_ascii=False) + "\n"
    return Part(
        name=scrubber.text(part.name),
        about=scrubber.text(part.about),
        content=text,
        problem=None if part.problem is None else scrubber.text(part.problem),
    )


def _head(made_at: datetime, parts: Sequence[Part], *, suspicious: bool) -> str:
    lines = [f"made {made_at.isoformat(timespec='seconds')} by pms-probe bundle", "", _MASKED]
    lines += [_SUSPICIOUS] if suspicious else []
    lines += [f"{part.name}: {part.about}" for part in parts]
    problems = [part.problem for part in parts if part.problem]
    if problems:
        lines += ["", "what could not be had:", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines) + "\n"


def _write(path: Path, parts: Sequence[Part]) -> None:
    try:
        # Scrubbed or not, it is for nobody but who asked for it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(descriptor, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for part in parts:
                archive.writestr(part.name, part.content)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}") from error


def _report(path: Path, parts: Sequence[Part], *, as_json: bool) -> None:
    if as_json:
        show_json({"file": path.absolute().as_posix(), "parts": [_described(p) for p in parts]})
        return
    listed = table("File", "Bytes", "Holds", right=("Bytes",))
    for part in parts:
        add_row(listed, part.name, len(part.content.encode()), part.about)
    show(listed)
    for part in parts:
        if part.problem:
            show_line(f"could not be had: {part.problem}")
    show_line(f"wrote {path}: look through it before you publish it")


def _described(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "bytes": len(part.content.encode()),
        "about": part.about,
        "problem": part.problem,
    }
