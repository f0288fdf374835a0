"""The relay against a real RabbitMQ."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import pytest

from pms.broker.relay import (
    LogRelay,
    OutgoingMessage,
    Published,
    PublishFailed,
    Relay,
    RelayResult,
)
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

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUEUE = "EmailPrintStarted"


@pytest.fixture
def run() -> Iterator[Run]:
    with runner() as run:
        yield run


@pytest.fixture
def results() -> Mailbox[RelayResult]:
    return Mailbox()


def message(outbox_id: int, exchange: str = "PrintStarted") -> OutgoingMessage:
    return OutgoingMessage(
        outbox_id=outbox_id,
        exchange=exchange,
        body=b'{"JobId":%d}' % outbox_id,
        message_id=f"message-{outbox_id}",
        created_at=AT,
    )


def messages(outbox_ids: Iterable[int]) -> list[OutgoingMessage]:
    return [message(outbox_id) for outbox_id in outbox_ids]


def published(found: Sequence[RelayResult]) -> list[int]:
    return [number for item in found if isinstance(item, Published) for number in item.outbox_ids]


def failures(found: Sequence[RelayResult]) -> list[str]:
    return [item.reason for item in found if isinstance(item, PublishFailed)]


def collect_published(results: Mailbox[RelayResult], count: int) -> list[int]:
    found: list[RelayResult] = []

    def enough() -> bool:
        found.extend(results.drain())
        return len(published(found)) >= count

    wait_until(enough, TIMEOUT_S, f"{count} published messages")
    assert failures(found) == []
    return published(found)


def received(broker: Broker, queue: str = QUEUE) -> list[int]:
    return [item.body["JobId"] for item in broker.messages(queue)]


def test_a_message_has_the_properties_of_the_contract(
    broker: Broker, results: Mailbox[RelayResult], run: Run
) -> None:
    relay = Relay(settings_of(broker), results)
    run(relay)
    relay.publish([message(7)])
    assert collect_published(results, 1) == [7]
    for queue in ("PrintStarted", "EmailPrintStarted"):
        (found,) = broker.messages(queue)
        assert found.body == {"JobId": 7}
        assert found.properties.content_type == "application/json"
        assert found.properties.delivery_mode == 2
        assert found.properties.message_id == "message-7"
        assert found.properties.timestamp == int(AT.timestamp())
        assert found.properties.type == "PrintStarted"
        assert found.properties.app_id == "pms"


def test_batches_are_published_in_order(
    broker: Broker, results: Mailbox[RelayResult], run: Run
) -> None:
    relay = Relay(settings_of(broker), results)
    run(relay)
    relay.publish([])
    for first in range(1, 1001, 50):
        relay.publish(messages(range(first, first + 50)))
    assert collect_published(results, 1000) == list(range(1, 1001))
    assert received(broker) == list(range(1, 1001))


@pytest.mark.parametrize("loss", ["queues", "exchange"])
def test_an_unroutable_message_is_kept_and_goes_out_later(
    broker: Broker, results: Mailbox[RelayResult], run: Run, loss: str
) -> None:
    relay = Relay(settings_of(broker), results)
    run(relay)
    wait_connected(relay)
    with broker.channel() as channel:
        if loss == "exchange":
            channel.exchange_delete("PrintStarted")
        else:
            channel.queue_delete("PrintStarted")
            channel.queue_delete("EmailPrintStarted")
    relay.publish([message(1, "PrintFinished"), *messages([2, 3])])
    found = collect(results, 2)
    assert published(found) == [1]
    (reason,) = failures(found)
    assert "PrintStarted" in reason
    relay.publish(messages([2, 3]))
    assert collect_published(results, 2) == [2, 3]
    assert received(broker) == [2, 3]
    assert received(broker, "DiscordPrintFinished") == [1]


def test_nothing_overtakes_a_message_that_failed(
    broker: Broker, rabbitmq_server: RabbitServer, results: Mailbox[RelayResult], run: Run
) -> None:
    rabbitmq_server.stop()
    relay = Relay(settings_of(broker), results)
    relay.publish(messages([1, 2]))
    run(relay)
    assert "refuses connections" in failures(collect(results, 1))[0]
    # Whoever publishes these does not know yet that the first ones failed.
    relay.publish(messages([3, 4]))
    relay.publish(messages([5]))
    assert failures(collect(results, 2)) == ["an earlier message has to go out first"] * 2
    rabbitmq_server.start()
    wait_connected(relay)
    relay.publish(messages([1, 2, 3, 4]))
    relay.publish(messages([5, 6]))
    assert collect_published(results, 6) == [1, 2, 3, 4, 5, 6]
    assert received(broker) == [1, 2, 3, 4, 5, 6]


def test_an_outage_loses_nothing_and_keeps_the_order(
    broker: Broker,
    rabbitmq_server: RabbitServer,
    results: Mailbox[RelayResult],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The test is the owner: it offers again what was not reported as published."""
    caplog.set_level(logging.INFO)
    relay = Relay(settings_of(broker), results)
    run(relay)
    wait_connected(relay)
    outbox = list(range(1, 3001))
    relay.publish(messages(outbox))
    found = collect(results, 1)
    rabbitmq_server.kill()
    rabbitmq_server.start()

    def all_published() -> bool:
        nonlocal outbox
        found.extend(results.drain())
        done = set(published(found))
        outbox = [number for number in outbox if number not in done]
        if failures(found):
            relay.publish(messages(outbox))
        found.clear()
        return not outbox

    wait_until(all_published, TIMEOUT_S, "everything to be published")
    arrived = received(broker)
    assert list(dict.fromkeys(arrived)) == list(range(1, 3001))
    # One whose confirmation was lost comes twice.
    assert len(arrived) <= 3001
    events = [record.message for record in caplog.records if record.message.startswith("broker")]
    assert events == ["broker_connected", "broker_lost", "broker_connected"]


