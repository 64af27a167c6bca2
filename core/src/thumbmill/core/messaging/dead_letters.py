"""Looking through a dead queue, and taking letters out of it one by one.

What is taken out and not removed goes back when the connection ends, however it ends. The broker counts that as a
delivery, so a dead queue has a delivery limit that nobody reaches (``topology.LOOKS_AT_THE_DEAD``).
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
    """A message that lies in a dead queue."""

    queue: str
    body: bytes
    content_type: str = ""
    message_id: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    tag: int = 0  # by which the open box knows it


class DeadLetterReader:
    """A connection that holds what it has taken out of dead queues; to be used in a ``with`` block, by one thread.

    Every method raises DependencyAway when the broker goes away, and Refused where it does not let us.
    """

    def __init__(self, broker: BrokerSettings, name: str) -> None:
        self._connection: BlockingConnection = connect(broker, name)
        self._channel: BlockingChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what was not removed."""
        try:
            if self._connection.is_open:
                self._connection.close()
        except (AMQPError, OSError):
            pass  # then the broker finds it closed

    def peek(self, queue: str) -> Iterator[RawDeadLetter]:
        """Take out what lies in a queue now. Each letter is held until it is removed, or the box is closed."""
        left: int | None = None
        while left is None or left > 0:
            with _translated():
                method, properties, body = self._open().basic_get(queue)
            if method is None:
                return
            # A letter that dies again at once lies behind the rest, and would be met for ever.
            left = method.message_count if left is None else left - 1
            yield RawDeadLetter(
                queue=queue,
                body=body,
                content_type=properties.content_type or "",
                message_id=properties.message_id,
                headers=dict(properties.headers or {}),
                tag=method.delivery_tag,
            )

    def remove(self, letter: RawDeadLetter) -> None:
        """Have the broker forget a letter that was taken out of this box."""
        with _translated():
            self._open().basic_ack(letter.tag)

    def wait(self, seconds: float) -> None:
        """Let time pass, and keep the connection."""
        with _translated():
            self._connection.sleep(seconds)

    def _open(self) -> BlockingChannel:
        if self._channel is None:
            self._channel = self._connection.channel()
        return self._channel


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ChannelClosedByBroker as fault:
        if fault.reply_code in {403, 404}:  # no right to it, no such queue
            raise DependencyRejected("rabbitmq", fault.reply_text) from fault
        raise DependencyUnavailable("rabbitmq", fault.reply_text) from fault
    except (AMQPError, OSError) as fault:
        raise DependencyUnavailable("rabbitmq", error_message(fault)) from fault
