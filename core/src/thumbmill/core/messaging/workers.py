"""The workers of a consumer: threads that handle messages and carry out what the ack table says.

They do no I/O on the consumer's channel. A verdict that needs a publish is carried out here, with the worker's own
publisher, and only then is the delivery handed back to be settled.
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

IDLE_SECONDS = 5  # how long a worker without work waits before it answers its publisher's heartbeats
PROBE_SECONDS = (0.3, 2.0)  # a dependency that is away is asked again after a time between these
MOST_DOUBLINGS = 5  # of that time, where a dependency answers probes and still fails every message

Handle = Callable[[Sequence[Message], Publisher], None]
OnFailure = Callable[[Message, Disposition, Publisher], None]
Probe = Callable[[], None]  # raises DependencyAway


@dataclass(frozen=True)
class Delivery:
    """A message with the channel and tag it must be settled by; neither means anything to another channel."""

    message: Message
    channel: Any
    tag: int


class AckCallback(Protocol):
    """Have deliveries acknowledged, or given back to the queue; returns at once, from any thread."""

    def __call__(self, deliveries: Sequence[Delivery], *, ack: bool) -> None: ...


@dataclass
class Workers:
    """Some threads with one queue of deliveries before them; what they are asked to do is told in ``Consumer``."""

    name: str
    broker: BrokerSettings
    queue: str
    handle: Handle
    on_failure: OnFailure
    probes: Mapping[str, Probe]
    settle: AckCallback
    count: int
    batch: int

    def __post_init__(self) -> None:
        self._jobs: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()  # None ends a worker
        self._threads: list[Thread] = []
        self._stopping = Event()
        self._busy: set[int] = set()
        self._away: dict[int, DependencyUnavailable] = {}  # worker -> what it waits for
        self._promises = 0  # how often a probe said that a dependency is back, since a message last found it so
        self._aisle = ReaderWriterLock()

    # --- for the connection's thread -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        for number in range(self.count):
            thread = Thread(target=self._work, args=(number,), name=f"worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> None:
        """End the threads when each has done what it has in hand, and wait so long for that."""
        self._stopping.set()
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery."""
        self._jobs.put(delivery)

    def drain_pending(self) -> list[Delivery]:
        """Give the deliveries that no worker has begun; they are no longer queued."""
        unbegun: list[Delivery] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return unbegun
            if job is not None:
                unbegun.append(job)

    @property
    def is_busy(self) -> bool:
        """Tell whether a handler is running."""
        return bool(self._busy)

    @property
    def unavailable(self) -> dict[str, str]:
        """Which dependencies are waited for, and why; meanwhile nothing should be given."""
        return {away.dependency: str(away) for away in list(self._away.values())}

    # --- in a worker's thread ------------------------------------------------------------------------------

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
                except Exception as fault:  # a fault of ours must not end the worker with messages in its hands
                    log.exception("worker_failed")
                    self.settle(deliveries, ack=False)
                    away = DependencyUnavailable("worker", fault)
                finally:
                    self._busy.discard(number)
                if away:
                    self._wait_for(away, number)
                else:
                    self._promises = 0

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

    def _handle(self, deliveries: list[Delivery], publisher: Publisher) -> DependencyUnavailable | None:
        """Handle a batch and settle it; return the dependency that is away, if that is what came out."""
        fault = self._try(deliveries, publisher)
        if fault is not None and len(deliveries) > 1 and not isinstance(fault, DependencyUnavailable):
            log.warning("batch_failed", size=len(deliveries), fault=str(fault))
            for n, delivery in enumerate(deliveries):
                away = self._handle([delivery], publisher)
                if away:
                    self.settle(deliveries[n + 1 :], ack=False)
                    return away
            return None
        try:
            released = [d for d in deliveries if self._carry_out(d, fault, publisher) is Action.REQUEUE]
        except DependencyUnavailable as away:
            fault, released = away, deliveries
        self.settle([d for d in deliveries if d not in released], ack=True)
        self.settle(released, ack=False)
        return fault if isinstance(fault, DependencyUnavailable) else None

    def _try(self, deliveries: list[Delivery], publisher: Publisher) -> Exception | None:
        suspect = any(delivery.message.is_possible_poison for delivery in deliveries)
        place: AbstractContextManager[Any] = self._aisle.alone() if suspect else self._aisle.shared()
        name = self.queue
        with (
            place,
            HANDLING.labels(name).time(),
            IN_PROGRESS.labels(name).track_inprogress(),
            _log_context(deliveries),
        ):
            try:
                self.handle([delivery.message for delivery in deliveries], publisher)
            except Exception as fault:  # noqa: BLE001 - the table has a row for every fault
                return fault
        return None

    def _carry_out(self, delivery: Delivery, fault: Exception | None, publisher: Publisher) -> Action:
        message = delivery.message
        verdict = decide(
            fault, attempt=message.attempt, deferrals=message.deferrals, suspect=message.is_possible_poison
        )
        with _log_context([delivery]):
            _report(verdict, fault)
            match verdict.action:
                case Action.GIVE_UP:
                    self._announce(message, verdict, publisher)
                case Action.DELAY:
                    self._announce(message, verdict, publisher)
                    self._move(message, verdict, delay_queue_name(self.queue, verdict.delay), publisher)
                case Action.DEAD_LETTER:
                    self._announce(message, verdict, publisher)
                    self._move(message, verdict, dead_letter_queue_name(self.queue), publisher)
        DELIVERIES.labels(self.queue, verdict.action.value).inc()
        return verdict.action

    def _announce(self, message: Message, verdict: Disposition, publisher: Publisher) -> None:
        try:
            self.on_failure(message, verdict, publisher)
        except DependencyUnavailable:
            raise
        except Exception as fault:  # what can't be told must not be lost: the message goes back, after a pause
            log.exception("announcement_failed")
            raise DependencyUnavailable("announcement", fault) from fault

    def _move(self, message: Message, verdict: Disposition, to: str, publisher: Publisher) -> None:
        headers = message.headers_after(verdict, credentials_of(self.broker))
        publisher.publish(RETRY, to, message.body, headers=headers, content_type=message.content_type)

    def _wait_for(self, away: DependencyUnavailable, number: int) -> None:
        """Probe until the dependency answers; meanwhile nothing is consumed."""
        name = away.dependency
        probe = self.probes.get(name)
        self._away[number] = away
        log.warning("dependency_away", dependency=name, fault=str(away))
        seconds = random.uniform(*PROBE_SECONDS) * backoff_factor(self._promises, self.count)  # noqa: S311 - jitter
        while not self._stopping.wait(seconds):
            seconds = random.uniform(*PROBE_SECONDS)  # noqa: S311 - jitter
            try:
                if probe:
                    probe()
                self._promises += 1
                break
            except DependencyUnavailable as still:
                log.debug("dependency_still_away", dependency=name, fault=str(still))
            except Exception:  # a fault of ours must not end the worker
                log.exception("probe_failed", dependency=name)
        self._away.pop(number, None)
        log.info("dependency_back", dependency=name)


