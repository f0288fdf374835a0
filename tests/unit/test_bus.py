"""Router and dealer over real sockets, in one process. Times are made up, delivery is real."""

from __future__ import annotations

import itertools
import logging
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zmq

from pms.bus import telemetry
from pms.bus.codec import MAX_FRAME_BYTES, CodecError, decode_downstream, decode_upstream, encode
from pms.bus.dealer import Dealer, Granted
from pms.bus.endpoints import Endpoints, identity
from pms.bus.messages import (
    Acknowledge,
    CancelPrint,
    Command,
    Event,
    Heartbeat,
    Order,
    PausePrint,
    PrinterReady,
    PrintFailed,
    PrintStarting,
    Progress,
    Reconnect,
    Report,
    Stop,
)
from pms.bus.outbox import BLOCKED_RETRY_S
from pms.bus.router import REPORTS_AT_ONCE, NotOpenError, Received, Router
from pms.errors import SettingsError
from tests.support.waiting import wait_until

AT = datetime(2026, 1, 2, tzinfo=UTC)
READY = PrinterReady(at=AT, pid=1)
LATER = 10.0


class Farm:
    """One router, and dealers as needed, with a clock of their own."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.endpoints = Endpoints(folder)
        self.endpoints.prepare()
        self.now = 0.0
        self.dealers: list[Dealer] = []
        self.router = self.start_router()

    def start_router(self) -> Router:
        self.router = Router(self.context, self.endpoints.workers)
        return self.router

    def dealer(self, printer_id: int = 1, incarnation: int = 1) -> Dealer:
        name = identity(printer_id, incarnation)
        dealer = Dealer(self.context, self.endpoints.workers, name)
        self.dealers.append(dealer)
        assert dealer.socket.poll(10_000, zmq.POLLOUT)
        return dealer

    def worker(self, printer_id: int = 1, incarnation: int = 1) -> Dealer:
        """A dealer whose incarnation counts and that the router can reach."""
        self.router.open(printer_id, incarnation)
        dealer = self.dealer(printer_id, incarnation)
        dealer.telemetry(Heartbeat())
        self.received(1)
        assert decode_downstream(dealer.socket.recv()) == Acknowledge(sequence=0)
        return dealer

    def received(self, count: int) -> list[Received]:
        """Wait until the router has returned so many messages."""
        result: list[Received] = []
        while len(result) < count:
            assert self.router.socket.poll(10_000), f"only {len(result)} of {count} came"
            result += self.router.receive(self.now)
        return result

    def obtained(self, dealer: Dealer, count: int) -> list[Command | Granted]:
        """Wait until a dealer has returned so many commands and grants."""
        result: list[Command | Granted] = []
        while len(result) < count:
            assert dealer.socket.poll(10_000), f"only {len(result)} of {count} came"
            result += dealer.receive(self.now)
        return result

    def batch(self, count: int) -> list[Received]:
        """Wait until one batch holds so many reports; those that come apart are sent again."""
        while True:
            self.router.socket.poll(50)
            received = self.router.receive(self.now)
            reports = [item for item in received if isinstance(item.message, Report)]
            if len(reports) == count:
                return reports
            self.now += LATER
            for dealer in self.dealers:
                dealer.flush(self.now)

    def rest(self, dealer: Dealer, printer_id: int = 1) -> list[Command | Granted]:
        """What is still under way to a dealer, all of it: a last command overtakes nothing."""
        self.router.order(printer_id, Reconnect(), self.now)
        result = self.obtained(dealer, 1)
        while result[-1] != Reconnect():
            result += self.obtained(dealer, 1)
        return result[:-1]

    def close(self) -> None:
        self.router.close()
        for dealer in self.dealers:
            dealer.close()
        self.context.destroy(linger=0)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path / "run")
    yield farm
    farm.close()


def events(received: list[Received]) -> list[Event]:
    return [item.message.event for item in received if isinstance(item.message, Report)]


def starting(attempt_id: int) -> PrintStarting:
    return PrintStarting(at=AT, attempt_id=attempt_id)


# Reports


def test_a_report_arrives_with_its_sender(farm: Farm) -> None:
    dealer = farm.worker(printer_id=7, incarnation=3)
    assert dealer.report(READY, farm.now) == 1
    assert farm.received(1) == [
        Received(printer_id=7, incarnation=3, message=Report(sequence=1, event=READY))
    ]


def test_a_report_counts_as_done_only_when_acknowledged(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(READY, farm.now)
    received = farm.received(1)
    assert farm.rest(dealer) == []
    assert dealer.unacknowledged == 1
    farm.router.acknowledge(received[0])
    assert farm.obtained(dealer, 1) == [Granted(event=READY, granted=True)]
    assert dealer.unacknowledged == 0
    assert dealer.next_due(farm.now) is None


def test_a_report_comes_again_until_it_is_acknowledged(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(READY, farm.now)
    first = farm.received(1)
    due = dealer.next_due(farm.now)
    assert due is not None
    assert due > farm.now
    farm.now = due
    dealer.flush(farm.now)
    assert farm.received(1) == first


def test_a_duplicate_is_acknowledged_again_and_not_returned(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(READY, farm.now)
    farm.router.acknowledge(farm.received(1)[0])
    # The acknowledgement is under way; the worker does not know of it yet.
    farm.now += LATER
    dealer.flush(farm.now)
    dealer.report(starting(5), farm.now)
    assert events(farm.received(1)) == [starting(5)]
    assert [type(item) for item in farm.obtained(dealer, 1)] == [Granted]
    assert farm.rest(dealer) == []
    assert dealer.unacknowledged == 1


def test_a_report_that_came_twice_in_one_batch_is_returned_once(farm: Farm) -> None:
    dealer = farm.worker()
    for _ in range(2):
        for sequence in (1, 2):
            dealer.socket.send(encode(Report(sequence=sequence, event=starting(sequence))))
    while len(received := farm.router.receive(farm.now)) < 2:
        dealer.socket.send(encode(Report(sequence=1, event=starting(1))))
        dealer.socket.send(encode(Report(sequence=2, event=starting(2))))
    assert events(received) == [starting(1), starting(2)]


def test_many_reports_of_one_batch_keep_their_order(farm: Farm) -> None:
    dealer = farm.worker()
    sent = [starting(number) for number in range(REPORTS_AT_ONCE)]
    for event in sent:
        dealer.report(event, farm.now)
    received = farm.batch(len(sent))
    assert events(received) == sent
    for item in received:
        farm.router.acknowledge(item)
    assert len(farm.obtained(dealer, len(sent))) == len(sent)


def test_more_reports_than_are_taken_at_once_come_with_the_next_ones(farm: Farm) -> None:
    dealer = farm.worker()
    sent = [starting(number) for number in range(2 * REPORTS_AT_ONCE + 1)]
    for event in sent:
        dealer.report(event, farm.now)
    taken: list[Received] = []

    def take() -> bool:
        received = farm.router.receive(farm.now)
        assert len(received) <= REPORTS_AT_ONCE
        for item in received:
            farm.router.acknowledge(item)
        taken.extend(received)
        return len(taken) == len(sent)

    wait_until(take, 10.0, "all reports")
    assert events(taken) == sent


def test_after_one_that_failed_the_later_ones_come_again_in_order(farm: Farm) -> None:
    dealer = farm.worker()
    for number in (1, 2, 3):
        dealer.report(starting(number), farm.now)
    first, second, third = farm.batch(3)
    farm.router.acknowledge(first)
    # The second could not be committed; to acknowledge the third would lose it.
    farm.router.acknowledge(third)
    farm.obtained(dealer, 1)
    assert farm.rest(dealer) == []
    farm.now += LATER
    dealer.flush(farm.now)
    assert farm.batch(2) == [second, third]


def test_a_gap_is_dropped_until_it_is_filled(farm: Farm) -> None:
    dealer = farm.worker()
    for sequence in (2, 1, 3):
        dealer.socket.send(encode(Report(sequence=sequence, event=starting(sequence))))
    dealer.telemetry(Heartbeat())
    received = farm.received(2)
    assert events(received) == [starting(1)]
    dealer.socket.send(encode(Report(sequence=2, event=starting(2))))
    farm.router.acknowledge(received[0])
    assert events(farm.received(1)) == [starting(2)]


def test_a_refusal_is_repeated_with_a_duplicate(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(starting(5), farm.now)
    farm.router.acknowledge(farm.received(1)[0], granted=False)
    assert dealer.socket.poll(10_000)
    assert decode_downstream(dealer.socket.recv()) == Acknowledge(sequence=1, granted=False)
    farm.now += LATER
    dealer.flush(farm.now)
    dealer.telemetry(Heartbeat())
    farm.received(1)
    assert farm.obtained(dealer, 1) == [Granted(event=starting(5), granted=False)]


def test_acknowledging_twice_is_harmless(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(READY, farm.now)
    received = farm.received(1)[0]
    farm.router.acknowledge(received)
    farm.router.acknowledge(received, granted=False)
    assert farm.obtained(dealer, 1) == [Granted(event=READY, granted=True)]
    assert farm.rest(dealer) == []


def refuses_connections(endpoint: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(endpoint.removeprefix("ipc://")) != 0


def test_reports_wait_while_no_router_is_there(farm: Farm) -> None:
    farm.router.close()
    # ZeroMQ puts the end of the listener off.
    wait_until(lambda: refuses_connections(farm.endpoints.workers), 10.0, "the listener's end")
    dealer = Dealer(farm.context, farm.endpoints.workers, identity(1, 1))
    farm.dealers.append(dealer)
    for number in (1, 2):
        dealer.report(starting(number), farm.now)
    dealer.telemetry(Progress(attempt_id=1, progress=0.5))
    assert dealer.next_due(farm.now) == farm.now + BLOCKED_RETRY_S

    farm.start_router().open(1, 1)
    assert dealer.socket.poll(10_000, zmq.POLLOUT)
    farm.now += BLOCKED_RETRY_S
    dealer.flush(farm.now)
    assert events(farm.batch(2)) == [starting(1), starting(2)]


def test_a_router_that_went_and_came_back_gets_what_it_did_not_acknowledge(farm: Farm) -> None:
    dealer = farm.worker()
    dealer.report(READY, farm.now)
    farm.received(1)
    farm.router.close()
    farm.start_router().open(1, 1)
    while not farm.router.socket.poll(100):
        farm.now += LATER
        dealer.flush(farm.now)
    received = farm.received(1)
    assert events(received) == [READY]
    farm.router.acknowledge(received[0])
    assert farm.obtained(dealer, 1) == [Granted(event=READY, granted=True)]


# Incarnations


def test_a_restarted_worker_begins_anew(farm: Farm) -> None:
    old = farm.worker(incarnation=1)
    old.report(READY, farm.now)
    farm.router.acknowledge(farm.received(1)[0])
    farm.router.order(1, PausePrint(attempt_id=1), farm.now)
    new = farm.worker(incarnation=2)
    assert new.report(starting(5), farm.now) == 1
    received = farm.received(1)
    assert [(item.incarnation, item.message) for item in received] == [
        (2, Report(sequence=1, event=starting(5)))
    ]
    farm.router.acknowledge(received[0])
    assert farm.router.order(1, Stop(), farm.now) == 1
    assert farm.obtained(new, 2) == [Granted(event=starting(5), granted=True), Stop()]


def test_an_earlier_incarnation_is_ignored_and_logged_once(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    old = farm.worker(incarnation=1)
    old.report(READY, farm.now)
    late = farm.received(1)[0]
    new = farm.worker(incarnation=2)
    farm.router.acknowledge(late)
    with caplog.at_level(logging.DEBUG, logger="pms.bus.router"):
        old.report(starting(1), farm.now)
        while not caplog.records:
            assert farm.router.socket.poll(10_000)
            assert farm.router.receive(farm.now) == []
        old.telemetry(Heartbeat())
        new.report(READY, farm.now)
        assert [item.incarnation for item in farm.received(1)] == [2]
    assert old.unacknowledged == 2
    assert [record.message for record in caplog.records] == ["bus_stranger_ignored"]


def test_a_forgotten_worker_is_ignored(farm: Farm) -> None:
    dealer = farm.worker()
    farm.router.order(1, Stop(), farm.now)
    farm.router.forget(1)
    farm.router.forget(1)
    assert not farm.router.is_open(1)
    assert farm.router.heard_at(1) is None
    assert farm.router.next_due(farm.now) is None
    with pytest.raises(NotOpenError, match="printer 1 has no process"):
        farm.router.order(1, Stop(), farm.now)
    other = farm.worker(printer_id=2)
    dealer.report(READY, farm.now)
    other.report(READY, farm.now)
    assert [item.printer_id for item in farm.received(1)] == [2]


# Commands


def test_a_command_arrives_once_and_is_acknowledged(farm: Farm) -> None:
    dealer = farm.worker()
    assert farm.router.order(1, PausePrint(attempt_id=9), farm.now) == 1
    assert farm.router.next_due(farm.now) is not None
    assert farm.obtained(dealer, 1) == [PausePrint(attempt_id=9)]
    dealer.telemetry(Heartbeat())
    farm.received(1)
    assert farm.router.next_due(farm.now) is None


def test_a_repeated_command_is_acknowledged_again_and_not_returned(farm: Farm) -> None:
    dealer = farm.worker()
    farm.router.order(1, CancelPrint(attempt_id=9), farm.now)
    farm.now += LATER
    farm.router.flush(farm.now)
    assert farm.obtained(dealer, 1) == [CancelPrint(attempt_id=9)]
    assert farm.rest(dealer) == []
    frames = [farm.router.socket.recv_multipart()[1] for _ in range(3)]
    assert [decode_upstream(frame) for frame in frames] == [
        Acknowledge(sequence=sequence) for sequence in (1, 1, 2)
    ]


def test_a_command_out_of_order_is_not_acknowledged(farm: Farm) -> None:
    dealer = farm.worker()
    name = identity(1, 1).encode()
    for sequence in (2, 1):
        order = Order(sequence=sequence, command=PausePrint(attempt_id=sequence))
        farm.router.socket.send_multipart([name, encode(order)])
    assert farm.obtained(dealer, 1) == [PausePrint(attempt_id=1)]
    assert decode_upstream(farm.router.socket.recv_multipart()[1]) == Acknowledge(sequence=1)


def test_a_command_waits_for_a_worker_that_is_not_there_yet(farm: Farm) -> None:
    farm.router.open(1, 1)
    farm.router.order(1, Stop(), farm.now)
    assert farm.router.next_due(farm.now) == farm.now + BLOCKED_RETRY_S
    dealer = farm.dealer()
    dealer.telemetry(Heartbeat())
    farm.received(1)
    assert farm.router.next_due(farm.now) == farm.now
    farm.router.flush(farm.now)
    assert farm.obtained(dealer, 1) == [Stop()]


def test_commands_of_one_printer_do_not_reach_another(farm: Farm) -> None:
    dealers = {number: farm.worker(printer_id=number) for number in (1, 10, 11)}
    for number in dealers:
        farm.router.order(number, PausePrint(attempt_id=number), farm.now)
    for number, dealer in dealers.items():
        assert farm.rest(dealer, number) == [PausePrint(attempt_id=number)]


# Signs of life


def test_any_message_is_a_sign_of_life_for_both_sides(farm: Farm) -> None:
    farm.router.open(1, 1)
    assert farm.router.heard_at(1) is None
    dealer = farm.dealer()
    assert dealer.last_heard_at is None
    farm.now = 3.0
    dealer.telemetry(Heartbeat())
    farm.received(1)
    assert farm.router.heard_at(1) == 3.0
    assert dealer.socket.poll(10_000)
    farm.now = 5.0
    assert dealer.receive(farm.now) == []
    assert dealer.last_heard_at == 5.0


def test_a_worker_is_answered_now_and_then_while_there_is_nothing_to_say(farm: Farm) -> None:
    dealer = farm.worker()
    for now in (1.0, 4.9, 5.0, 6.0, 9.9, 10.0):
        farm.now = now
        dealer.telemetry(Heartbeat())
        farm.received(1)
    farm.router.order(1, Stop(), farm.now)
    frames = [dealer.socket.recv() for _ in range(3)]
    assert [decode_downstream(frame) for frame in frames] == [
        *[Acknowledge(sequence=0)] * 2,
        Order(sequence=1, command=Stop()),
    ]


# High-water marks


def test_a_router_that_does_not_read_costs_telemetry_but_no_report(farm: Farm) -> None:
    dealer = farm.worker()
    for _ in range(20_000):
        dealer.telemetry(Progress(attempt_id=1, progress=0.1))
    sent = [starting(number) for number in range(20)]
    for event in sent:
        dealer.report(event, farm.now)
    assert dealer.next_due(farm.now) == farm.now + BLOCKED_RETRY_S

    arrived: list[Event] = []
    telemetry_count = 0
    while len(arrived) < len(sent):
        received = farm.router.receive(farm.now)
        arrived += events(received)
        telemetry_count += len(received) - len(events(received))
        for item in received:
            farm.router.acknowledge(item)
        farm.now += BLOCKED_RETRY_S
        dealer.receive(farm.now)
        dealer.flush(farm.now)
        farm.router.socket.poll(100)
    assert arrived == sent
    assert telemetry_count < 20_000


def test_a_worker_that_does_not_read_keeps_its_commands_waiting(farm: Farm) -> None:
    frozen, lively = farm.worker(printer_id=1), farm.worker(printer_id=2)
    sent = [PausePrint(attempt_id=number) for number in range(5_000)]
    for command in sent:
        farm.router.order(1, command, farm.now)
    farm.router.order(2, Stop(), farm.now)
    assert farm.obtained(lively, 1) == [Stop()]

    obtained: list[Command | Granted] = []
    while len(obtained) < len(sent):
        obtained += frozen.receive(farm.now)
        farm.router.receive(farm.now)
        farm.now += BLOCKED_RETRY_S
        farm.router.flush(farm.now)
        frozen.socket.poll(100)
    assert obtained == sent


# Bad frames


def test_bad_frames_are_dropped_and_the_rest_goes_on(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    dealer = farm.worker()
    bad = [b"", b"\xc1", b"hello", encode(Order(sequence=1, command=Stop()))]
    for frame in bad:
        dealer.socket.send(frame)
    dealer.socket.send_multipart([b"two", b"parts"])
    dealer.report(READY, farm.now)
    assert events(farm.received(1)) == [READY]

    name = identity(1, 1).encode()
    for frame in [b"", b"\xc1", encode(Heartbeat())]:
        farm.router.socket.send_multipart([name, frame])
    farm.router.order(1, Stop(), farm.now)
    assert farm.obtained(dealer, 1) == [Stop()]
    assert [record.message for record in caplog.records] == ["bus_frame_dropped"] * 8


def test_an_event_that_is_too_long_is_refused_where_it_arises(farm: Farm) -> None:
    dealer = farm.worker()
    long = PrintFailed(at=AT, attempt_id=1, reason="x" * MAX_FRAME_BYTES)
    with pytest.raises(CodecError, match="Report takes 10486"):
        dealer.report(long, farm.now)
    assert dealer.report(READY, farm.now) == 1
    assert events(farm.received(1)) == [READY]


def test_an_oversize_frame_costs_its_sender_the_connection_and_nothing_else(farm: Farm) -> None:
    rude, polite = farm.worker(printer_id=1), farm.worker(printer_id=2)
    rude.socket.send(b"x" * (MAX_FRAME_BYTES + 1))
    polite.report(READY, farm.now)
    assert [item.printer_id for item in farm.received(1)] == [2]
    rude.report(READY, farm.now)
    while not farm.router.socket.poll(100):
        farm.now += LATER
        rude.flush(farm.now)
    assert [item.printer_id for item in farm.received(1)] == [1]


# The rest of the bus


@pytest.mark.parametrize("printer_id", [None, 1])
def test_subscribers_see_what_they_asked_for(farm: Farm, printer_id: int | None) -> None:
    publisher = telemetry.Publisher(farm.context, farm.endpoints.telemetry)
    socket = telemetry.subscribe(farm.context, farm.endpoints.telemetry, printer_id)
    message = Progress(attempt_id=3, progress=0.25)
    published: Iterator[int] = itertools.count()
    while not socket.poll(10):
        assert next(published) < 1000
        publisher.publish(10, READY)
        publisher.publish(1, message)
    seen = telemetry.decode(socket.recv_multipart())
    assert seen in [(1, message), *([(10, READY)] if printer_id is None else [])]
    publisher.close()
    socket.close()


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"printer.1."],
        [b"printer.x.", encode(READY)],
        [b"printer.1.", b"\xc1"],
        [b"printer.1.", encode(Stop())],
        [b"printer.1.", encode(READY), b""],
    ],
)
def test_what_is_not_published_telemetry_is_an_error(frames: list[bytes]) -> None:
    with pytest.raises(CodecError):
        telemetry.decode(frames)


def test_endpoints_are_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    endpoints = Endpoints(folder)
    endpoints.prepare()
    endpoints.prepare()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert endpoints.workers == f"ipc://{folder}/workers.sock"
    assert endpoints.telemetry == f"ipc://{folder}/telemetry.sock"
    assert endpoints.control == f"ipc://{folder}/control.sock"


def test_a_path_that_is_too_long_for_sockets_is_a_clear_error() -> None:
    Endpoints(Path("/" + "x" * 84))
    for folder in (Path("/" + "x" * 90), Path("/" + "ä" * 45)):
        with pytest.raises(SettingsError, match=r"PMS_RUNTIME_DIR=.* is too long for sockets"):
            Endpoints(folder)


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"PMS_RUNTIME_DIR=.* cannot be prepared"):
        Endpoints(tmp_path / "file" / "run").prepare()


@pytest.mark.parametrize("open_end", [Router, telemetry.Publisher])
def test_an_endpoint_that_cannot_be_used_is_a_clear_error(
    open_end: Callable[[zmq.Context[Any], str], object], tmp_path: Path
) -> None:
    context: zmq.Context[Any] = zmq.Context()
    with pytest.raises(SettingsError, match="PMS_RUNTIME_DIR does not allow a socket"):
        open_end(context, f"ipc://{tmp_path}/missing/x.sock")
    context.destroy(linger=0)
