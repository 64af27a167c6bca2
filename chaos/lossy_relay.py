"""A relay between MinIO's events and the queues that loses, duplicates and reorders messages."""

import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import pika
from pika.adapters.blocking_connection import BlockingChannel

EXCHANGE = "storage.events"
# Queue -> the routing keys of its bindings to the exchange, as in the topology.
BINDINGS = {"image_queue": ("immediate",), "status_tracker": ("immediate", "durable")}
LOST, DUPLICATED = 0.1, 0.2
_BATCH = 8  # messages that are shuffled together


@dataclass
class LossyRelay:
    """Replaces the bindings of two queues while the block runs. A message may be lost for one queue or for both."""

    parameters: pika.ConnectionParameters
    chance: random.Random
    lost: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _binding: threading.Lock = field(default_factory=threading.Lock)
    _is_closing: bool = False

    def __enter__(self) -> Self:
        self._rebind(restore=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._binding:
            self._is_closing = True
            self._rebind(restore=True)
        self.stop.set()
        if self._thread:
            self._thread.join()

    def _rebind(self, *, restore: bool) -> None:
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            for queue, keys in BINDINGS.items():
                relayed = f"drill.{queue}"
                channel.queue_declare(relayed, durable=True)
                for key in keys:
                    if restore:
                        channel.queue_bind(queue, EXCHANGE, key)
                        channel.queue_unbind(relayed, EXCHANGE, key)
                    else:
                        channel.queue_bind(relayed, EXCHANGE, key)
                        channel.queue_unbind(queue, EXCHANGE, key)

    def _run(self) -> None:
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            empty = False
            while not (self.stop.is_set() and empty):
                self._remove_bindings(channel)
                empty = sum(self._relay(channel, queue) for queue in BINDINGS) == 0
                connection.process_data_events(0.05)
            for queue in BINDINGS:
                channel.queue_delete(f"drill.{queue}")

    def _remove_bindings(self, channel: BlockingChannel) -> None:
        """Remove the queues' own bindings, which their consumers declare again every few seconds."""
        with self._binding:
            for queue, keys in BINDINGS.items() if not self._is_closing else ():
                for key in keys:
                    channel.queue_unbind(queue, EXCHANGE, key)

    def _relay(self, channel: BlockingChannel, queue: str) -> int:
        deliveries: list[tuple[Any, Any, bytes]] = []
        while len(deliveries) < _BATCH:
            method, properties, body = channel.basic_get(f"drill.{queue}")
            if method is None:
                break
            deliveries.append((method, properties, body))
        copies = [delivery for delivery in deliveries for _ in range(self._count_copies(delivery[2]))]
        self.chance.shuffle(copies)
        for _, properties, body in copies:
            channel.basic_publish("", queue, body, properties)
        for method, _, _ in deliveries:
            channel.basic_ack(method.delivery_tag)
        return len(deliveries)

    def _count_copies(self, body: bytes) -> int:
        draw = self.chance.random()
        if draw < LOST and json.loads(body):
            self.lost += 1
            return 0
        return 2 if draw < LOST + DUPLICATED else 1
