"""The intake against a real RabbitMQ."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence

import pika
import pytest

from pms.broker import intake
from pms.broker.intake import Delivery, Intake
from pms.broker.link import CONNECTED
from pms.broker.relay import Relay
from pms.mailbox import Mailbox
from tests.support.broker import Broker
from tests.support.links import (
    TIMEOUT_S,
    Run,
    collect,
    runner,
    settings_of,
    wait_connected,
    wait_for_state,
)
from tests.support.rabbitmq import RabbitServer
from tests.support.waiting import wait_until


@pytest.fixture
def run() -> Iterator[Run]:
    with runner() as run:
        yield run


@pytest.fixture
def mailbox() -> Mailbox[Delivery]:
    return Mailbox()


def job_ids(deliveries: Sequence[Delivery]) -> list[int]:
    return [json.loads(delivery.body)["JobId"] for delivery in deliveries]


def queued(broker: Broker) -> list[int]:
    return [message.body["JobId"] for message in broker.messages("JobPaid")]


def test_a_delivery_stays_on_the_broker_until_it_is_acknowledged(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run
) -> None:
    broker.publish_job_paid(1, 2, 3)
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    deliveries = collect(mailbox, 3)
    assert job_ids(deliveries) == [1, 2, 3]
    assert not any(delivery.redelivered for delivery in deliveries)
    consumer.acknowledge(deliveries[:2])
    assert consumer.stop(TIMEOUT_S)
    assert consumer.state == "stopped"
    assert queued(broker) == [3]


def test_acknowledgements_of_many_leave_exactly_the_others(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run
) -> None:
    broker.publish_job_paid(*range(300))
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    deliveries = collect(mailbox, 300)
    kept = [5, 6, 100, 299]
    done = [item for item, job_id in zip(deliveries, range(300), strict=True) if job_id not in kept]
    consumer.acknowledge(done[200:])
    consumer.acknowledge(done[:220])
    consumer.acknowledge(done)
    assert consumer.stop(TIMEOUT_S)
    assert queued(broker) == kept


def test_no_more_than_the_prefetch_is_in_hand(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run
) -> None:
    broker.publish_job_paid(*range(30))
    consumer = Intake(settings_of(broker), mailbox, prefetch=10)
    run(consumer)
    seen: list[int] = []
    while len(seen) < 30:
        deliveries = collect(mailbox, 10)
        assert len(deliveries) == 10
        seen += job_ids(deliveries)
        consumer.acknowledge(deliveries)
    assert seen == list(range(30))


def test_a_lost_connection_brings_the_unacknowledged_again(
    broker: Broker, rabbitmq_server: RabbitServer, mailbox: Mailbox[Delivery], run: Run
) -> None:
    broker.publish_job_paid(1, 2, 3)
    consumer = Intake(settings_of(broker), mailbox, prefetch=2)
    run(consumer)
    before = collect(mailbox, 2)
    consumer.acknowledge(before[:1])
    # The third comes only after the broker has seen the acknowledgement.
    before += collect(mailbox, 1)
    rabbitmq_server.disconnect(broker)
    again = collect(mailbox, 2)
    assert job_ids(again) == [2, 3]
    assert all(delivery.redelivered for delivery in again)
    # Tags of the old connection mean something else on the new one.
    consumer.acknowledge(before)
    consumer.dead_letter(before[1], "of an earlier connection")
    assert consumer.stop(TIMEOUT_S)
    assert queued(broker) == [2, 3]
    assert broker.queue_depth("pms.dead-letter") == 0


def test_an_outage_brings_everything_again_in_order(
    broker: Broker, rabbitmq_server: RabbitServer, mailbox: Mailbox[Delivery], run: Run
) -> None:
    persistent = pika.BasicProperties(delivery_mode=2)
    with broker.channel() as channel:
        channel.confirm_delivery()
        for job_id in range(50):
            channel.basic_publish("JobPaid", "", b'{"JobId":%d}' % job_id, persistent)
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    assert job_ids(collect(mailbox, 50)) == list(range(50))
    rabbitmq_server.kill()
    wait_until(lambda: consumer.state != CONNECTED, TIMEOUT_S, "the loss to be noticed")
    rabbitmq_server.start()
    again = collect(mailbox, 50)
    assert job_ids(again) == list(range(50))
    consumer.acknowledge(again)
    assert consumer.stop(TIMEOUT_S)
    assert queued(broker) == []


def test_a_dead_letter_carries_the_reason(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run
) -> None:
    body = b"\xff not json"
    broker.publish_job_paid(body, 7)
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    bad, good = collect(mailbox, 2)
    consumer.dead_letter(bad, "not\nJSON " + "x" * 1000)
    consumer.dead_letter(bad, "twice")
    (letter,) = broker.wait_for_messages("pms.dead-letter", 1)
    assert letter.body == body
    assert letter.properties.delivery_mode == 2
    assert letter.properties.message_id
    headers = letter.properties.headers
    assert headers["x-pms-reason"] == ("not JSON " + "x" * 1000)[:500]
    assert headers["x-pms-failed-at"]
    assert headers["x-pms-queue"] == "JobPaid"
    assert headers["x-pms-exchange"] == "JobPaid"
    assert headers["x-pms-routing-key"] == ""
    assert consumer.stop(TIMEOUT_S)
    assert queued(broker) == job_ids([good])
    assert broker.queue_depth("pms.dead-letter") == 0


def test_a_dead_letter_waits_for_its_queue(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "DEAD_LETTER_RETRY_S", 0.01)
    broker.publish_job_paid(b"bad")
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    deliveries = collect(mailbox, 1)
    with broker.channel() as channel:
        channel.queue_delete("pms.dead-letter")
    consumer.dead_letter(deliveries[0], "bad")
    wait_until(lambda: broker.is_declared("pms.dead-letter"), TIMEOUT_S, "the queue")
    assert [item.body for item in broker.wait_for_messages("pms.dead-letter", 1)] == [b"bad"]
    assert consumer.stop(TIMEOUT_S)
    assert broker.messages("JobPaid") == []


def test_a_deleted_queue_is_declared_again(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run
) -> None:
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    wait_connected(consumer)
    with broker.channel() as channel:
        channel.queue_delete("JobPaid")
    wait_until(lambda: broker.is_declared("JobPaid"), TIMEOUT_S, "the queue")
    wait_connected(consumer)
    broker.publish_job_paid(4)
    assert job_ids(collect(mailbox, 1)) == [4]


def test_the_broker_is_absent_at_first(
    broker: Broker,
    rabbitmq_server: RabbitServer,
    mailbox: Mailbox[Delivery],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rabbitmq_server.stop()
    consumer = Intake(settings_of(broker), mailbox)
    run(consumer)
    wait_for_state(consumer, "refuses connections")
    rabbitmq_server.start()
    wait_connected(consumer)
    broker.publish_job_paid(5)
    assert job_ids(collect(mailbox, 1)) == [5]
    # One line each, whatever the number of tries.
    events = [record.message for record in caplog.records]
    assert [event for event in events if event.startswith("broker")] == [
        "broker_lost",
        "broker_connected",
    ]


def test_wrong_credentials_are_told_without_the_password(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    consumer = Intake(settings_of(broker, password="swordfish"), mailbox)
    run(consumer)
    wait_for_state(consumer, "refuses user 'openfarm': wrong name or password")
    wait_until(lambda: "broker_lost" in caplog.text, TIMEOUT_S, "the line in the log")
    told = [str(vars(record)) for record in caplog.records]
    assert "swordfish" not in caplog.text + consumer.state + "".join(told)


def test_a_difference_in_shape_is_told_once(
    empty_broker: Broker,
    rabbitmq_server: RabbitServer,
    mailbox: Mailbox[Delivery],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with empty_broker.channel() as channel:
        channel.queue_declare("DeleteFile", durable=False)
    consumer = Intake(settings_of(empty_broker), mailbox)
    relay = Relay(settings_of(empty_broker), Mailbox())
    run(consumer)
    run(relay)
    wait_connected(consumer, relay)
    empty_broker.publish_job_paid(1)
    collect(mailbox, 1)
    rabbitmq_server.disconnect(empty_broker)
    collect(mailbox, 1)
    assert [record.message for record in caplog.records].count("topology_differs") == 1


def test_a_hanging_broker_does_not_hold_up_the_end(
    broker: Broker,
    rabbitmq_server: RabbitServer,
    mailbox: Mailbox[Delivery],
    report: dict[str, str],
) -> None:
    broker.publish_job_paid(6)
    consumer = Intake(settings_of(broker), mailbox)
    consumer.start()
    collect(mailbox, 1)
    with rabbitmq_server.frozen():
        began = time.monotonic()
        assert not consumer.stop(0.2)
        took_s = time.monotonic() - began
        report["intake, to end within 0.2 s while RabbitMQ hangs"] = f"{took_s:.2f} s"
    assert consumer.stop(TIMEOUT_S)
    assert queued(broker) == [6]


def test_throughput(
    broker: Broker, mailbox: Mailbox[Delivery], run: Run, report: dict[str, str]
) -> None:
    count = 5000
    broker.publish_job_paid(*range(count))
    consumer = Intake(settings_of(broker), mailbox)
    began = time.monotonic()
    run(consumer)
    seen: list[int] = []
    while len(seen) < count:
        deliveries = collect(mailbox, 1)
        seen += job_ids(deliveries)
        consumer.acknowledge(deliveries)
    rate = count / (time.monotonic() - began)
    report["intake"] = f"{rate:.0f} messages a second, taken and acknowledged"
    assert seen == list(range(count))
    assert consumer.stop(TIMEOUT_S)
    assert broker.queue_depth("JobPaid") == 0


def test_one_that_never_began_can_be_stopped(broker: Broker, mailbox: Mailbox[Delivery]) -> None:
    assert Intake(settings_of(broker), mailbox).stop(TIMEOUT_S)
