"""Keeps API keys and passwords out of every text that a person or a log gets to see."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"

#: A shorter secret protects nothing, and masking it would blot out half of the log.
MIN_SECRET_LENGTH = 4
#: A secret shorter than this is masked only where it stands alone, for the same reason.
MIN_DISTINCT_LENGTH = 8

_SECRET_NAME = re.compile(r"api[_-]?key|passw(?:or)?d|pwd|psw|authorization", re.IGNORECASE)
_NAMED_SECRET = re.compile(
    r"""
    (?P<before>
      (?: (?:api[_-]?key|passw(?:or)?d|pwd|psw) (?: \s{0,3}= | \\?["']\s{0,3}: )
        | (?:api[_-]?key|authorization) \s{0,3}:
        | authorization \\?["']\s{0,3}: )
      \s{0,3} (?P<quote>\\?["'])? (?:(?:basic|bearer)\s+)?
    )
    (?!None\b|null\b)
    (?(quote) (?: (?P=quote)(?P=quote) | (?!(?P=quote))(?:\\.|.) )* | [^\s'"&;]+ )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_URL_PASSWORD = re.compile(r"""(?P<before>://[^\s/@:"']*:)[^\s/"']+(?=@)""")


class _Secrets:
    """The values that must not be seen, in every form in which they may be written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._forms: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        with self._lock:
            # Those of hundreds of printers come again and again.
            if value in self._values:
                return
            self._values.add(value)
            self._forms = longest_first(written_forms(value).union(self._forms))

    def mask(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = _mask_form(form, text)
        return text


_secrets = _Secrets()


def written_forms(value: str) -> set[str]:
    """How a secret may be written: as it is, in URLs, in JSON, in Python."""
    return {
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
    }


def longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    """In the order in which forms can be masked: a part of one must not be masked before it."""
    return tuple(sorted(forms, key=len, reverse=True))


def _mask_form(form: str, text: str) -> str:
    if len(form) >= MIN_DISTINCT_LENGTH:
        return text.replace(form, MASK)
    return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)


def register_secret(value: str | None) -> None:
    """Mask this value from now on, also URL-quoted; None and very short values are passed over."""
    if value and len(value) >= MIN_SECRET_LENGTH:
        _secrets.add(value)


def redact(text: str) -> str:
    """The text with registered secrets, and whatever looks like one, masked."""
    text = _secrets.mask(text)
    for pattern in (_NAMED_SECRET, _URL_PASSWORD):
        text = pattern.sub(rf"\g<before>{MASK}", text)
    return text


def names_secret(name: str) -> bool:
    """Whether a field of this name holds something that must not be seen."""
    return _SECRET_NAME.search(name) is not None
