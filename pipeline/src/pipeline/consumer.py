"""Consuming: one thread owns the connection, a few workers handle messages, ``outcomes`` decides the rest.

Workers do no I/O on the consumer's channel. A verdict that needs a publish is carried out by the worker with its
own publisher, and only then does the acknowledgement travel back to the connection's thread. What has no verdict is
never acknowledged, so the broker delivers it again.
"""

import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Any

import structlog
from pika import BasicProperties, BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic

from pipeline.aisle import Aisle
from pipeline.messages import Message
from pipeline.metrics import DELIVERIES, HANDLING, IN_HAND, RECONNECTS
from pipeline.outcomes import Action, DependencyAway, Refused, Verdict, decide
from pipeline.publisher import Publisher, connect
from pipeline.settings import BrokerSettings
from pipeline.topology import EXCHANGES, RETRY, Family, dead_name, delay_name

log = structlog.get_logger()

TURN_SECONDS = 0.3  # the loop turns at least this often, and so notices that it is to stop
STUCK_SECONDS = 30  # a loop that has not turned for so long is reported by /livez
IDLE_SECONDS = 5  # how long a worker without work waits before it answers its publisher's heartbeats
RECONNECT_SECONDS = (0.5, 3.0)  # a lost connection is tried again after a time between these
PROBE_SECONDS = (0.3, 2.0)  # likewise a dependency that is away

Handle = Callable[[Sequence[Message], Publisher], None]
Announce = Callable[[Message, Verdict, Publisher], None]
Probe = Callable[[], None]  # raises DependencyAway