def test_the_broker_is_absent_at_first(
    broker: Broker, rabbitmq_server: RabbitServer, results: Mailbox[RelayResult], run: Run
) -> None:
    rabbitmq_server.stop()
    relay = Relay(settings_of(broker), results)
    run(relay)
    wait_for_state(relay, "refuses connections")
    rabbitmq_server.start()
    wait_connected(relay)
    relay.publish(messages([1]))
    assert collect_published(results, 1) == [1]


def test_what_is_queued_goes_out_before_the_end(
    broker: Broker, results: Mailbox[RelayResult], run: Run
) -> None:
    relay = Relay(settings_of(broker), results)
    run(relay)
    wait_connected(relay)
    relay.publish(messages(range(1, 501)))
    assert relay.stop(TIMEOUT_S)
    assert collect_published(results, 500) == list(range(1, 501))
    assert relay.state == "stopped"


def test_a_hanging_broker_does_not_hold_up_the_end(
    broker: Broker,
    rabbitmq_server: RabbitServer,
    results: Mailbox[RelayResult],
    report: dict[str, str],
) -> None:
    relay = Relay(settings_of(broker), results)
    relay.start()
    wait_connected(relay)
    with rabbitmq_server.frozen():
        relay.publish(messages([1]))
        began = time.monotonic()
        assert not relay.stop(0.2)
        took_s = time.monotonic() - began
        report["relay, to end within 0.2 s while RabbitMQ hangs"] = f"{took_s:.2f} s"
    assert relay.stop(TIMEOUT_S)


def test_throughput(
    broker: Broker, results: Mailbox[RelayResult], run: Run, report: dict[str, str]
) -> None:
    relay = Relay(settings_of(broker), results)
    run(relay)
    wait_connected(relay)
    began = time.monotonic()
    relay.publish(messages(range(1, 3001)))
    collect_published(results, 3000)
    rate = 3000 / (time.monotonic() - began)
    report["relay"] = f"{rate:.0f} confirmed messages a second"


def test_without_a_broker_messages_go_to_the_log(
    results: Mailbox[RelayResult], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    relay = LogRelay(results)
    relay.start()
    relay.publish([])
    relay.publish([message(1), message(2, "PrintCleared")])
    assert results.drain() == [Published((1, 2))]
    assert [record.message for record in caplog.records] == ["notification"] * 2
    assert vars(caplog.records[1])["fields"] == {
        "exchange": "PrintCleared",
        "message_id": "message-2",
        "body": '{"JobId":2}',
    }
    assert "embedded" in relay.state
    assert relay.stop(1.0)
