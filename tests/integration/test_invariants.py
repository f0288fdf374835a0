"""The promises of docs/reliability.md, each with tests of its name, on real servers.

Here each promise is held against what upholds it: the database's transactions and locks, the
coordinator's handlers, the decisions of a printer's process. Further proofs, of the whole:
tests/unit/test_print_model.py (3, 4: any order of events), tests/chaos/test_crash_points.py (1-5,
7: killed between any two steps), tests/e2e/test_kills.py and test_outages.py (1, 5, 7), tests/e2e/
test_bad_input.py (6), tests/integration/test_gcode_memory.py and test_octoprint_client.py (8).
"""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from sqlalchemy import Connection, delete, exc, insert

from pms.broker.intake import Delivery
from pms.broker.intake import Intake as BrokerIntake
from pms.broker.relay import OutgoingMessage, Published, PublishFailed, Relay, RelayResult
from pms.bus import messages as bus
from pms.bus.dealer import Dealer, Granted
from pms.bus.endpoints import Endpoints, identity
from pms.bus.messages import Event
from pms.bus.router import Router
from pms.bus.telemetry import Publisher
from pms.coordinator import announcements, handlers, requests
from pms.coordinator import paid_jobs as intake_of_jobs
from pms.coordinator.gate import Gate
from pms.coordinator.notifications import Notifications
from pms.coordinator.paid_jobs import PaidJobs
from pms.coordinator.reports import Reports
from pms.domain.scheduling import Assignment
from pms.domain.states import AttemptState, Bed, PrinterState
from pms.errors import DatabaseUnavailableError
from pms.mailbox import Mailbox
from pms.store import attempts, tables
from pms.store.intake import TakenIn
from tests.support import worker_rig as rigs
from tests.support.broker import Broker
from tests.support.file_server import FileServer
from tests.support.gcode import GeneratedGcode
from tests.support.links import TIMEOUT_S, Run, collect, runner, settings_of
from tests.support.odd_server import OddServer, answer, hangs
from tests.support.shop_floor import AT, POLICY, FailingDatabase, ShopFloor, staged, take_in
from tests.support.specs import worker_spec
from tests.support.waiting import wait_until
from workers.gcode import GcodeCache
from workers.gcode_sources import FileServerSource
from workers.loop import PrinterLoop
from workers.octoprint import OctoPrint
from workers.steps import ResumeFile, StartFile

S = AttemptState
MIB = 1024 * 1024
#: Time for somebody to run into a lock; what follows does not depend on it.
INTO_THE_LOCK_S = 0.5

#: Where the database decides nothing, one is enough.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class PowerCutError(Exception):
    """Everything ends here, between one step and the next."""


@pytest.fixture
def store(database_url: str) -> Iterator[FailingDatabase]:
    store = FailingDatabase(database_url)
    yield store
    store.close()


@pytest.fixture
def floor(store: FailingDatabase) -> ShopFloor:
    """Two printers."""
    return ShopFloor(store, 2)


@pytest.fixture
def run() -> Iterator[Run]:
    with runner() as run:
        yield run


# 1. No copy is lost


class Answers:
    """Keeps what PMS answers to the broker, and how many prints others could see then."""

    def __init__(self, floor: ShopFloor) -> None:
        self._floor = floor
        self.acknowledged: list[int] = []
        self.prints_seen: list[int] = []
        self.set_aside: list[str] = []

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        self.acknowledged += [delivery.tag for delivery in deliveries]
        self.prints_seen.append(self._floor.count(tables.prints))

    def dead_letter(self, delivery: Delivery, reason: str) -> None:
        self.set_aside.append(reason)


def delivery(job_id: int, tag: int = 1) -> Delivery:
    return Delivery(epoch=1, tag=tag, body=b'{"JobId": %d}' % job_id, redelivered=False)


