"""A consumer of one queue: a thread that owns the connection, and workers that handle messages.

``run`` opens a session with RabbitMQ, and another one after each lost connection. A session fetches messages and
submits them to the workers. A worker calls ``handle`` and passes the result to ``retry_policy.decide``, which
returns an action. The session's thread then acknowledges the delivery, since only that thread may use the channel.
A delivery without a decision is never acknowledged, so RabbitMQ delivers it again.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

import structlog
from pika.exceptions import AMQPError

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, error_message
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.messaging.session import ConsumerHealth, Session, open_session
from thumbmill.core.messaging.topology import QueueGroup
from thumbmill.core.messaging.workers import Delivery, Handle, OnFailure, Probe, Workers
from thumbmill.core.metrics import RECONNECTS
from thumbmill.core.settings import BrokerSettings

log = structlog.get_logger()

RECONNECT_SECONDS = (0.5, 3.0)  # wait after a lost connection: random between these


@dataclass
class Consumer:
    """Consumes one queue until stopped.

    ``handle`` gets up to ``batch`` messages at once; ``retry_policy`` lists the exceptions that it may raise. If a
    batch fails, its messages are handled again one by one, so that only the failing one is retried. ``on_failure``
    is called after a failed attempt, before the message is delayed or dead-lettered. ``probes`` check whether a
    dependency is available again. ``batch_delay`` maps the messages that have arrived to the seconds that they may
    wait for more, counted from the arrival of the first.
    """

    name: str  # of the connection in RabbitMQ's management UI
    broker: BrokerSettings
    queue_group: QueueGroup
    handle: Handle
    on_failure: OnFailure = lambda _message, _disposition, _publisher: None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    batch_delay: Callable[[Sequence[Message]], float] = lambda _messages: 0
    workers: int = 1
    prefetch: int = 1
    batch: int = 1
    grace_seconds: float = 20  # how long running handlers may take after stop()

    def __post_init__(self) -> None:
        self._workers = Workers(
            name=self.name,
            broker=self.broker,
            queue=self.queue_group.work.name,
            handle=self.handle,
            on_failure=self.on_failure,
            probes=self.probes,
            acknowledge=self._acknowledge,
            count=self.workers,
            batch=self.batch,
        )
        self._stopping = Event()
        self._session: Session | None = None
        self.health = ConsumerHealth(self._workers)

    def run(self) -> None:
        """Consume until ``stop()``. Raise DependencyRejected if RabbitMQ rejects the login or the topology."""
        self._workers.start()
        try:
            while not self._stopping.is_set():
                self.health.last_loop = time.monotonic()
                try:
                    self._run_session()
                except DependencyRejected:
                    raise
                except (DependencyUnavailable, AMQPError, OSError) as error:
                    RECONNECTS.inc()
                    self.health.problem = error_message(error)
                    log.warning("broker_connection_lost", queue=self._workers.queue, error=self.health.problem)
                self._stopping.wait(random.uniform(*RECONNECT_SECONDS))  # noqa: S311 - jitter
        finally:
            self._workers.stop(self.grace_seconds)

    def _run_session(self) -> None:
        try:
            with open_session(connect(self.broker, self.name), self, self.health, self._stopping) as self._session:
                self._session.run()
        finally:
            self._session = None

    @property
    def in_flight(self) -> int:
        """The number of messages, or batches of them, that are being handled."""
        return self._workers.busy

    def stop(self) -> None:
        """Request a clean stop: no new messages, and running handlers finish. Safe in a signal handler."""
        self._stopping.set()

    def _acknowledge(self, deliveries: Sequence[Delivery], *, ack: bool) -> None:
        """Let the session acknowledge or requeue deliveries; without a session RabbitMQ has requeued them."""
        if session := self._session:
            session.acknowledge_threadsafe(deliveries, ack=ack)
