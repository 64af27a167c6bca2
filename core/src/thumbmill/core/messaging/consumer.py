"""Consuming: one thread owns the connection and the channel; ``workers`` handle, ``outcomes`` decides.

Acknowledgements travel back to the connection's thread, which alone touches the channel. What has no verdict is
never acknowledged, so the broker delivers it again.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event

import structlog
from pika import BasicProperties, BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, error_message
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.messaging.topology import EXCHANGES, QueueGroup
from thumbmill.core.messaging.workers import Delivery, Handle, OnFailure, Probe, Workers, credentials_of
from thumbmill.core.metrics import RECONNECTS
from thumbmill.core.settings import BrokerSettings

log = structlog.get_logger()

TURN_SECONDS = 0.3  # the loop turns at least this often, and so notices that it is to stop
STUCK_SECONDS = 30  # a loop that has not turned for so long is reported by /livez
DECLARE_SECONDS = (
    15  # how often what the consumer needs is declared: a queue, a binding that was deleted comes back
)
RECONNECT_SECONDS = (0.5, 3.0)  # a lost connection is tried again after a time between these


@dataclass
class Consumer:
    """Consume one queue until stopped.

    ``handle`` gets up to ``batch`` messages at once and returns or raises, by the table in ``outcomes``; a batch
    that fails is redone one by one, so that only the offender pays. ``announce`` tells the world of a delay or a
    failure before the message moves. ``probes`` says how to find out that a dependency is back. ``pause`` says for
    how many seconds messages may gather after so many have come at once.
    """

    name: str  # shows in the management UI
    broker: BrokerSettings
    queue_group: QueueGroup
    handle: Handle
    on_failure: OnFailure = lambda _message, _verdict, _publisher: None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    batch_delay: Callable[[int], float] = lambda _size: 0
    workers: int = 1
    prefetch: int = 1
    batch: int = 1
    grace_seconds: float = 20

    def __post_init__(self) -> None:
        self._workers = Workers(
            name=self.name,
            broker=self.broker,
            queue=self.queue_group.work.name,
            handle=self.handle,
            on_failure=self.on_failure,
            probes=self.probes,
            settle=self._settle_soon,
            count=self.workers,
            batch=self.batch,
        )
        self._stopping = Event()
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._arrived: list[Delivery] = []
        self._last_turn = time.monotonic()
        self._trouble = "not connected yet"

    # --- from outside --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Consume until ``stop()``. Raises Refused where the broker rejects our login or our topology."""
        self._workers.start()
        try:
            while not self._stopping.is_set():
                try:
                    self._hold_session()
                except DependencyRejected:
                    raise
                except (DependencyUnavailable, AMQPError, OSError) as fault:
                    RECONNECTS.inc()
                    self._trouble = error_message(fault)
                    log.warning("broker_lost", queue=self.queue_group.work.name, fault=self._trouble)
                self._stopping.wait(random.uniform(*RECONNECT_SECONDS))  # noqa: S311 - jitter
        finally:
            self._workers.stop(self.grace_seconds)

    def stop(self) -> None:
        """Ask for a clean end: no new messages, those in hand are finished. Safe in a signal handler."""
        self._stopping.set()

    def liveness(self) -> str:
        """Say what is wrong if the loop has stopped turning."""
        idle = time.monotonic() - self._last_turn
        return f"the loop has not turned for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def readiness(self) -> str:
        """Say why nothing is being consumed, if so."""
        return self._trouble or ", ".join(f"waits for {name}" for name in sorted(self._workers.unavailable))

    def unavailable(self) -> dict[str, str]:
        """Say of each dependency why nothing is being consumed for its sake, if so."""
        return {"rabbitmq": self._trouble} if self._trouble else self._workers.unavailable

    # --- the connection's thread ---------------------------------------------------------------------------

    def _hold_session(self) -> None:
        self._turned()
        connection = connect(self.broker, self.name)
        try:
            channel = connection.channel()
            declare(channel, self.queue_group)
            channel.basic_qos(prefetch_count=self.prefetch)
            self._connection, self._channel = connection, channel
            self._consume(connection, channel)
        except ChannelClosedByBroker as fault:
            if fault.reply_code in {403, 406}:  # a permission or a differing declaration: no wait mends that
                raise DependencyRejected("rabbitmq", fault.reply_text) from fault
            raise
        finally:
            self._channel = self._connection = None
            self._arrived.clear()
            self._workers.drain_pending()
            if connection.is_open:
                with suppress(AMQPError, OSError):  # or it would hide why
                    connection.close()

    def _consume(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        consuming = ""
        declared = time.monotonic()
        while not self._stopping.is_set():
            self._turned()
            if time.monotonic() - declared > DECLARE_SECONDS:
                self._declare_again(connection)
                declared = time.monotonic()
            away = self._workers.unavailable
            if away and consuming:
                self._give_back(channel, consuming)
                consuming = ""
            elif not away and not consuming:
                consuming = channel.basic_consume(self.queue_group.work.name, self._receive)
                self._trouble = ""
                log.info("consuming", queue=self.queue_group.work.name)
            self._listen(connection)
            if consuming and consuming not in channel.consumer_tags:
                raise DependencyUnavailable(
                    "rabbitmq", "the broker cancelled the consumer"
                )  # its queue was deleted
        if consuming:
            self._give_back(channel, consuming)
        self._trouble = "stopping"
        deadline = time.monotonic() + self.grace_seconds
        while self._workers.is_busy and time.monotonic() < deadline:
            self._turned()
            connection.process_data_events(0.05)
        connection.process_data_events(0)  # the last acknowledgements

    def _declare_again(self, connection: BlockingConnection) -> None:
        """Put back what somebody deleted; nothing tells a consumer that a binding of its queue is gone."""
        channel = connection.channel()  # one of its own, which a refusal closes
        declare(channel, self.queue_group)
        channel.close()

    def _listen(self, connection: BlockingConnection) -> None:
        """Hand over together all that has come, and let more gather where that is wanted: waking up costs."""
        connection.process_data_events(TURN_SECONDS)
        gathered = 0
        while self.batch > 1 and gathered < len(self._arrived):
            gathered = len(self._arrived)
            connection.process_data_events(0)
        count = len(self._arrived)
        for delivery in self._arrived:
            self._workers.submit(delivery)
        self._arrived.clear()
        if count and (seconds := self.batch_delay(count)):
            self._stopping.wait(seconds)

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
            reader=credentials_of(self.broker),
        )
        self._arrived.append(Delivery(message, channel, method.delivery_tag or 0))

    def _give_back(self, channel: BlockingChannel, consuming: str) -> None:
        """Stop consuming; what no worker has begun goes back to the queue."""
        channel.basic_cancel(consuming)
        self._settle(self._workers.drain_pending(), ack=False)

    def _settle(self, deliveries: Sequence[Delivery], *, ack: bool) -> None:
        # A single worker has settled all that came earlier, so that one word is enough for a batch.
        at_once = ack and self.workers == 1
        for delivery in deliveries[-1:] if at_once else deliveries:
            channel: BlockingChannel | None = self._channel
            if channel is None or channel is not delivery.channel or not channel.is_open:
                return  # that connection is gone, and the broker has the messages back
            if ack:
                channel.basic_ack(delivery.tag, multiple=at_once)
            else:
                channel.basic_nack(delivery.tag, requeue=True)

    def _turned(self) -> None:
        self._last_turn = time.monotonic()

    # --- from a worker's thread ----------------------------------------------------------------------------

    def _settle_soon(self, deliveries: Sequence[Delivery], *, ack: bool) -> None:
        """Have the connection's thread settle these; if that connection is gone there is nothing to settle."""
        connection = self._connection
        if connection is None or not deliveries:
            return
        try:
            connection.add_callback_threadsafe(partial(self._settle, deliveries, ack=ack))
        except AMQPError:
            log.debug("verdict_after_connection", count=len(deliveries))


def declare(channel: BlockingChannel, queue_group: QueueGroup) -> None:
    """Declare what this consumer needs, so that a deleted queue comes back with the next connection."""
    for exchange in EXCHANGES:
        channel.exchange_declare(exchange.name, exchange.type, durable=True)
    for wanted in queue_group.queues:
        channel.queue_declare(wanted.name, durable=True, arguments=wanted.arguments)
        for binding in wanted.bindings:
            channel.queue_bind(wanted.name, binding.exchange, binding.key)
