"""Handling intake and relay in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

from pms.broker.link import CONNECTED
from pms.config import BrokerSettings
from pms.mailbox import Mailbox
from tests.support.broker import Broker
from tests.support.waiting import wait_until

T = TypeVar("T")

#: Far longer than anything takes that works.
TIMEOUT_S = 60.0


class Link(Protocol):
    """Intake or relay."""

    @property
    def state(self) -> str: ...
    def start(self) -> None: ...
    def stop(self, timeout_s: float, /) -> bool: ...


Run = Callable[[Link], None]


@contextmanager
def runner() -> Iterator[Run]:
    """Give a function that starts links, which are stopped when the block ends."""
    with ExitStack() as stack:

        def run(link: Link) -> None:
            link.start()
            stack.callback(link.stop, 2.0)

        yield run


def settings_of(broker: Broker, **others: Any) -> BrokerSettings:
    """How PMS is told to reach a broker, with some settings replaced."""
    values = {
        "host": broker.host,
        "port": broker.port,
        "virtual_host": broker.virtual_host,
        "user": broker.user,
        "password": broker.password,
    }
    return BrokerSettings(**{**values, **others})


def collect(mailbox: Mailbox[T], count: int) -> list[T]:
    """Take out of the mailbox until there are `count` items or more."""
    found: list[T] = []

    def enough() -> bool:
        found.extend(mailbox.drain())
        return len(found) >= count

    wait_until(enough, TIMEOUT_S, f"{count} items in the mailbox")
    return found


def wait_for_state(link: Link, words: str) -> None:
    """Wait until the link's state has these words in it."""
    wait_until(lambda: words in link.state, TIMEOUT_S, f"{link} to be {words!r}")


def wait_connected(*links: Link) -> None:
    """Wait until all of them are connected."""

    def connected() -> bool:
        return all(link.state == CONNECTED for link in links)

    wait_until(connected, TIMEOUT_S, f"{links} to connect")
