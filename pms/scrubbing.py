"""Takes everything out of a text that nobody outside the farm may see.

Logs mask what PMS itself knows to be secret. What leaves the farm also holds what other
programs have written, so here every form of a secret counts, and whatever looks like one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from pms.redaction import (
    MASK,
    MIN_SECRET_LENGTH,
    longest_first,
    names_secret,
    redact,
    written_forms,
)

#: Shorter pieces of base64 would be met by chance.
MIN_BASE64_LENGTH = 4
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")

_PERSONAL_NAME = re.compile(
    r"^(?:user|user_?name|owner|login|display_?name|e-?mail(?:_?address)?|org_id)$", re.IGNORECASE
)
_SECRET_NAME = re.compile(
    r"token|secret|session|cookie|csrf|credential|^auth$|^key$", re.IGNORECASE
)
_USER_OF_URL = re.compile(r"""(?<=://)[^\s/@"'<>\\]+(?=@)""")
_E_MAIL = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie)(\s*[:=]\s*)[^\r\n\"']+", re.IGNORECASE
)
_SCHEME = re.compile(r"\b(Basic|Bearer)\s+(?=[\w+/.~-]*[A-Z0-9=])[\w+/.~-]{6,}=*")
_NAMED = re.compile(
    r"""(?P<name>[\w-]*(?:token|secret|session|csrf|credential)[\w-]*)
        (?P<between>\\?["']?\s*[=:]\s*\\?["']?)
        (?!None\b|null\b|true\b|false\b)[^\s"'\\,;&)}\]]+""",
    re.IGNORECASE | re.VERBOSE,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
)
#: The two shapes in which OctoPrint makes API keys.
_KEY_SHAPES = re.compile(
    r"(?<![\w-])(?:[\dA-Fa-f]{32}|(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{43})(?![\w-])",
    re.ASCII,
)
#: What may be a key, where it is not known which keys there are. Names of PMS's files are none.
_LONG_WORD = re.compile(
    r"(?<![\w-])(?!job-\d)(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}(?![\w-])", re.ASCII
)


@dataclass(frozen=True, slots=True)
class _Secret:
    """One secret in every form in which it may be met."""

    forms: tuple[str, ...]
    #: Of its base64, wherever it stands in what was encoded.
    pieces: tuple[str, ...]

    @classmethod
    def of(cls, secret: str) -> _Secret:
        return cls(longest_first(_forms(secret)), longest_first(base64_pieces(secret)))

    def is_in(self, text: str) -> bool:
        return any(each in text for each in (*self.forms, *self.pieces))


class Scrubber:
    """Knows the secrets, and the names of people, that must not be seen.

    Where `suspicious`, not all secrets are known, and every long word that may be one goes too.
    """

    def __init__(
        self, secrets: Iterable[str], people: Iterable[str] = (), *, suspicious: bool = False
    ) -> None:
        by_length = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._secrets = [_Secret.of(secret) for secret in by_length]
        self._people = longest_first({name.casefold() for name in people if name.strip()})
        self._suspicious = suspicious

    def text(self, text: str) -> str:
        """The text without secrets, e-mail addresses and people's names."""
        return self._scrubbed(text, self._met_in(text))

    def data(self, value: Any) -> Any:
        """The same for what JSON can hold; a field whose name says that it is private is masked."""
        whole = json.dumps(value, ensure_ascii=False, default=str)
        return self._data(value, "", self._met_in(whole))

    def _met_in(self, text: str) -> list[_Secret]:
        """Those secrets that have to be looked for, which are few of a large farm's many."""
        return [secret for secret in self._secrets if secret.is_in(text)]

    def _data(self, value: Any, name: str, met: list[_Secret]) -> Any:
        if isinstance(value, dict):
            return {
                self._scrubbed(str(key), met): self._data(inner, str(key), met)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._data(inner, name, met) for inner in value]
        if isinstance(value, str) and value:
            return MASK if _is_private(name) else self._scrubbed(value, met)
        if met and isinstance(value, int | float) and not isinstance(value, bool):
            return value if self._scrubbed(str(value), met) == str(value) else MASK
        return value

    def _scrubbed(self, text: str, met: list[_Secret]) -> str:
        for secret in met:
            for piece in secret.pieces:
                text = _mask_around(piece, text)
            for form in secret.forms:
                text = _mask_form(form, text)
        text = _PRIVATE_KEY.sub(MASK, text)
        text = _USER_OF_URL.sub(MASK, text)
        text = _HEADER.sub(rf"\1\2{MASK}", text)
        text = _SCHEME.sub(rf"\1 {MASK}", redact(text))
        text = _NAMED.sub(rf"\g<name>\g<between>{MASK}", text)
        text = _KEY_SHAPES.sub(MASK, text)
        if self._suspicious:
            text = _LONG_WORD.sub(MASK, text)
        return self._without_people(_E_MAIL.sub(MASK, text))

    def _without_people(self, text: str) -> str:
        folded = text.casefold()
        for name in self._people:
            if name in folded:
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", MASK, text, flags=re.IGNORECASE)
        return text


def _is_private(name: str) -> bool:
    return bool(names_secret(name) or _SECRET_NAME.search(name) or _PERSONAL_NAME.match(name))


def _forms(secret: str) -> set[str]:
    forms = written_forms(secret) | {escape(secret), json.dumps(secret, ensure_ascii=False)[1:-1]}
    # JSON within JSON, and URLs of clients that write hexadecimal digits small.
    forms |= {json.dumps(form)[1:-1] for form in forms}
    return forms | {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in forms}


def base64_pieces(secret: str) -> set[str]:
    """What a secret looks like inside base64, whatever stands before and behind it."""
    content = secret.encode()
    pieces = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + content).decode().rstrip("=")
        # Characters at the edges also depend on the neighbours.
        whole = 8 * (offset + len(content)) // 6
        piece = encoded[-(-8 * offset // 6) : whole]
        pieces |= {piece, piece.replace("+", "-").replace("/", "_")}
    return {piece for piece in pieces if len(piece) >= MIN_BASE64_LENGTH}


def _mask_form(form: str, text: str) -> str:
    """Mask it inside other words, too, unless it is so short that it would be met everywhere."""
    if form not in text:
        return text
    if len(form) >= MIN_SECRET_LENGTH:
        return text.replace(form, MASK)
    return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)


def _mask_around(piece: str, text: str) -> str:
    """Mask every run of base64 that holds the piece."""
    parts: list[str] = []
    begin = 0
    while (found := text.find(piece, begin)) >= 0:
        start, end = found, found + len(piece)
        while start > begin and text[start - 1] in _BASE64:
            start -= 1
        while end < len(text) and text[end] in _BASE64:
            end += 1
        parts += [text[begin:start], MASK]
        begin = end
    return "".join([*parts, text[begin:]])