def test_invariant_1_no_copy_is_lost_payments_are_acknowledged_after_the_commit(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    answers, mailbox = Answers(floor), Mailbox[Delivery]()
    paid_jobs = PaidJobs(Gate(store), POLICY, mailbox, answers)
    mailbox.put(delivery(floor.add_job(3)))
    store.away = True
    paid_jobs.process(0.0, AT)
    assert (answers.acknowledged, floor.count(tables.prints)) == ([], 0)
    store.away = False
    wait_until(lambda: paid_jobs.process(float("inf"), AT), TIMEOUT_S, "the database")
    assert (answers.acknowledged, answers.prints_seen) == ([1], [3])


@on_postgresql
def test_invariant_1_no_copy_is_lost_a_payment_stays_on_the_broker_until_the_commit(
    store: FailingDatabase, floor: ShopFloor, broker: Broker, run: Run
) -> None:
    job = floor.add_job(2)
    broker.publish_job_paid(job)
    for store.away, left in ((True, 1), (False, 0)):
        mailbox = Mailbox[Delivery]()
        intake = BrokerIntake(settings_of(broker), mailbox)
        run(intake)
        (came,) = collect(mailbox, 1)
        mailbox.put(came)
        PaidJobs(Gate(store), POLICY, mailbox, intake).process(0.0, AT)
        assert intake.stop(TIMEOUT_S)
        assert broker.queue_depth("JobPaid") == left
    assert floor.statuses(job) == ["pending"] * 2


@on_postgresql
def test_invariant_1_no_copy_is_lost_many_of_them_are_no_silence_of_the_database(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    jobs = [floor.add_job(1000) for _ in range(80)]
    store.hurry(1.0)
    with store.begin() as connection:
        found = intake_of_jobs.take_in(connection, POLICY, jobs, AT)
    assert sum(taken.created for taken in found) == 80_000


@on_sqlite
def test_invariant_1_no_copy_is_lost_what_cannot_be_done_is_set_aside(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    answers, mailbox = Answers(floor), Mailbox[Delivery]()
    impossible = floor.add_job(0)
    for number, item in enumerate((delivery(99), delivery(impossible), delivery(1))):
        mailbox.put(replace(item, tag=number, body=item.body if number < 2 else b"?"))
    PaidJobs(Gate(store), POLICY, mailbox, answers).process(0.0, AT)
    assert answers.acknowledged == []
    assert len(answers.set_aside) == 3


def test_invariant_1_no_copy_is_lost_a_lost_message_is_made_up_for(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    forgotten = floor.add_job(2)
    floor.add_job(2, paid=False)
    floor.add_job(2, job_status="received")
    with store.begin() as connection:
        found = PaidJobs(Gate(store), POLICY, Mailbox(), None).sweep(connection, AT)
    assert [(taken.job_id, taken.created) for taken in found] == [(forgotten, 2)]
    assert floor.count(tables.prints) == 2


def test_invariant_1_no_copy_is_lost_a_failed_one_is_replaced_at_once(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    attempt = floor.lead_to(S.PRINTING)
    failed = bus.PrintFailed(at=AT, attempt_id=attempt.id, reason="jam")
    store.away = True
    with pytest.raises(DatabaseUnavailableError):
        floor.report(failed)
    store.away = False
    assert "failed" not in floor.statuses(attempt.job_id)
    floor.report(failed)
    assert floor.statuses(attempt.job_id) == ["failed", "pending"]


@pytest.mark.parametrize("state", [S.CLAIMED, S.STAGED, S.STARTING])
@on_sqlite
def test_invariant_1_no_copy_is_lost_one_that_goes_back_is_given_out_again(
    floor: ShopFloor, state: AttemptState
) -> None:
    attempt = floor.lead_to(state)
    refusal = bus.CommandRefused(
        at=AT, command="StartPrint", attempt_id=attempt.id, reason="409", returned=True
    )
    floor.report(refusal)
    assert floor.statuses(attempt.job_id) == ["pending"]
    assert [again.print_id for again in floor.assign().claimed] == [attempt.print_id]


# 2. No copy too many


@pytest.mark.parametrize("corrected", [False, True], ids=["new", "refused before"])
def test_invariant_2_no_copy_too_many_from_two_at_once(floor: ShopFloor, corrected: bool) -> None:
    job = floor.add_job(0 if corrected else 3)
    if corrected:
        assert floor.take_in(job).outcome is TakenIn.BAD_COPIES
        floor.change_job(job, num_copies=3)
    with ThreadPoolExecutor(1) as pool:
        with floor.store.begin() as connection:
            assert take_in(connection, job).created == 3
            second = pool.submit(floor.take_in, job)
            wait([second], INTO_THE_LOCK_S)
        assert second.result().outcome is TakenIn.ALREADY
    assert floor.statuses(job) == ["pending"] * 3


def test_invariant_2_no_copy_too_many_from_many_at_once(floor: ShopFloor) -> None:
    jobs = [floor.add_job(2) for _ in range(5)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(floor.take_in, jobs * 4))
    assert sum(outcome.created for outcome in outcomes) == 10
    assert all(floor.statuses(job) == ["pending"] * 2 for job in jobs)


@on_sqlite
def test_invariant_2_no_copy_too_many_however_often_and_late_the_message_comes(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    attempt = floor.lead_to(S.PRINTING, copies=2)
    mailbox = Mailbox[Delivery]()
    paid_jobs = PaidJobs(Gate(store), POLICY, mailbox, Answers(floor))
    failed = bus.PrintFailed(at=AT, attempt_id=attempt.id, reason="jam")
    for wanted in (["printing", "pending"], ["failed", "pending", "pending"]):
        for tag in range(3):
            mailbox.put(delivery(attempt.job_id, tag))
        paid_jobs.process(0.0, AT)
        with store.begin() as connection:
            paid_jobs.sweep(connection, AT)
        assert floor.statuses(attempt.job_id) == wanted
        # Its acknowledgement was lost, so it comes again.
        floor.report(failed)
        floor.report(failed)


@on_sqlite
def test_invariant_2_no_copy_too_many_beside_those_that_are_there_already(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    """As after a PMS whose own tables are gone."""
    job = floor.add_job(3)
    there = ["completed", "failed", "pending"]
    with store.begin() as connection:
        rows = [{"print_job_id": job, "created_at": AT, "print_status": it} for it in there]
        connection.execute(insert(tables.prints), rows)
    floor.take_in(job)
    assert floor.statuses(job) == [*there, "pending"]


# 3. At most one start for each attempt, and no attempt beside another


@pytest.mark.parametrize("state", [S.CLAIMED, S.STAGED, S.STARTING, S.PRINTING, S.FINISHED])
@on_sqlite
def test_invariant_3_at_most_one_start_no_second_attempt_beside_a_live_one(
    floor: ShopFloor, state: AttemptState
) -> None:
    attempt = floor.lead_to(state)
    assert floor.assign().claimed == []
    another = floor.take_in(floor.add_job(1)).job_id
    for print_id, printer_id in ((attempt.print_id, 2), (2, attempt.printer_id)):
        with pytest.raises(exc.IntegrityError), floor.store.begin() as connection:
            attempts.claim(connection, Assignment(print_id, another, printer_id), AT)
    assert [live.id for live in floor.live()] == [attempt.id]


def test_invariant_3_at_most_one_start_two_rounds_at_once_give_a_copy_out_once(
    floor: ShopFloor,
) -> None:
    job = floor.add_job(1)
    floor.take_in(job)
    with ThreadPoolExecutor(1) as pool:
        with floor.store.begin() as connection:
            attempts.claim(connection, Assignment(1, job, 1), AT)
            second = pool.submit(floor.assign)
            wait([second], INTO_THE_LOCK_S)
        assert _has_claimed_nothing(second)
    assert len(floor.live()) == 1


def _has_claimed_nothing(round_: Future[Any]) -> bool:
    error = round_.exception()
    return isinstance(error, exc.IntegrityError) if error else round_.result().claimed == []


@on_sqlite
def test_invariant_3_at_most_one_start_is_granted_to_a_file_that_is_staged(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.STAGED)
    granted = set()
    for state in sorted(S):
        with floor.store.begin() as connection:
            attempts.move(connection, attempt.id, state, AT)
        if floor.report(bus.PrintStarting(at=AT, attempt_id=attempt.id)).granted:
            granted.add(state)
    # Asked again by whom the answer did not reach, in `starting`.
    assert granted == {S.STAGED, S.STARTING}


LOST_TRACES = {
    "another server": (rigs.ANOTHER, rigs.IGNORED),
    "not selected any more": (rigs.SAME, rigs.FORGOTTEN),
    "printed, with success": (rigs.SAME, rigs.DONE),
    "printed, without success": (rigs.SAME, rigs.FAILED),
    "prints": (rigs.SAME, rigs.PRINTS),
    "printer gone": (rigs.SAME, rigs.OFFLINE),
}


@pytest.mark.parametrize("trace", LOST_TRACES)
def test_invariant_3_at_most_one_start_a_lost_answer_is_not_taken_for_a_no(trace: str) -> None:
    rig = rigs.asked()
    rig.proof, observation = LOST_TRACES[trace]
    rig.answer(rigs.LOST)
    rig.looks(observation, 20)
    assert rig.count(StartFile) == 1
    assert "CommandRefused" not in rig.names()


def test_invariant_3_at_most_one_start_a_new_process_asks_only_with_proof_and_grant() -> None:
    rig = rigs.taken_up(rigs.order(S.STARTING))
    rig.proof = rigs.SAME
    rig.looks(rigs.IGNORED, 10)
    assert rig.count(StartFile) == 0
    rig.grant()
    rig.looks(rigs.IGNORED, 5)
    assert rig.count(StartFile) == 1


# 4. Nothing starts on an occupied bed


@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_it_is_occupied_before_the_grant_goes_out(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.STAGED)
    assert floor.bed() is Bed.CLEAR
    assert floor.report(bus.PrintStarting(at=AT, attempt_id=attempt.id)).granted
    assert floor.bed() is Bed.OCCUPIED
    assert floor.attempt().state is S.STARTING


@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_of_a_file_that_somebody_started_at_octoprint(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.STAGED)
    floor.report(bus.PrintStarted(at=AT, attempt_id=attempt.id))
    assert floor.bed() is Bed.OCCUPIED


@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_no_grant_for_what_was_staged_meanwhile(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.STAGED)
    floor.show(1, PrinterState.BUSY)
    floor.show(1, PrinterState.IDLE)
    assert not floor.report(bus.PrintStarting(at=AT, attempt_id=attempt.id)).granted
    assert floor.attempt().state is S.STAGED


@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_no_copy_is_given_to_it(floor: ShopFloor) -> None:
    for printer_id in (1, 2):
        floor.show(printer_id, PrinterState.BUSY)
        floor.show(printer_id, PrinterState.IDLE)
    floor.take_in(floor.add_job(1))
    round_ = floor.assign()
    assert round_.claimed == []
    assert round_.reasons is not None
    assert "2 bed occupied" in round_.reasons[1]


@pytest.mark.parametrize("state", [S.STARTING, S.PRINTING])
@pytest.mark.parametrize(
    "end",
    [
        lambda i: bus.PrintFailed(at=AT, attempt_id=i, reason="jam"),
        lambda i: bus.PrintCancelled(at=AT, attempt_id=i, may_have_started=True),
    ],
    ids=["failed", "cancelled"],
)
@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_it_stays_occupied_after_the_end(
    floor: ShopFloor, state: AttemptState, end: Callable[[int], Event]
) -> None:
    attempt = floor.lead_to(state)
    floor.report(end(attempt.id))
    assert floor.bed() is Bed.OCCUPIED
    floor.take_in(floor.add_job(2))
    assert [claimed.printer_id for claimed in floor.assign().claimed] == [2]


@on_sqlite
def test_invariant_4_nothing_on_an_occupied_bed_a_late_clear_clears_nothing_else(
    floor: ShopFloor,
) -> None:
    earlier = floor.lead_to(S.FINISHED)
    floor.report(bus.PrintCleared(at=AT, attempt_id=earlier.id))
    assert floor.bed() is Bed.CLEAR
    floor.show(2, PrinterState.ERROR)
    floor.lead_to(S.FINISHED)
    with floor.store.begin() as connection:
        reply = requests.clear(connection, floor.farm, "1", earlier.print_id, AT)
    assert reply.commands == []
    assert not floor.attempt().clear_requested
    assert floor.bed() is Bed.OCCUPIED


def test_invariant_4_nothing_on_an_occupied_bed_an_interrupted_ejection_frees_nothing() -> None:
    rig = rigs.settled(rigs.finished())
    rig.command(rigs.EJECT)
    rig.look(rigs.AT_MARKER)
    assert rig.call == ResumeFile()
    rig.answer()
    rig.look(rigs.TAIL)
    rig.looks(rigs.FAILED)
    assert rig.names() == []
    assert rig.conditions()[-1].needs_attention


# 5. Database and messages agree


@pytest.mark.parametrize("cut", ["before the message", "after the message", "at the commit"])
def test_invariant_5_database_and_messages_agree_after_a_cut(
    store: FailingDatabase, floor: ShopFloor, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = floor.lead_to(S.STARTING)
    started = bus.PrintStarted(at=AT, attempt_id=attempt.id)
    with pytest.raises((PowerCutError, DatabaseUnavailableError)), _cut(store, cut, monkeypatch):
        floor.report(started)
    assert floor.attempt().state is S.STARTING
    assert floor.waiting() == []
    floor.report(started)
    floor.report(started)
    assert floor.attempt().state is S.PRINTING
    assert [row.exchange for row in floor.waiting()] == ["PrintStarted"]


@contextmanager
def _cut(store: FailingDatabase, cut: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = announcements.add

    def add(connection: Connection, *what: Any, **facts: Any) -> None:
        if cut == "after the message":
            real(connection, *what, **facts)
        raise PowerCutError

    with monkeypatch.context() as patch:
        if cut == "at the commit":
            patch.setattr(store, "away", True)
        else:
            patch.setattr(announcements, "add", add)
        yield


@on_sqlite
def test_invariant_5_database_and_messages_agree_in_the_order_of_the_changes(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.FINISHED)
    for event in (bus.PrintFinished, bus.PrintCleared, bus.PrintCleared):
        floor.report(event(at=AT, attempt_id=attempt.id))
    rows = floor.waiting()
    assert [row.exchange for row in rows] == ["PrintStarted", "PrintFinished", "PrintCleared"]
    assert len({row.message_id for row in rows}) == 3


class Relayed:
    """Stands in for the relay and keeps what was offered."""

    def __init__(self) -> None:
        self.offered: list[list[OutgoingMessage]] = []

    def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        self.offered.append(list(messages))


@on_sqlite
def test_invariant_5_database_and_messages_agree_only_what_is_confirmed_counts_as_out(
    store: FailingDatabase, floor: ShopFloor
) -> None:
    floor.lead_to(S.FINISHED)
    relay, results = Relayed(), Mailbox[RelayResult]()
    notifications = Notifications(Gate(store), relay, results)
    ids = [row.id for row in floor.waiting()]
    notifications.process(0.0, AT)
    notifications.process(1.0, AT)
    assert len(floor.waiting()) == 2
    results.put(Published((ids[0],)))
    results.put(PublishFailed("the connection is gone"))
    notifications.process(2.0, AT)
    assert [row.id for row in floor.waiting()] == ids[1:]
    notifications.process(100.0, AT)
    first, second = relay.offered
    assert [message.outbox_id for message in first] == ids
    assert second == first[1:]


@on_postgresql
def test_invariant_5_database_and_messages_agree_an_unrecorded_message_comes_again_under_its_id(
    store: FailingDatabase, floor: ShopFloor, broker: Broker, run: Run
) -> None:
    floor.lead_to(S.FINISHED)
    results = Mailbox[RelayResult]()
    for _killed_before_it_could_record in range(2):
        results = Mailbox[RelayResult]()
        relay = Relay(settings_of(broker), results)
        run(relay)
        notifications = Notifications(Gate(store), relay, results)
        notifications.process(0.0, AT)
        results.put(collect(results, 1)[0])
    notifications.process(1.0, AT)
    assert floor.waiting() == []
    for queue in ("EmailPrintStarted", "DiscordPrintFinished"):
        first, second = broker.messages(queue)
        assert first.properties.message_id == second.properties.message_id
        assert first.body == second.body


# 6. One printer cannot hurt another


def test_invariant_6_one_printer_cannot_hurt_another_its_process_never_waits_for_it(
    tmp_path: Path,
) -> None:
    """Printers of every bad kind beside good ones: tests/e2e/test_bad_input.py."""
    with _bus(tmp_path) as (context, endpoints), OddServer(hangs) as octoprint:
        router = Router(context, endpoints.workers)
        router.open(1, 1)
        spec = worker_spec(
            tmp_path,
            address=octoprint.address,
            bus_endpoint=endpoints.workers,
            http_timeout_s=10 * TIMEOUT_S,
        )
        loop = PrinterLoop(spec)
        process = threading.Thread(target=loop.run)
        process.start()
        try:
            wait_until(lambda: octoprint.heads, TIMEOUT_S, "a call that hangs")
            beats: list[object] = []

            def hear() -> bool:
                beats.extend(
                    item for item in router.receive(0.0) if isinstance(item.message, bus.Heartbeat)
                )
                return len(beats) >= 3

            wait_until(hear, TIMEOUT_S, "signs of life")
            router.order(1, bus.Stop(), 0.0)
            wait_until(lambda: not process.is_alive(), TIMEOUT_S, "the end")
        finally:
            loop.stop_soon()
            process.join()
            router.close()


@contextmanager
def _bus(folder: Path) -> Iterator[tuple[zmq.Context[Any], Endpoints]]:
    context: zmq.Context[Any] = zmq.Context()
    endpoints = Endpoints(folder / "run")
    endpoints.prepare()
    yield context, endpoints
    context.destroy(linger=0)


class Desk:
    """The coordinator's end of the bus with processes of printers 1 and 2 at the other."""

    def __init__(self, floor: ShopFloor, context: zmq.Context[Any], endpoints: Endpoints) -> None:
        self.router = Router(context, endpoints.workers)
        self.publisher = Publisher(context, endpoints.telemetry)
        self.broken: list[int] = []
        self.reports = Reports(
            self.router,
            Gate(floor.store),
            floor.farm,
            POLICY,
            self.publisher,
            on_broken=self.broken.append,
        )
        self.dealers: dict[int, Dealer] = {}
        for printer_id in (1, 2):
            self.router.open(printer_id, 1)
            dealer = Dealer(context, endpoints.workers, identity(printer_id, 1))
            self.dealers[printer_id] = dealer
        self._now = time.monotonic()

    def answers(self, printer_id: int) -> list[Granted]:
        """Let time pass until a process has got answers to its reports."""

        def obtain() -> list[Granted]:
            self._now += 20.0
            for dealer in self.dealers.values():
                dealer.flush(self._now)
            self.reports.process(self._now, AT)
            came = self.dealers[printer_id].receive(self._now)
            return [item for item in came if isinstance(item, Granted)]

        return wait_until(obtain, TIMEOUT_S, f"an answer for printer {printer_id}")

    def close(self) -> None:
        self.router.close()
        self.publisher.close()
        for dealer in self.dealers.values():
            dealer.close()


@pytest.fixture
def desk(floor: ShopFloor, tmp_path: Path) -> Iterator[Desk]:
    with _bus(tmp_path) as (context, endpoints):
        desk = Desk(floor, context, endpoints)
        yield desk
        desk.close()


@on_sqlite
def test_invariant_6_one_printer_cannot_hurt_another_with_a_report_that_cannot_be_written(
    floor: ShopFloor, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = handlers.handle

    def fail_for_1(
        connection: Connection, policy: Any, copies: Any, sender: Any, event: Event
    ) -> Any:
        if sender.printer_id == 1:
            raise PowerCutError
        return handle(connection, policy, copies, sender, event)

    monkeypatch.setattr(handlers, "handle", fail_for_1)
    floor.take_in(floor.add_job(2))
    by_printer = {attempt.printer_id: attempt for attempt in floor.assign().claimed}
    for printer_id, dealer in desk.dealers.items():
        dealer.report(staged(by_printer[printer_id]), 0.0)
    wait_until(lambda: desk.reports.process(0.0, AT) or desk.broken, TIMEOUT_S, "the first report")
    assert desk.answers(2)
    assert floor.attempt(2).state is S.STAGED
    assert floor.attempt(1).state is S.CLAIMED
    assert desk.dealers[1].unacknowledged == 1
    assert set(desk.broken) == {1}


# 7. A crash loses no print


def test_invariant_7_a_crash_loses_no_print_a_report_counts_once_it_is_committed(
    store: FailingDatabase, floor: ShopFloor, desk: Desk
) -> None:
    attempt = floor.lead_to(S.STARTING)
    worker = desk.dealers[1]
    worker.report(bus.PrintStarted(at=AT, attempt_id=attempt.id), 0.0)
    store.away = True
    wait_until(lambda: desk.router.socket.poll(0), TIMEOUT_S, "the report")
    assert not desk.reports.process(0.0, AT)
    store.away = False
    assert (worker.receive(0.0), worker.unacknowledged) == ([], 1)
    desk.answers(1)
    assert (floor.attempt().state, worker.unacknowledged) == (S.PRINTING, 0)


@pytest.mark.parametrize("state", [S.STARTING, S.PRINTING, S.PAUSED])
@pytest.mark.parametrize(
    ("end", "events", "status"),
    [
        (rigs.DONE, ["PrintFinished"], "completed"),
        (rigs.FAILED, ["PrintFailed"], "failed"),
    ],
    ids=["good", "bad"],
)
@on_sqlite
def test_invariant_7_a_crash_loses_no_print_a_new_process_records_its_outcome(
    floor: ShopFloor, state: AttemptState, end: Any, events: list[str], status: str
) -> None:
    attempt = floor.lead_to(S.PRINTING if state is S.PAUSED else state)
    if state is S.PAUSED:
        floor.report(bus.PrintPaused(at=AT, attempt_id=attempt.id))
    briefing = floor.report(bus.PrinterReady(at=AT, pid=1)).commands
    rig = rigs.taken_up(*briefing)
    rig.looks(replace(end, path=attempt.remote_path), 4)
    happened = rig.happened()
    assert [type(event).__name__ for event in happened][-1:] == events
    assert rig.count(StartFile) == 0
    for event in happened:
        floor.report(event)
    assert floor.statuses(attempt.job_id)[0] == status


@on_sqlite
def test_invariant_7_a_crash_loses_no_print_what_was_asked_for_is_asked_again(
    floor: ShopFloor,
) -> None:
    attempt = floor.lead_to(S.FINISHED)
    with floor.store.begin() as connection:
        requests.clear(connection, floor.farm, "1", attempt.print_id, AT)
    briefing = floor.report(bus.PrinterReady(at=AT, pid=1)).commands
    assert [type(command).__name__ for command in briefing] == ["StartPrint", "ClearBed"]
    assert briefing[1] == bus.ClearBed(attempt_id=attempt.id, by_person=True)


@on_sqlite
def test_invariant_7_a_crash_loses_no_print_of_a_copy_whose_row_is_gone(floor: ShopFloor) -> None:
    attempt = floor.lead_to(S.PRINTING)
    with floor.store.begin() as connection:
        connection.execute(delete(tables.prints))
    floor.report(bus.PrintFinished(at=AT, attempt_id=attempt.id))
    assert floor.attempt().state is S.FINISHED
    assert floor.bed() is Bed.OCCUPIED


# 8. Memory is constant in the size of a file

FILE = GeneratedGcode(24 * MIB)
ALLOWED_BYTES = 3 * MIB


def test_invariant_8_memory_is_constant_from_the_file_server_to_octoprint(
    file_server: FileServer, tmp_path: Path
) -> None:
    """With 650 MiB, and with OctoPrint itself: see above."""
    file_server.put(1, FILE)
    source = FileServerSource(file_server.base_url, TIMEOUT_S)
    with OddServer(_swallows) as server, _peak_memory() as peak:
        with GcodeCache(tmp_path, 1 << 40).fetch(1, source, at_once=True) as gcode:
            with OctoPrint(server.address, "key", TIMEOUT_S) as octoprint:
                octoprint.upload(
                    gcode, rigs.PATH, lambda _sent, _size: None, TIMEOUT_S, lambda: False
                )
            facts = gcode.facts()
        assert (facts.size, facts.finish_marker) == (FILE.size, FILE.finished_byte_pos)
        assert peak() < ALLOWED_BYTES


def _swallows(connection: Any, head: str, _over: threading.Event) -> None:
    """Takes the whole body and says that it is stored."""
    (length,) = (
        int(line.partition(":")[2])
        for line in head.splitlines()
        if line.lower().startswith("content-length:")
    )
    buffer = bytearray(256 * 1024)
    while length > 0:
        length -= connection.recv_into(buffer)
    body = b'{"files": {"local": {"path": "%s"}}}' % rigs.PATH.encode()
    connection.sendall(answer("201 Created", body))


@contextmanager
def _peak_memory() -> Iterator[Callable[[], int]]:
    """What Python allocates in the block, at most at a time; bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
