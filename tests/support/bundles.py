"""A bundle that was made, and secrets in every form in which they may be met."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus


def written(secret: str) -> dict[str, str]:
    """The secret as programs write it, by the name of the form."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    return {
        "plain": secret,
        "quoted": quote(secret),
        "quoted wholly": quote(secret, safe=""),
        "quoted small": quote(secret, safe="").lower() if "%" in quote(secret) else secret,
        "form": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "json, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "html": escape(secret),
        "repr": repr(secret)[1:-1],
        "basic": basic,
    }


def lines_with(secrets: Iterable[str]) -> list[str]:
    """Lines of a log that hold each secret in each form."""
    return [
        f"2026-11-24T18:22:34.059Z WARNING x: in {form} form: <{text}> http://u:{text}@10.0.0.7/"
        for secret in secrets
        for form, text in written(secret).items()
    ]


class Bundle:
    """The files of a bundle by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.texts = {name: archive.read(name).decode() for name in archive.namelist()}

    def json(self, name: str) -> Any:
        return json.loads(self.texts[name])

    def assert_without(self, secrets: Iterable[str], *shown: str) -> None:
        """No file, no file's name, and nothing that was printed holds one, in whatever form."""
        texts = {**self.texts, "the names": "\n".join(self.texts), "the output": "\n".join(shown)}
        for secret in secrets:
            for form, text in written(secret).items():
                for name, content in texts.items():
                    assert text not in content, f"{secret!r} as {form} in {name}"
