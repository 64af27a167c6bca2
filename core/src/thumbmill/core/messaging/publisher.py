"""Publishing: confirmed and mandatory, so that a publish that returns is a message in a queue."""

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

HEARTBEAT_SECONDS = 15  # a vanished peer is noticed within two
BLOCKED_SECONDS = 30  # how long a memory or disk alarm may hold a publish
CONNECT_SECONDS = 5
_ACCESS_REFUSED = 403  # AMQP's reply code
_REFUSED = re.compile(r"ConnectionClosedByBroker: \((403|530)\)")  # access-refused, not-allowed, as pika words it


def connect(broker: BrokerSettings, name: str) -> pika.BlockingConnection:
    """Open a connection that shows as ``name`` in the management UI. Raises DependencyAway, Refused."""
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
    except (ProbableAuthenticationError, ProbableAccessDeniedError) as fault:
        raise _read_refusal(fault, broker) from fault
    except AMQPConnectorException as fault:  # no AMQPError: a handshake that took longer than it may
        raise DependencyUnavailable("rabbitmq", "it takes connections and does not answer") from fault
    except (AMQPError, OSError) as fault:
        raise DependencyUnavailable("rabbitmq", error_message(fault)) from fault


def _read_refusal(fault: AMQPError, broker: BrokerSettings) -> DependencyUnavailable:
    """Tell a broker that refuses us from one that goes away: pika takes any end at these places for a refusal."""
    said = str(fault)
    if not _REFUSED.search(said) or "limit" in said:  # of connections
        return DependencyUnavailable("rabbitmq", said)
    if isinstance(fault, ProbableAuthenticationError):
        return DependencyRejected("rabbitmq", "check RABBITMQ_USER and RABBITMQ_PASSWORD")
    return DependencyRejected("rabbitmq", f"check RABBITMQ_VHOST and the permissions of {broker.rabbitmq_user}")


class Publisher:
    """A connection of its own, for one thread; it is opened when needed and again when it was lost."""

    def __init__(self, broker: BrokerSettings, name: str) -> None:
        self._broker = broker
        self._name = name
        self._channel: BlockingChannel | None = None
        self._casual: BlockingChannel | None = None  # without confirms

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish_event(self, event: CloudEvent) -> None:
        """Publish a lifecycle event. Raises DependencyAway."""
        self.publish(
            LIFECYCLE, event.type.value, event.to_json(), content_type=CONTENT_TYPE, message_id=str(event.id)
        )

    def publish_unconfirmed(self, event: CloudEvent) -> None:
        """Publish a lifecycle event without waiting for a confirm, which saves a round trip and two flushes.

        For news that the next event outdates: nothing is missed if it is lost. Raises DependencyAway.
        """
        key, body, properties = event.type.value, event.to_json(), self._properties(CONTENT_TYPE, str(event.id))
        self._try_twice(lambda _: self._open_casual().basic_publish(LIFECYCLE, key, body, properties))

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
        """Return once the broker has the message in a queue, on disk.

        A connection that died while idle is normal, so there is a second try. Raises DependencyAway when that
        fails too, or when no queue takes the message: then the topology is missing, which its owner mends.
        """
        properties = self._properties(content_type, message_id, headers)
        try:
            self._try_twice(lambda channel: channel.basic_publish(exchange, key, body, properties, mandatory=True))
        except (UnroutableError, NackError) as fault:
            raise DependencyUnavailable("rabbitmq", f"{exchange} took no message for {key!r}") from fault

    def message_count(self, queue: str) -> int:
        """Count the messages that wait in a queue, those in a consumer's hands not among them.

        Raises DependencyAway, also when there is no such queue.
        """
        declared = self._try_twice(lambda channel: channel.queue_declare(queue, passive=True))
        return int(declared.method.message_count)

    def _try_twice(self, action: Callable[[BlockingChannel], T]) -> T:
        for last_try in (False, True):
            try:
                return action(self._open())
            except (UnroutableError, NackError):
                raise
            except (AMQPError, OSError) as fault:
                self.close()
                if isinstance(fault, ChannelClosedByBroker) and fault.reply_code == _ACCESS_REFUSED:
                    advice = f"check the permissions of {self._broker.rabbitmq_user}"
                    raise DependencyRejected("rabbitmq", f"{fault.reply_text}: {advice}") from fault
                if last_try:
                    raise DependencyUnavailable("rabbitmq", error_message(fault)) from fault
        raise AssertionError("the last try returns or raises")

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; to be called every few seconds while there is nothing to publish."""
        if self._channel is None:
            return
        try:
            self._channel.connection.process_data_events(0)
        except (AMQPError, OSError):
            self.close()

    def close(self) -> None:
        """Close the connection, if there is one; the next publish opens another."""
        channel, self._channel, self._casual = self._channel, None, None
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

    def _open_casual(self) -> BlockingChannel:
        if self._casual is None or not self._casual.is_open:
            self._casual = self._open().connection.channel()
        return self._casual

    def _properties(
        self, content_type: str, message_id: str | None, headers: dict[str, Any] | None = None
    ) -> pika.BasicProperties:
        return pika.BasicProperties(
            content_type=content_type,
            delivery_mode=pika.DeliveryMode.Persistent,
            headers=headers,
            message_id=message_id,
            user_id=self._broker.rabbitmq_user,  # which the broker checks: by it a consumer knows who speaks
        )
