from __future__ import annotations

import os
import select
import threading

import pytest
import zmq

from pms.mailbox import Mailbox


def readable(mailbox: Mailbox[int]) -> bool:
    return bool(select.select([mailbox], [], [], 0)[0])


def test_gives_back_what_was_put_in_order() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for item in (1, 2, 3):
        mailbox.put(item)
    assert mailbox.drain() == [1, 2, 3]
    assert mailbox.drain() == []


def test_is_readable_exactly_while_not_empty() -> None:
    mailbox: Mailbox[int] = Mailbox()
    seen = [readable(mailbox)]
    mailbox.put(1)
    mailbox.put(2)
    seen.append(readable(mailbox))
    mailbox.drain(limit=1)
    seen.append(readable(mailbox))
    mailbox.drain(limit=1)
    seen.append(readable(mailbox))
    assert seen == [False, True, True, False]


@pytest.mark.parametrize(("limit", "taken"), [(0, []), (2, [0, 1]), (9, [0, 1, 2])])
def test_takes_at_most_the_limit(limit: int, taken: list[int]) -> None:
    mailbox: Mailbox[int] = Mailbox()
    for item in range(3):
        mailbox.put(item)
    assert mailbox.drain(limit) == taken
    assert readable(mailbox) is (len(taken) < 3)


def test_wakes_a_poller_from_another_thread() -> None:
    mailbox: Mailbox[int] = Mailbox()
    poller = zmq.Poller()
    poller.register(mailbox, zmq.POLLIN)
    thread = threading.Thread(target=mailbox.put, args=(7,))
    thread.start()
    assert poller.poll(10_000) == [(mailbox.fileno(), zmq.POLLIN)]
    thread.join()
    assert mailbox.drain() == [7]


def test_loses_nothing_between_many_threads() -> None:
    mailbox: Mailbox[tuple[int, int]] = Mailbox()

    def fill(writer: int) -> None:
        for number in range(500):
            mailbox.put((writer, number))

    threads = [threading.Thread(target=fill, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    while len(taken) < 2000 and select.select([mailbox], [], [], 10)[0]:
        taken += mailbox.drain(limit=7)
    for thread in threads:
        thread.join()
    for writer in range(4):
        assert [number for who, number in taken if who == writer] == list(range(500))


def test_putting_after_close_is_harmless() -> None:
    mailbox: Mailbox[int] = Mailbox()
    descriptor = mailbox.fileno()
    mailbox.put(1)
    mailbox.close()
    mailbox.close()
    mailbox.put(2)
    assert mailbox.drain() == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
