"""Reading a dead letter queue, and removing messages from it one by one.

What is read and not removed is requeued when the connection ends, however it ends. RabbitMQ counts that as a
delivery, so dead letter queues have a delivery limit that is never reached (in ``definitions.py``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from pika import BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, error_message
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.settings import BrokerSettings


@dataclass(frozen=True)
class RawDeadLetter:
    """A message in a dead letter queue."""

    queue: str
    body: bytes
    content_type: str = ""
    message_id: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    tag: int = 0  # the delivery tag in this reader's channel


class DeadLetterReader:
    """A connection that holds dead letters unacknowledged; use it in a ``with`` block, in one thread.

    Every method raises DependencyUnavailable, or DependencyRejected if RabbitMQ denies access.
    """

    def __init__(self, broker: BrokerSettings, name: str) -> None:
        self._connection: BlockingConnection = connect(broker, name)
        self._channel: BlockingChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection, which requeues what was not removed."""
        try:
            if self._connection.is_open:
                self._connection.close()
        except (AMQPError, OSError):
            pass  # RabbitMQ notices a lost connection as well

    def peek(self, queue: str) -> Iterator[RawDeadLetter]:
        """Yield the messages that are in a queue now. Each is held until it is removed, or the reader is closed."""
        remaining: int | None = None
        while remaining is None or remaining > 0:
            with _map_errors():
                method, properties, body = self._open().basic_get(queue)
            if method is None:
                return
            # Stop after the messages of the start: one that is dead-lettered again is at the end of the queue.
            remaining = method.message_count if remaining is None else remaining - 1
            yield RawDeadLetter(
                queue=queue,
                body=body,
                content_type=properties.content_type or "",
                message_id=properties.message_id,
                headers=dict(properties.headers or {}),
                tag=method.delivery_tag,
            )

    def remove(self, dead_letter: RawDeadLetter) -> None:
        """Acknowledge a message of this reader, which removes it from its queue."""
        with _map_errors():
            self._open().basic_ack(dead_letter.tag)

    def wait(self, seconds: float) -> None:
        """Wait while the connection is kept alive."""
        with _map_errors():
            self._connection.sleep(seconds)

    def _open(self) -> BlockingChannel:
        if self._channel is None:
            self._channel = self._connection.channel()
        return self._channel


@contextmanager
def _map_errors() -> Iterator[None]:
    try:
        yield
    except ChannelClosedByBroker as error:
        if error.reply_code in {403, 404}:  # access refused, no such queue
            raise DependencyRejected("rabbitmq", error.reply_text) from error
        raise DependencyUnavailable("rabbitmq", error.reply_text) from error
    except (AMQPError, OSError) as error:
        raise DependencyUnavailable("rabbitmq", error_message(error)) from error
