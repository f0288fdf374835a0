"""One request to OctoPrint and its answer, with every failure in words."""

from __future__ import annotations

import http.client
import re
from http import HTTPStatus
from typing import Any

import msgspec
import urllib3

from workers.address import normalize_address
from workers.connections import Connection
from workers.octoprint_errors import (
    Unauthorized,
    not_octoprint,
    redirected,
    refusal,
    transport_error,
)
from workers.upload import UploadBody

ANSWER_LIMIT_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_SENDABLE_KEY = re.compile(r"[!-~]+")
#: What no answer at all can raise.
TRANSPORT_ERRORS = (
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


class Exchange:
    """One kept connection to one OctoPrint, with its API key; for one thread at a time."""

    def __init__(
        self, address: str, api_key: str, timeout_s: float, connect_timeout_s: float
    ) -> None:
        self.address = normalize_address(address)
        self._key = api_key.strip()
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._connection = Connection(self.address)

    def close(self) -> None:
        """Give up the connection; a later request opens a new one."""
        self._connection.close()

    def send(
        self,
        method: str,
        url: str,
        content: dict[str, Any] | UploadBody | None = None,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
    ) -> bytes:
        """The body of a good answer; `url` is relative to the address. Raises OctoPrintError."""
        timeout_s = content.stall_timeout_s if isinstance(content, UploadBody) else self._timeout_s
        try:
            with self._connection.request(
                method,
                url,
                headers=self._headers(content),
                body=msgspec.json.encode(content) if isinstance(content, dict) else content,
                timeout=urllib3.Timeout(connect=self._connect_timeout_s, read=timeout_s),
            ) as response:
                body = self._bounded(response, limit_bytes)
        except TRANSPORT_ERRORS as error:
            raise transport_error(error, self.address) from error
        self._check(method, response, body)
        return body

    def _headers(self, content: dict[str, Any] | UploadBody | None) -> dict[str, str]:
        if not _SENDABLE_KEY.fullmatch(self._key):
            what = "no api_key" if not self._key else "an api_key that holds odd characters"
            raise Unauthorized(f"the printer at {self.address} has {what}: set its api_key")
        headers = {"X-Api-Key": self._key}
        if isinstance(content, UploadBody):
            headers["Content-Type"] = content.content_type
        elif content is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _bounded(self, response: urllib3.BaseHTTPResponse, limit_bytes: int) -> bytes:
        body = bytearray()
        for piece in response.stream(_PIECE_BYTES):
            body += piece
            if len(body) > limit_bytes:
                raise not_octoprint(self.address, f"more than {limit_bytes} bytes")
        return bytes(body)

    def _check(self, method: str, response: urllib3.BaseHTTPResponse, body: bytes) -> None:
        """Raise what the status says."""
        status = response.status
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(self.address, status, body, is_get=method == "GET", key=self._key)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise redirected(self.address, response.headers.get("Location", ""))
