"""How PMS connects to RabbitMQ, and what pika's errors mean in words."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ECONNRESET

import pika
from pika.adapters.utils.connection_workflow import (
    AMQPConnectorException,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import (
    AMQPError,
    AMQPHeartbeatTimeout,
    AuthenticationError,
    ChannelClosed,
    ConnectionBlockedTimeout,
    ConnectionClosed,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

import pms
from pms.config import BrokerSettings
from pms.errors import BrokerUnavailableError

#: A broker that is silent for about twice as long counts as lost.
HEARTBEAT_S = 10

#: For the TCP connection alone, and for all of the handshake.
CONNECT_TIMEOUT_S = 5.0
HANDSHAKE_TIMEOUT_S = 8.0

#: How long a broker with a memory or disk alarm may hold up a publisher.
BLOCKED_TIMEOUT_S = 30.0

# pika logs each failed try several times, with a stack; PMS says it once, in words.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def connect(settings: BrokerSettings, purpose: str) -> pika.BlockingConnection:
    """Open a connection that the broker lists as "pms <purpose>".

    Raises BrokerUnavailableError.
    """
    with translated(settings):
        try:
            return pika.BlockingConnection(_parameters(settings, purpose))
        except ValueError as error:
            # What pika makes of a connection that is reset the moment it is there.
            raise ConnectionResetError(ECONNRESET, "Connection reset by peer") from error


@contextmanager
def translated(settings: BrokerSettings) -> Iterator[None]:
    """Turn what pika raises inside into a BrokerUnavailableError that says it in words."""
    try:
        yield
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise BrokerUnavailableError(_in_words(error, settings)) from error


def _parameters(settings: BrokerSettings, purpose: str) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=settings.host,
        port=settings.port,
        virtual_host=settings.virtual_host,
        credentials=pika.PlainCredentials(settings.user, settings.password),
        ssl_options=_ssl_options(settings),
        heartbeat=HEARTBEAT_S,
        socket_timeout=CONNECT_TIMEOUT_S,
        stack_timeout=HANDSHAKE_TIMEOUT_S,
        blocked_connection_timeout=BLOCKED_TIMEOUT_S,
        client_properties={
            "connection_name": f"pms {purpose}",
            "product": "PMS",
            "version": pms.__version__,
        },
    )


def _ssl_options(settings: BrokerSettings) -> pika.SSLOptions | None:
    if not settings.tls:
        return None
    return pika.SSLOptions(ssl.create_default_context(), settings.host)


def _in_words(error: BaseException, settings: BrokerSettings) -> str:
    where = f"RabbitMQ at {settings.host}:{settings.port}"
    cause = _root(error)
    text = " ".join(str(cause).split())
    match cause:
        case ProbableAuthenticationError() | AuthenticationError():
            return (
                f"{where} refuses user {settings.user!r}: wrong name or password"
                " (RABBITMQ_USER, RABBITMQ_PASSWORD)"
            )
        case ProbableAccessDeniedError():
            return (
                f"{where} has no virtual host {settings.virtual_host!r} for user"
                f" {settings.user!r} (RABBITMQ_VHOST)"
            )
        case socket.gaierror():
            return f"the host name {settings.host!r} is not known (RABBITMQ_HOST)"
        case ConnectionRefusedError():
            return f"{where} refuses connections: not running, or another port (RABBITMQ_PORT)"
        case ssl.SSLError():
            return f"{where} and PMS agree on no encryption (RABBITMQ_TLS): {text}"
        case IncompatibleProtocolError():
            return (
                f"{where} does not greet as RabbitMQ does: still starting, or something else"
                " (RABBITMQ_PORT, RABBITMQ_TLS)"
            )
        case ConnectionBlockedTimeout():
            return f"{where} takes no messages: it has a memory or disk alarm"
        case ConnectionClosed():
            return f"{where} closed the connection: {cause.reply_text}"
        case ChannelClosed():
            return f"{where} refused: {cause.reply_text}"
        case AMQPHeartbeatTimeout() | AMQPConnectorStackTimeout() | TimeoutError():
            return f"{where} does not answer"
        case StreamLostError() | ConnectionError():
            return f"the connection to {where} was lost"
        case _:
            return f"{where}: {type(cause).__name__} {text}".rstrip()


def _root(error: BaseException) -> BaseException:
    """The innermost of the errors that pika has packed into each other."""
    parts = (getattr(error, "exception", None), *error.args)
    inner = next((part for part in parts if isinstance(part, BaseException)), None)
    return _root(inner) if inner else error
