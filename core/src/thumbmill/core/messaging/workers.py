"""The workers of a consumer: threads that handle messages and apply the ack table.

They do no I/O on the consumer's channel. A disposition that needs a publish is carried out with the worker's own
publisher, and only then is the delivery handed back to be acknowledged.
"""

import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Protocol

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.message import BrokerCredentials, Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.retry_policy import Action, Disposition, decide
from thumbmill.core.messaging.rwlock import ReaderWriterLock
from thumbmill.core.messaging.topology import RETRY, dead_letter_queue_name, delay_queue_name
from thumbmill.core.metrics import DELIVERIES, HANDLING, IN_PROGRESS
from thumbmill.core.settings import BrokerSettings

log = structlog.get_logger()

IDLE_SECONDS = 5  # how long a worker without messages waits before it answers its publisher's heartbeats
PROBE_SECONDS = (0.3, 2.0)  # an unavailable dependency is probed again after a random time between these
MAX_DOUBLINGS = 5  # of that time, if a dependency passes its probe and still fails every message

Handle = Callable[[Sequence[Message], Publisher], None]
OnFailure = Callable[[Message, Disposition, Publisher], None]
Probe = Callable[[], None]  # raises DependencyUnavailable


@dataclass(frozen=True)
class Delivery:
    """A message with the channel and the tag to acknowledge it by; the tag is valid only on that channel."""

    message: Message
    channel: Any
    tag: int


class Acknowledge(Protocol):
    """Acknowledges deliveries, or requeues them; returns at once, from any thread."""

    def __call__(self, deliveries: Sequence[Delivery], *, ack: bool) -> None: ...