def credentials_of(broker: BrokerSettings) -> BrokerCredentials:
    """Return as whom a service speaks to RabbitMQ."""
    return BrokerCredentials(broker.rabbitmq_user, broker.rabbitmq_password.get_secret_value())


def backoff_factor(promises: int, workers: int) -> int:
    """How many times longer to wait, after so many probes of all workers have promised what no message found.

    A store that is full, or lacks a permission, answers every probe. Each message tried in vain is a redelivery to
    the broker, which counts them, and at its limit takes the message away.
    """
    return int(2 ** min(promises // workers, MOST_DOUBLINGS))


def per_message(handle: Callable[[Message, Publisher], None]) -> Handle:
    """Make a batch handler of one for single messages."""

    def handle_all(messages: Sequence[Message], publisher: Publisher) -> None:
        for message in messages:
            handle(message, publisher)

    return handle_all


def _log_context(deliveries: list[Delivery]) -> AbstractContextManager[Any]:
    if len(deliveries) != 1:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(attempt=deliveries[0].message.attempt)


def _report(verdict: Disposition, fault: Exception | None) -> None:
    match verdict.action:
        case Action.ACK | Action.REQUEUE:
            pass
        case Action.DELAY if verdict.lane:  # no trouble, and hundreds a second in a flood
            log.debug("waits_for_turn", lane=verdict.lane, delay=verdict.delay)
        case Action.DEAD_LETTER if verdict.code:
            log.error("attempts_exhausted", reason=verdict.reason, exc_info=fault)
        case Action.DELAY:
            log.warning("delayed", reason=verdict.reason, delay=verdict.delay, next_attempt=verdict.attempt)
        case _:
            log.warning(verdict.action.value, reason=verdict.reason)
