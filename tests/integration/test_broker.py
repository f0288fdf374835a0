"""Connection, topology and dead letters against a real RabbitMQ."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pika
import pytest

from pms.broker import dead_letters, topology
from pms.broker.connection import connect
from pms.broker.intake import Delivery, Intake
from pms.errors import BrokerUnavailableError, NotFoundError, RefusedError
from pms.mailbox import Mailbox
from tests.support.broker import TOPOLOGY, Broker
from tests.support.links import TIMEOUT_S, collect, settings_of
from tests.support.ports import HOST, free_port

ALL_QUEUES = sorted({queue for queues in TOPOLOGY.values() for queue in queues})


def ensure(broker: Broker) -> topology.Findings:
    with connect(settings_of(broker), "test") as connection:
        return topology.ensure(connection)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"password": "swordfish"}, "refuses user 'openfarm': wrong name or password"),
        ({"virtual_host": "nowhere"}, "has no virtual host 'nowhere' for user 'openfarm'"),
        ({"host": "broker.invalid"}, "the host name 'broker.invalid' is not known"),
        ({"port": 1}, "RabbitMQ at 127.0.0.1:1 refuses connections: not running"),
        ({"tls": True}, "agree on no encryption"),
    ],
)
def test_a_failed_connection_is_put_in_words(
    broker: Broker, others: dict[str, Any], words: str
) -> None:
    with pytest.raises(BrokerUnavailableError, match=words) as failed:
        connect(settings_of(broker, **others), "test")
    assert "swordfish" not in str(failed.value)
    assert "\n" not in str(failed.value)


def _hang_up_on_one(server: socket.socket) -> None:
    server.accept()[0].close()


def test_another_kind_of_server_is_put_in_words() -> None:
    port = free_port()
    stranger = Broker(host=HOST, port=port, virtual_host="/", user="u", password="p")
    with socket.create_server((HOST, port)) as server:
        threading.Thread(target=_hang_up_on_one, args=(server,), daemon=True).start()
        with pytest.raises(BrokerUnavailableError, match="greet as RabbitMQ does"):
            connect(settings_of(stranger), "test")


def test_an_empty_broker_gets_everything_in_openfarms_shape(empty_broker: Broker) -> None:
    assert len(ensure(empty_broker).declared) == len(TOPOLOGY) + len(ALL_QUEUES) + 1
    with empty_broker.channel() as channel:
        channel.confirm_delivery()
        for exchange in TOPOLOGY:
            channel.basic_publish(exchange, "", exchange.encode(), mandatory=True)
    for queue in ALL_QUEUES:
        bodies = [message.body for message in empty_broker.messages(queue)]
        assert bodies == [exchange.encode() for exchange in TOPOLOGY if queue in TOPOLOGY[exchange]]
    # Declaring would be refused if a shape differed.
    empty_broker.declare_openfarm_topology()
    with empty_broker.channel() as channel:
        channel.queue_declare("pms.dead-letter", durable=True)


def test_what_exists_is_kept(broker: Broker) -> None:
    broker.publish_job_paid(1, 2)
    assert ensure(broker) == topology.Findings(declared=("queue pms.dead-letter",))
    assert ensure(broker) == topology.Findings()
    assert broker.queue_depth("JobPaid") == 2


def test_what_has_another_shape_is_left_alone(empty_broker: Broker) -> None:
    def declare_oddities() -> None:
        with empty_broker.channel() as channel:
            arguments = {"x-message-ttl": 60_000}
            channel.queue_declare("EmailPrintStarted", durable=True, arguments=arguments)
            channel.exchange_declare("PrintCleared", "fanout", durable=True)

    declare_oddities()
    findings = ensure(empty_broker)
    assert len(findings.declared) == len(TOPOLOGY) + len(ALL_QUEUES) + 1 - 2
    exchange, queue = findings.different
    assert exchange.startswith("exchange PrintCleared: PRECONDITION_FAILED")
    assert queue.startswith("queue EmailPrintStarted: PRECONDITION_FAILED")
    declare_oddities()


@pytest.fixture
def letters(broker: Broker) -> Broker:
    """A broker with three dead letters."""
    broker.publish_job_paid(b"first", b"second", b"third")
    mailbox: Mailbox[Delivery] = Mailbox()
    intake = Intake(settings_of(broker), mailbox)
    intake.start()
    for delivery in collect(mailbox, 3):
        intake.dead_letter(delivery, f"no good:\n {delivery.body.decode()}")
    assert intake.stop(TIMEOUT_S)
    assert broker.queue_depth("JobPaid") == 0
    return broker


def test_dead_letters_are_listed_and_stay(letters: Broker) -> None:
    settings = settings_of(letters)
    listed = dead_letters.list_all(settings)
    assert [letter.body for letter in listed] == [b"first", b"second", b"third"]
    assert listed[0].reason == "no good: first"
    assert listed[0].failed_at.endswith("+00:00")
    assert (listed[0].queue, listed[0].exchange, listed[0].routing_key) == (
        "JobPaid",
        "JobPaid",
        "",
    )
    assert dead_letters.show(settings, listed[1].id) == listed[1]
    assert dead_letters.list_all(settings) == listed


def test_dead_letters_go_back_to_the_queue_that_they_came_from(letters: Broker) -> None:
    settings = settings_of(letters)
    letters.messages("EmailJobPaid")
    first, second, third = dead_letters.list_all(settings)
    assert dead_letters.requeue(settings, [second.id]) == 1
    assert dead_letters.list_all(settings) == [first, third]
    assert dead_letters.requeue(settings) == 2
    assert dead_letters.list_all(settings) == []
    bodies = [message.body for message in letters.messages("JobPaid")]
    assert bodies == [b"second", b"first", b"third"]
    assert letters.messages("EmailJobPaid") == []


def test_dead_letters_are_dropped(letters: Broker) -> None:
    settings = settings_of(letters)
    first, second, third = dead_letters.list_all(settings)
    assert dead_letters.drop(settings, [first.id, third.id]) == 2
    assert dead_letters.list_all(settings) == [second]
    assert dead_letters.drop(settings) == 1
    assert dead_letters.drop(settings) == 0


def test_an_unknown_dead_letter_changes_nothing(letters: Broker) -> None:
    settings = settings_of(letters)
    known = dead_letters.list_all(settings)[0].id
    for settle in (dead_letters.requeue, dead_letters.drop):
        with pytest.raises(NotFoundError, match="there is no dead letter nope"):
            settle(settings, [known, "nope"])
    with pytest.raises(NotFoundError):
        dead_letters.show(settings, "nope")
    assert len(dead_letters.list_all(settings)) == 3


def test_a_letter_whose_queue_is_gone_stays(broker: Broker) -> None:
    settings = settings_of(broker)
    ensure(broker)
    with broker.channel() as channel:
        properties = pika.BasicProperties(headers={"x-pms-queue": "Gone"})
        channel.basic_publish("", "pms.dead-letter", b"stray", properties)
    with pytest.raises(RefusedError, match="the queue Gone does not take"):
        dead_letters.requeue(settings)
    assert [letter.body for letter in dead_letters.list_all(settings)] == [b"stray"]