@dataclass
class Workers:
    """Threads that take deliveries from one internal queue; ``Consumer`` describes the parameters."""

    name: str
    broker: BrokerSettings
    queue: str
    handle: Handle
    on_failure: OnFailure
    probes: Mapping[str, Probe]
    acknowledge: Acknowledge
    count: int
    batch: int

    def __post_init__(self) -> None:
        self._pending: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()  # None ends a worker
        self._threads: list[Thread] = []
        self._stopping = Event()
        self._busy: set[int] = set()
        self._waiting: dict[int, DependencyUnavailable] = {}  # by worker: what it waits for
        self._false_recoveries = 0  # probes that passed since a message last succeeded
        self._lock = ReaderWriterLock()

    # --- called by the connection's thread -----------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        for number in range(self.count):
            thread = Thread(target=self._work, args=(number,), name=f"worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> None:
        """End the threads once their running handlers return, and wait at most ``seconds`` for that."""
        self._stopping.set()
        for _ in self._threads:
            self._pending.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery for the next free worker."""
        self._pending.put(delivery)

    def drain_pending(self) -> list[Delivery]:
        """Remove and return the deliveries that no worker has begun."""
        drained: list[Delivery] = []
        while True:
            try:
                delivery = self._pending.get_nowait()
            except queue.Empty:
                return drained
            if delivery is not None:
                drained.append(delivery)

    @property
    def busy(self) -> int:
        """The number of handlers that are running."""
        return len(self._busy)

    @property
    def is_busy(self) -> bool:
        """Whether a handler is running."""
        return bool(self._busy)

    @property
    def unavailable(self) -> dict[str, str]:
        """The dependencies that workers wait for, each with the reason; nothing should be submitted meanwhile."""
        return {error.dependency: str(error) for error in list(self._waiting.values())}

    # --- in a worker's thread ------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        with Publisher(self.broker, f"{self.name} publisher {number}") as publisher:
            while (deliveries := self._take()) is not None:
                structlog.contextvars.clear_contextvars()  # what a handler binds concerns its own message
                if not deliveries:
                    publisher.keep_alive()
                    continue
                self._busy.add(number)
                try:
                    unavailable = self._process(deliveries, publisher)
                except Exception as error:  # a bug must not end the worker while it holds messages
                    log.exception("worker_failed")
                    self.acknowledge(deliveries, ack=False)
                    unavailable = DependencyUnavailable("worker", error)
                finally:
                    self._busy.discard(number)
                if unavailable:
                    self._wait_until_available(unavailable, number)
                else:
                    self._false_recoveries = 0

    def _take(self) -> list[Delivery] | None:
        """Return the next batch; an empty one after some idle time, None when the worker must end."""
        taken: list[Delivery] = []
        while len(taken) < self.batch:
            try:
                delivery = self._pending.get(timeout=IDLE_SECONDS) if not taken else self._pending.get_nowait()
            except queue.Empty:
                break
            if delivery is None:
                return None
            taken.append(delivery)
        return taken

    def _process(self, deliveries: list[Delivery], publisher: Publisher) -> DependencyUnavailable | None:
        """Handle a batch and acknowledge it. Return the error if a dependency is unavailable."""
        error = self._handle(deliveries, publisher)
        if error is not None and len(deliveries) > 1 and not isinstance(error, DependencyUnavailable):
            log.warning("batch_failed", size=len(deliveries), error=str(error))
            for n, delivery in enumerate(deliveries):
                unavailable = self._process([delivery], publisher)
                if unavailable:
                    self.acknowledge(deliveries[n + 1 :], ack=False)
                    return unavailable
            return None
        try:
            requeued = [d for d in deliveries if self._apply(d, error, publisher) is Action.REQUEUE]
        except DependencyUnavailable as unavailable:
            error, requeued = unavailable, deliveries
        self.acknowledge([d for d in deliveries if d not in requeued], ack=True)
        self.acknowledge(requeued, ack=False)
        return error if isinstance(error, DependencyUnavailable) else None

    def _handle(self, deliveries: list[Delivery], publisher: Publisher) -> Exception | None:
        """Call the handler and return what it raised. A possible poison message is handled while no other is."""
        is_alone = any(delivery.message.is_possible_poison for delivery in deliveries)
        with (
            self._lock.exclusive() if is_alone else self._lock.shared(),
            HANDLING.labels(self.queue).time(),
            IN_PROGRESS.labels(self.queue).track_inprogress(),
            _log_context(deliveries),
        ):
            try:
                self.handle([delivery.message for delivery in deliveries], publisher)
            except Exception as error:  # noqa: BLE001 - the table has a row for every error
                return error
        return None

    def _apply(self, delivery: Delivery, error: Exception | None, publisher: Publisher) -> Action:
        """Carry out what the ack table decides, except for the acknowledgement. Raise DependencyUnavailable."""
        message = delivery.message
        disposition = decide(
            error,
            attempt=message.attempt,
            deferrals=message.deferrals,
            possible_poison=message.is_possible_poison,
        )
        with _log_context([delivery]):
            _log_disposition(disposition, error)
            if disposition.is_failed_attempt:
                self._report_failure(message, disposition, publisher)
            match disposition.action:
                case Action.DELAY:
                    self._move(message, disposition, delay_queue_name(self.queue, disposition.delay), publisher)
                case Action.DEAD_LETTER:
                    self._move(message, disposition, dead_letter_queue_name(self.queue), publisher)
        DELIVERIES.labels(self.queue, disposition.action.value).inc()
        return disposition.action

    def _report_failure(self, message: Message, disposition: Disposition, publisher: Publisher) -> None:
        try:
            self.on_failure(message, disposition, publisher)
        except DependencyUnavailable:
            raise
        except Exception as error:  # a failure that cannot be reported must not be lost: requeue after a pause
            log.exception("on_failure_failed")
            raise DependencyUnavailable("on_failure", error) from error

    def _move(self, message: Message, disposition: Disposition, to: str, publisher: Publisher) -> None:
        headers = message.headers_after(disposition, credentials_of(self.broker))
        publisher.publish(RETRY, to, message.body, headers=headers, content_type=message.content_type)

    def _wait_until_available(self, error: DependencyUnavailable, number: int) -> None:
        """Probe until the dependency is available; nothing is consumed meanwhile."""
        name = error.dependency
        probe = self.probes.get(name)
        self._waiting[number] = error
        log.warning("dependency_unavailable", dependency=name, error=str(error))
        factor = backoff_factor(self._false_recoveries, self.count)
        seconds = random.uniform(*PROBE_SECONDS) * factor  # noqa: S311 - jitter
        while not self._stopping.wait(seconds):
            seconds = random.uniform(*PROBE_SECONDS)  # noqa: S311 - jitter
            try:
                if probe:
                    probe()
                self._false_recoveries += 1
                break
            except DependencyUnavailable as still:
                log.debug("dependency_still_unavailable", dependency=name, error=str(still))
            except Exception:  # a bug must not end the worker
                log.exception("probe_failed", dependency=name)
        self._waiting.pop(number, None)
        log.info("dependency_available", dependency=name)


def credentials_of(broker: BrokerSettings) -> BrokerCredentials:
    """Return a service's RabbitMQ user and password."""
    return BrokerCredentials(broker.rabbitmq_user, broker.rabbitmq_password.get_secret_value())


def backoff_factor(false_recoveries: int, workers: int) -> int:
    """Return the factor for the next wait, after this many probes of all workers passed without a success.

    A store that is full, or denies a permission, passes every probe. Each message that fails then is
    redelivered. RabbitMQ counts redeliveries, and at its limit dead-letters the message.
    """
    return int(2 ** min(false_recoveries // workers, MAX_DOUBLINGS))


def per_message(handle: Callable[[Message, Publisher], None]) -> Handle:
    """Return a batch handler that calls a handler of single messages for each."""

    def handle_all(messages: Sequence[Message], publisher: Publisher) -> None:
        for message in messages:
            handle(message, publisher)

    return handle_all


def _log_context(deliveries: list[Delivery]) -> AbstractContextManager[Any]:
    if len(deliveries) != 1:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(attempt=deliveries[0].message.attempt)


def _log_disposition(disposition: Disposition, error: Exception | None) -> None:
    match disposition.action:
        case Action.ACK | Action.REQUEUE:
            pass
        case Action.DELAY if disposition.lane:  # normal, and hundreds a second during a burst of slow images
            log.debug("waiting_for_lane", lane=disposition.lane, delay=disposition.delay)
        case Action.DEAD_LETTER if disposition.code:
            log.error("attempts_exhausted", reason=disposition.reason, exc_info=error)
        case Action.DELAY:
            log.warning(
                "delayed", reason=disposition.reason, delay=disposition.delay, next_attempt=disposition.attempt
            )
        case _:
            log.warning(disposition.action.value, reason=disposition.reason)
