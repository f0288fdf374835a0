"""What can be made to go wrong between a look-alike and those who talk with it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

import msgspec


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The faults of one server, all absent by default."""

    #: Every answer comes so much later.
    latency_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    #: Connections are refused, and those that exist are cut.
    refuse: bool = False
    #: Connections are accepted and nothing is ever answered; push says nothing.
    hang: bool = False
    #: Requests are answered with this status and not carried out; 0: as usual.
    status: Annotated[int, msgspec.Meta(ge=0, le=599)] = 0
    #: So many requests are carried out and then the connection is cut instead of an answer.
    lose_answers: int = 0
    #: Which requests `status` and `lose_answers` concern: a regular expression that is searched
    #: for in `METHOD /path`.
    only: str = ""
    #: The push socket stays open and says nothing.
    silent_push: bool = False
    #: How much room there is for files; larger ones are refused. None: as much as on this disk.
    free_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    #: The share of the prints that break off with an error somewhere.
    failing_prints: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.only)
        except re.error as error:
            raise ValueError(f"`only` is no regular expression: {error}") from error
        if self.status:
            HTTPStatus(self.status)

    def concerns(self, method: str, path: str) -> bool:
        """Whether `status` and `lose_answers` are for this request."""
        return re.search(self.only, f"{method} {path}") is not None

    def loses_answer(self, method: str, path: str) -> bool:
        """Whether the answer to this request is lost; counts it."""
        if self.lose_answers <= 0 or not self.concerns(method, path):
            return False
        self.lose_answers -= 1
        return True
