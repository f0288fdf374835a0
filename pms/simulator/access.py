"""Who may do what on a look-alike: users, their API keys and their log-ins."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

#: The permissions that the interface asks for, with what OctoPrint calls them in a sentence.
PERMISSIONS = (
    "ADMIN",
    "STATUS",
    "CONNECTION",
    "FILES_LIST",
    "FILES_UPLOAD",
    "FILES_DOWNLOAD",
    "FILES_DELETE",
    "FILES_SELECT",
    "PRINT",
    "CONTROL",
    "SETTINGS_READ",
)
READ_ONLY = frozenset({"STATUS", "FILES_LIST"})


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom OctoPrint knows."""

    name: str
    api_key: str = field(repr=False)
    permissions: frozenset[str]
    groups: tuple[str, ...]

    def may(self, permission: str) -> bool:
        """Whether this is allowed."""
        return "ADMIN" in self.permissions or permission in self.permissions


def administrator(api_key: str) -> User:
    """The user whose key everybody gets."""
    return User("admin", api_key, frozenset(PERMISSIONS), ("users", "admins"))


def viewer(api_key: str) -> User:
    """A user who may look only."""
    return User("viewer", api_key, READ_ONLY, ("readonly",))


class Access:
    """The users of one server, and the log-ins since its start."""

    def __init__(self, *users: User) -> None:
        self._users = {user.api_key: user for user in users}
        self._sessions: dict[str, User] = {}

    def by_key(self, api_key: str) -> User | None:
        """Who has this API key."""
        return self._users.get(api_key)

    def add(self, user: User) -> None:
        """Let somebody in from now on."""
        self._users[user.api_key] = user

    def log_in(self, user: User) -> str:
        """Make a session."""
        session = secrets.token_hex(32)
        self._sessions[session] = user
        return session

    def by_session(self, words: str) -> User | None:
        """Who logged in as `name:session`."""
        name, _, session = words.partition(":")
        user = self._sessions.get(session)
        return user if user is not None and user.name == name else None

    def forget_sessions(self) -> None:
        """The server has been restarted."""
        self._sessions.clear()


def permission_list() -> list[dict[str, Any]]:
    """As the push socket announces them."""
    return [
        {"key": key, "name": key.replace("_", " ").capitalize(), "needs": {"role": [key.lower()]}}
        for key in PERMISSIONS
    ]