@dataclass(frozen=True)
class Delivery:
    """A message with the channel and tag it must be settled by; neither means anything to another channel."""

    message: Message
    channel: BlockingChannel
    tag: int


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
    family: Family
    handle: Handle
    announce: Announce = lambda _message, _verdict, _publisher: None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    pause: Callable[[int], float] = lambda _size: 0
    workers: int = 1
    prefetch: int = 1
    batch: int = 1
    grace_seconds: float = 20

    def __post_init__(self) -> None:
        self._jobs: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()  # None ends a worker
        self._stopping = Event()
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._arrived: list[Delivery] = []
        self._away: dict[int, str] = {}  # worker -> the dependency it waits for
        self._busy: set[int] = set()
        self._aisle = Aisle()
        self._last_turn = time.monotonic()
        self._trouble = "not connected yet"

    # --- from outside --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Consume until ``stop()``. Raises Refused where the broker rejects our login or our topology."""
        threads = [
            Thread(target=self._work, args=(n,), name=f"worker-{n}", daemon=True) for n in range(self.workers)
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._stopping.is_set():
                try:
                    self._hold_session()
                except Refused:
                    raise
                except (DependencyAway, AMQPError, OSError) as fault:
                    RECONNECTS.inc()
                    self._trouble = str(fault) or type(fault).__name__
                    log.warning("broker_lost", queue=self.family.work.name, fault=self._trouble)
                self._stopping.wait(random.uniform(*RECONNECT_SECONDS))  # noqa: S311 - jitter
        finally:
            self._stopping.set()
            for _ in threads:
                self._jobs.put(None)
            for thread in threads:
                thread.join(self.grace_seconds)

    def stop(self) -> None:
        """Ask for a clean end: no new messages, those in hand are finished. Safe in a signal handler."""
        self._stopping.set()

    def live(self) -> str:
        """Say what is wrong if the loop has stopped turning."""
        idle = time.monotonic() - self._last_turn
        return f"the loop has not turned for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def ready(self) -> str:
        """Say why nothing is being consumed, if so."""
        return self._trouble or ", ".join(f"waits for {name}" for name in sorted(set(self._away.values())))

    # --- the connection's thread ---------------------------------------------------------------------------

    def _hold_session(self) -> None:
        self._turned()
        connection = connect(self.broker, self.name)
        try:
            channel = connection.channel()
            declare(channel, self.family)
            channel.basic_qos(prefetch_count=self.prefetch)
            self._connection, self._channel = connection, channel
            self._consume(connection, channel)
        except ChannelClosedByBroker as fault:
            if fault.reply_code in {403, 406}:  # a permission or a differing declaration: no wait mends that
                raise Refused("rabbitmq", fault.reply_text) from fault
            raise
        finally:
            self._channel = self._connection = None
            self._arrived.clear()
            self._drop_jobs()
            if connection.is_open:
                connection.close()

    def _consume(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        consuming = ""
        while not self._stopping.is_set():
            self._turned()
            if self._away and consuming:
                self._give_back(channel, consuming)
                consuming = ""
            elif not self._away and not consuming:
                consuming = channel.basic_consume(self.family.work.name, self._receive)
                self._trouble = ""
                log.info("consuming", queue=self.family.work.name)
            self._listen(connection)
            if consuming and consuming not in channel.consumer_tags:
                raise DependencyAway("rabbitmq", "the broker cancelled the consumer")  # its queue was deleted
        if consuming:
            self._give_back(channel, consuming)
        self._trouble = "stopping"
        deadline = time.monotonic() + self.grace_seconds
        while self._busy and time.monotonic() < deadline:
            self._turned()
            connection.process_data_events(0.05)
        connection.process_data_events(0)  # the last acknowledgements

    def _listen(self, connection: BlockingConnection) -> None:
        """Hand over together all that has come, and let more gather where that is wanted: waking up costs."""
        count = 0
        connection.process_data_events(TURN_SECONDS)
        while count < len(self._arrived):
            count = len(self._arrived)
            connection.process_data_events(0)
        for delivery in self._arrived:
            self._jobs.put(delivery)
        self._arrived.clear()
        if count and (seconds := self.pause(count)):
            self._stopping.wait(seconds)

    def _receive(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        message = Message.read(
            body, method.routing_key or "", properties.content_type or "", dict(properties.headers or {})
        )
        self._arrived.append(Delivery(message, channel, method.delivery_tag or 0))

    def _give_back(self, channel: BlockingChannel, consuming: str) -> None:
        """Stop consuming; what no worker has begun goes back to the queue."""
        channel.basic_cancel(consuming)
        for delivery in self._drop_jobs():
            channel.basic_nack(delivery.tag, requeue=True)

    def _drop_jobs(self) -> list[Delivery]:
        dropped: list[Delivery] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return dropped
            if job is not None:
                dropped.append(job)

    def _settle(self, deliveries: list[Delivery], *, ack: bool) -> None:
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

    # --- a worker's thread ---------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        with Publisher(self.broker, f"{self.name} publisher {number}") as publisher:
            while (deliveries := self._take()) is not None:
                structlog.contextvars.clear_contextvars()  # a handler's words are about its own message
                if not deliveries:
                    publisher.keep_alive()
                    continue
                self._busy.add(number)
                try:
                    away = self._handle(deliveries, publisher)
                finally:
                    self._busy.discard(number)
                if away:
                    self._wait_for(away, number)

    def _take(self) -> list[Delivery] | None:
        """Give what there is to do, nothing after a while without work, None at the end."""
        taken: list[Delivery] = []
        while len(taken) < self.batch:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS) if not taken else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return None
            taken.append(job)
        return taken

    def _handle(self, deliveries: list[Delivery], publisher: Publisher) -> DependencyAway | None:
        """Handle a batch and settle it; return the dependency that is away, if that is what came out."""
        fault = self._try(deliveries, publisher)
        if fault is not None and len(deliveries) > 1 and not isinstance(fault, DependencyAway):
            log.warning("batch_failed", size=len(deliveries), fault=str(fault))
            for n, delivery in enumerate(deliveries):
                away = self._handle([delivery], publisher)
                if away:
                    self._later(deliveries[n + 1 :], ack=False)
                    return away
            return None
        try:
            released = [d for d in deliveries if self._carry_out(d, fault, publisher) is Action.RELEASE]
        except DependencyAway as away:
            fault, released = away, deliveries
        self._later([d for d in deliveries if d not in released], ack=True)
        self._later(released, ack=False)
        return fault if isinstance(fault, DependencyAway) else None

    def _try(self, deliveries: list[Delivery], publisher: Publisher) -> Exception | None:
        suspect = any(delivery.message.is_suspect for delivery in deliveries)
        place: AbstractContextManager[Any] = self._aisle.alone() if suspect else self._aisle.shared()
        name = self.family.work.name
        with (
            place,
            HANDLING.labels(name).time(),
            IN_HAND.labels(name).track_inprogress(),
            _log_context(deliveries),
        ):
            try:
                self.handle([delivery.message for delivery in deliveries], publisher)
            except Exception as fault:  # noqa: BLE001 - the table has a row for every fault
                return fault
        return None

    def _carry_out(self, delivery: Delivery, fault: Exception | None, publisher: Publisher) -> Action:
        message = delivery.message
        verdict = decide(fault, attempt=message.attempt, deferrals=message.deferrals, suspect=message.is_suspect)
        with _log_context([delivery]):
            _report(verdict, fault)
            match verdict.action:
                case Action.GIVE_UP:
                    self._announce(message, verdict, publisher)
                case Action.DELAY:
                    self._announce(message, verdict, publisher)
                    self._move(message, verdict, delay_name(self.family.work.name, verdict.delay), publisher)
                case Action.DEAD_LETTER:
                    self._announce(message, verdict, publisher)
                    self._move(message, verdict, dead_name(self.family.work.name), publisher)
        DELIVERIES.labels(self.family.work.name, verdict.action.value).inc()
        return verdict.action

    def _announce(self, message: Message, verdict: Verdict, publisher: Publisher) -> None:
        try:
            self.announce(message, verdict, publisher)
        except DependencyAway:
            raise
        except Exception as fault:  # what can't be told must not be lost: the message goes back, after a pause
            log.exception("announcement_failed")
            raise DependencyAway("announcement", fault) from fault

    def _move(self, message: Message, verdict: Verdict, to: str, publisher: Publisher) -> None:
        publisher.publish(
            RETRY, to, message.body, headers=message.headers_after(verdict), content_type=message.content_type
        )

    def _later(self, deliveries: list[Delivery], *, ack: bool) -> None:
        """Have the connection's thread settle these; if that connection is gone there is nothing to settle."""
        connection = self._connection
        if connection is None or not deliveries:
            return
        try:
            connection.add_callback_threadsafe(partial(self._settle, deliveries, ack=ack))
        except AMQPError:
            log.debug("verdict_after_connection", count=len(deliveries))

    def _wait_for(self, away: DependencyAway, number: int) -> None:
        """Probe until the dependency answers; meanwhile nothing is consumed."""
        name = away.dependency
        probe = self.probes.get(name)
        self._away[number] = name
        log.warning("dependency_away", dependency=name, fault=str(away))
        while not self._stopping.wait(random.uniform(*PROBE_SECONDS)):  # noqa: S311 - jitter
            try:
                if probe:
                    probe()
                break
            except DependencyAway as still:
                log.debug("dependency_still_away", dependency=name, fault=str(still))
        self._away.pop(number, None)
        log.info("dependency_back", dependency=name)


def declare(channel: BlockingChannel, family: Family) -> None:
    """Declare what this consumer needs, so that a deleted queue comes back with the next connection."""
    for exchange in EXCHANGES:
        channel.exchange_declare(exchange.name, exchange.type, durable=True)
    for wanted in family.queues:
        channel.queue_declare(wanted.name, durable=True, arguments=wanted.arguments)
        for binding in wanted.bindings:
            channel.queue_bind(wanted.name, binding.exchange, binding.key)


def one_by_one(handle: Callable[[Message, Publisher], None]) -> Handle:
    """Make a batch handler of one for single messages."""

    def handle_all(messages: Sequence[Message], publisher: Publisher) -> None:
        for message in messages:
            handle(message, publisher)

    return handle_all


def _log_context(deliveries: list[Delivery]) -> AbstractContextManager[Any]:
    if len(deliveries) != 1:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(attempt=deliveries[0].message.attempt)


def _report(verdict: Verdict, fault: Exception | None) -> None:
    match verdict.action:
        case Action.ACK | Action.RELEASE:
            pass
        case Action.DEAD_LETTER if verdict.code:
            log.error("attempts_exhausted", reason=verdict.reason, exc_info=fault)
        case Action.DELAY:
            log.warning("delayed", reason=verdict.reason, delay=verdict.delay, next_attempt=verdict.attempt)
        case _:
            log.warning(verdict.action.value, reason=verdict.reason)
