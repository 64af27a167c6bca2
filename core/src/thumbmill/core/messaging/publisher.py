"""Publishing with publisher confirms and the mandatory flag: after a return the message is in a queue."""

import re
from collections.abc import Callable
from typing import Any, Self, TypeVar

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, CloudEvent
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, error_message
from thumbmill.core.messaging.topology import LIFECYCLE
from thumbmill.core.settings import BrokerSettings

log = structlog.get_logger()

T = TypeVar("T")

HEARTBEAT_SECONDS = 15  # a lost peer is detected within two
BLOCKED_SECONDS = 30  # how long a memory or disk alarm may hold a publish
CONNECT_SECONDS = 5
_ACCESS_REFUSED = 403  # AMQP's reply code
_REJECTED = re.compile(r"ConnectionClosedByBroker: \((403|530)\)")  # access-refused, not-allowed, in pika's words


def connect(broker: BrokerSettings, name: str) -> pika.BlockingConnection:
    """Open a connection, called ``name`` in the management UI. Raise DependencyUnavailable, DependencyRejected."""
    parameters = pika.ConnectionParameters(
        host=broker.rabbitmq_host,
        port=broker.rabbitmq_port,
        virtual_host=broker.rabbitmq_vhost,
        credentials=pika.PlainCredentials(broker.rabbitmq_user, broker.rabbitmq_password.get_secret_value()),
        heartbeat=HEARTBEAT_SECONDS,
        blocked_connection_timeout=BLOCKED_SECONDS,
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=2 * CONNECT_SECONDS,
        client_properties={"connection_name": name},
    )
    try:
        return pika.BlockingConnection(parameters)
    except (ProbableAuthenticationError, ProbableAccessDeniedError) as error:
        raise _connection_error(error, broker) from error
    except AMQPConnectorException as error:  # not an AMQPError: the handshake timed out
        raise DependencyUnavailable("rabbitmq", "it accepts connections and does not respond") from error
    except (AMQPError, OSError) as error:
        raise DependencyUnavailable("rabbitmq", error_message(error)) from error


def _connection_error(error: AMQPError, broker: BrokerSettings) -> DependencyUnavailable:
    """Return our error for a failed login. pika also raises these if RabbitMQ closes the connection."""
    message = str(error)
    if not _REJECTED.search(message) or "limit" in message:  # a connection limit is temporary
        return DependencyUnavailable("rabbitmq", message)
    if isinstance(error, ProbableAuthenticationError):
        return DependencyRejected("rabbitmq", "check RABBITMQ_USER and RABBITMQ_PASSWORD")
    return DependencyRejected("rabbitmq", f"check RABBITMQ_VHOST and the permissions of {broker.rabbitmq_user}")


class Publisher:
    """A connection for one thread, opened when needed and reopened after a loss."""

    def __init__(self, broker: BrokerSettings, name: str) -> None:
        self._broker = broker
        self._name = name
        self._channel: BlockingChannel | None = None
        self._unconfirmed_channel: BlockingChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish_event(self, event: CloudEvent) -> None:
        """Publish a lifecycle event. Raise DependencyUnavailable."""
        self.publish(
            LIFECYCLE, event.type.value, event.to_json(), content_type=CONTENT_TYPE, message_id=str(event.id)
        )

    def publish_unconfirmed(self, event: CloudEvent) -> None:
        """Publish a lifecycle event without a confirm, which saves a round trip and two flushes.

        For progress that the next event replaces: a lost one does no harm. Raise DependencyUnavailable.
        """
        key, body, properties = event.type.value, event.to_json(), self._properties(CONTENT_TYPE, str(event.id))
        self._with_reconnect(lambda _: self._open_unconfirmed().basic_publish(LIFECYCLE, key, body, properties))

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        headers: dict[str, Any] | None = None,
        content_type: str = "application/json",
        message_id: str | None = None,
    ) -> None:
        """Publish a message, and return once RabbitMQ has stored it in a queue, on disk.

        An idle connection may have been closed, so a failure is tried again once. Raise DependencyUnavailable if
        that fails, or if no queue is bound: then the topology is missing, and its consumer declares it again.
        """
        properties = self._properties(content_type, message_id, headers)
        try:
            self._with_reconnect(
                lambda channel: channel.basic_publish(exchange, key, body, properties, mandatory=True)
            )
        except (UnroutableError, NackError) as error:
            raise DependencyUnavailable(
                "rabbitmq", f"no queue of {exchange} accepted a message for {key!r}"
            ) from error

    def message_count(self, queue: str) -> int:
        """Return the number of ready messages in a queue, without unacknowledged ones.

        Raise DependencyUnavailable, for instance if the queue does not exist.
        """
        declared = self._with_reconnect(lambda channel: channel.queue_declare(queue, passive=True))
        return int(declared.method.message_count)

    def _with_reconnect(self, action: Callable[[BlockingChannel], T]) -> T:
        for is_last in (False, True):
            try:
                return action(self._open())
            except (UnroutableError, NackError):
                raise
            except (AMQPError, OSError) as error:
                self.close()
                if isinstance(error, ChannelClosedByBroker) and error.reply_code == _ACCESS_REFUSED:
                    advice = f"check the permissions of {self._broker.rabbitmq_user}"
                    raise DependencyRejected("rabbitmq", f"{error.reply_text}: {advice}") from error
                if is_last:
                    raise DependencyUnavailable("rabbitmq", error_message(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def keep_alive(self) -> None:
        """Respond to RabbitMQ's heartbeats; call this every few seconds while there is nothing to publish."""
        if self._channel is None:
            return
        try:
            self._channel.connection.process_data_events(0)
        except (AMQPError, OSError):
            self.close()

    def close(self) -> None:
        """Close the connection; the next publish opens another."""
        channel, self._channel, self._unconfirmed_channel = self._channel, None, None
        if channel is None:
            return
        try:
            channel.connection.close()
        except (AMQPError, OSError):
            log.debug("publisher_close_failed", exc_info=True)

    def _open(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            channel = connect(self._broker, self._name).channel()
            channel.confirm_delivery()
            self._channel = channel
        return self._channel

    def _open_unconfirmed(self) -> BlockingChannel:
        if self._unconfirmed_channel is None or not self._unconfirmed_channel.is_open:
            self._unconfirmed_channel = self._open().connection.channel()
        return self._unconfirmed_channel

    def _properties(
        self, content_type: str, message_id: str | None, headers: dict[str, Any] | None = None
    ) -> pika.BasicProperties:
        return pika.BasicProperties(
            content_type=content_type,
            delivery_mode=pika.DeliveryMode.Persistent,
            headers=headers,
            message_id=message_id,
            user_id=self._broker.rabbitmq_user,  # verified by RabbitMQ: consumers know the sender by it
        )
