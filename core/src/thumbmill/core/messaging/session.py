"""One connection of a consumer to RabbitMQ: fetches messages, submits them to the workers, and acknowledges.

All but ``acknowledge_threadsafe`` runs in the thread that owns the connection, since pika's channels are not
thread-safe.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Protocol

import structlog
from pika import BasicProperties, BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import EXCHANGES, QueueGroup
from thumbmill.core.messaging.workers import Delivery, Workers, credentials_of

log = structlog.get_logger()

LOOP_SECONDS = 0.3  # the loop runs at least this often, and so notices that it must stop
STUCK_SECONDS = 30  # a loop that has not run for this long is reported by /livez
DECLARE_SECONDS = 15  # how often the topology is declared, which restores a deleted queue or binding


@dataclass
class ConsumerHealth:
    """The health checks of a consumer; its state is kept from one session to the next."""

    workers: Workers
    problem: str = "not connected yet"  # why nothing is consumed; empty while consuming
    last_loop: float = field(default_factory=time.monotonic)  # when a session's loop ran last

    def liveness(self) -> str:
        """Return what is wrong if the loop is stuck, else an empty text."""
        idle = time.monotonic() - self.last_loop
        return f"the consumer's loop has not run for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def readiness(self) -> str:
        """Return why no messages are consumed, or an empty text."""
        return self.problem or ", ".join(f"waits for {name}" for name in sorted(self.workers.unavailable))

    def unavailable(self) -> dict[str, str]:
        """Return the dependencies that keep the consumer from consuming, each with the reason."""
        return {"rabbitmq": self.problem} if self.problem else self.workers.unavailable


class SessionSettings(Protocol):
    """The settings of a session; ``Consumer`` describes each."""

    queue_group: QueueGroup
    prefetch: int
    grace_seconds: float

    @property
    def batch_delay(self) -> Callable[[Sequence[Message]], float]: ...


@contextmanager
def open_session(
    connection: BlockingConnection, settings: SessionSettings, health: ConsumerHealth, stopping: Event
) -> Iterator["Session"]:
    """Declare the topology and yield a session; close the connection after the block.

    Raise DependencyRejected if RabbitMQ refuses a permission, or has the topology declared differently.
    """
    try:
        channel = connection.channel()
        declare(channel, settings.queue_group)
        channel.basic_qos(prefetch_count=settings.prefetch)
        yield Session(connection, channel, settings, health, stopping)
    except ChannelClosedByBroker as error:
        if error.reply_code in {403, 406}:  # access refused, precondition failed: a retry would fail as well
            raise DependencyRejected("rabbitmq", error.reply_text) from error
        raise
    finally:
        health.workers.drain_pending()
        if connection.is_open:
            with suppress(AMQPError, OSError):  # an error here would hide the first one
                connection.close()


@dataclass
class Session:
    """A connection with its channel, from the first message to the last acknowledgement."""

    connection: BlockingConnection
    channel: BlockingChannel
    settings: SessionSettings
    health: ConsumerHealth
    stopping: Event

    def __post_init__(self) -> None:
        self.workers = self.health.workers
        self._arrived: list[Delivery] = []  # and not submitted yet
        self._arrived_at = 0.0  # the first of them
        self._due = 0.0  # when they are submitted
        self._credentials = credentials_of(self.workers.broker)

    def run(self) -> None:
        """Consume until the consumer stops. Raise AMQPError, OSError or DependencyUnavailable if that fails."""
        queue, consumer_tag, declared = self.settings.queue_group.work.name, "", time.monotonic()
        while not self.stopping.is_set():
            self.health.last_loop = time.monotonic()
            if time.monotonic() - declared > DECLARE_SECONDS:
                self._declare_again()
                declared = time.monotonic()
            unavailable = self.workers.unavailable
            if unavailable and consumer_tag:
                self._cancel(consumer_tag)
                consumer_tag = ""
            elif not unavailable and not consumer_tag:
                consumer_tag = self.channel.basic_consume(queue, self._receive)
                self.health.problem = ""
                log.info("consuming", queue=queue)
            self._dispatch()
            if consumer_tag and consumer_tag not in self.channel.consumer_tags:  # its queue was deleted
                raise DependencyUnavailable("rabbitmq", "the broker cancelled the consumer")
        if consumer_tag:
            self._cancel(consumer_tag)
        self._finish()

    def acknowledge_threadsafe(self, deliveries: Sequence[Delivery], *, ack: bool) -> None:
        """Acknowledge or requeue deliveries soon, from any thread; RabbitMQ requeues those of a lost connection."""
        if not deliveries:
            return
        try:
            self.connection.add_callback_threadsafe(partial(self._acknowledge, deliveries, ack=ack))
        except AMQPError:
            log.debug("acknowledgement_after_connection", count=len(deliveries))

    def _finish(self) -> None:
        """Wait until running handlers have finished, at most ``grace_seconds``, and acknowledge their messages."""
        self.health.problem = "stopping"
        deadline = time.monotonic() + self.settings.grace_seconds
        while self.workers.is_busy and time.monotonic() < deadline:
            self.health.last_loop = time.monotonic()
            self.connection.process_data_events(0.05)
        self.connection.process_data_events(0)  # the last acknowledgements

    def _declare_again(self) -> None:
        """Restore deleted queues and bindings; RabbitMQ does not notify a consumer that a binding was deleted."""
        channel = self.connection.channel()  # a separate one, since a refusal closes it
        declare(channel, self.settings.queue_group)
        channel.close()

    def _dispatch(self) -> None:
        """Receive messages, and submit all that have arrived once ``batch_delay`` lets them go."""
        seen = len(self._arrived)
        wait = min(LOOP_SECONDS, self._due - time.monotonic()) if self._arrived else LOOP_SECONDS
        self.connection.process_data_events(max(0.0, wait))
        gathered = 0
        while self.workers.batch > 1 and gathered < len(self._arrived):
            gathered = len(self._arrived)
            self.connection.process_data_events(0)
        if len(self._arrived) > seen:
            self._due = self._arrived_at + self.settings.batch_delay([item.message for item in self._arrived])
        if self._arrived and time.monotonic() >= self._due:
            for delivery in self._arrived:
                self.workers.submit(delivery)
            self._arrived.clear()

    def _receive(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        message = Message.read(
            body,
            method.routing_key or "",
            properties.content_type or "",
            dict(properties.headers or {}),
            exchange=method.exchange or "",
            user_id=properties.user_id or "",
            reader=self._credentials,
        )
        if not self._arrived:
            self._arrived_at = time.monotonic()
        self._arrived.append(Delivery(message, channel, method.delivery_tag or 0))

    def _cancel(self, consumer_tag: str) -> None:
        """Stop consuming, and requeue what no worker has begun."""
        self.channel.basic_cancel(consumer_tag)
        self._acknowledge([*self.workers.drain_pending(), *self._arrived], ack=False)
        self._arrived.clear()

    def _acknowledge(self, deliveries: Sequence[Delivery], *, ack: bool) -> None:
        # A single worker has acknowledged all earlier deliveries, so one acknowledgement covers a batch.
        multiple = ack and self.workers.count == 1
        for delivery in deliveries[-1:] if multiple else deliveries:
            if delivery.channel is not self.channel or not self.channel.is_open:
                return  # RabbitMQ requeued the messages when their channel closed
            if ack:
                self.channel.basic_ack(delivery.tag, multiple=multiple)
            else:
                self.channel.basic_nack(delivery.tag, requeue=True)


def declare(channel: BlockingChannel, queue_group: QueueGroup) -> None:
    """Declare the exchanges, and a consumer's queues with their bindings."""
    for exchange in EXCHANGES:
        channel.exchange_declare(exchange.name, exchange.type, durable=True)
    for queue in queue_group.queues:
        channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
        for binding in queue.bindings:
            channel.queue_bind(queue.name, binding.exchange, binding.key)
