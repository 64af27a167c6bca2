"""A bad postman between MinIO's events and the queues: loses some, doubles some, and mixes them up."""

import json
import random
import threading
from dataclasses import dataclass, field
from typing import Self

import pika

EXCHANGE = "storage.events"
# What is bound to the exchange by which routing key; see the topology.
BINDINGS = {"image_queue": ("immediate",), "status_tracker": ("immediate", "durable")}
LOST, DOUBLED = 0.1, 0.2
_HELD = 8  # letters that are mixed up together


@dataclass
class BadPostman:
    """Takes the place of two queues' bindings for a while; what is lost is lost for both or for one of them."""

    parameters: pika.ConnectionParameters
    chance: random.Random
    lost: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _binding: threading.Lock = field(default_factory=threading.Lock)
    _is_leaving: bool = False

    def __enter__(self) -> Self:
        self._rebind(queue_bind=False)
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._binding:
            self._is_leaving = True
            self._rebind(queue_bind=True)
        self.stop.set()
        if self._thread:
            self._thread.join()

    def _rebind(self, *, queue_bind: bool) -> None:
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            for queue, keys in BINDINGS.items():
                bad = f"drill.{queue}"
                channel.queue_declare(bad, durable=True)
                for key in keys:
                    if queue_bind:
                        channel.queue_bind(queue, EXCHANGE, key)
                        channel.queue_unbind(bad, EXCHANGE, key)
                    else:
                        channel.queue_bind(bad, EXCHANGE, key)
                        channel.queue_unbind(queue, EXCHANGE, key)

    def _deliver(self) -> None:
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            empty = False
            while not (self.stop.is_set() and empty):
                self._keep_out(channel)
                empty = sum(self._pass_on(channel, queue) for queue in BINDINGS) == 0
                connection.process_data_events(0.05)
            for queue in BINDINGS:
                channel.queue_delete(f"drill.{queue}")

    def _keep_out(self, channel) -> None:  # noqa: ANN001
        """Take the queues' own bindings away again, which their consumers put back every few seconds."""
        with self._binding:
            for queue, keys in BINDINGS.items() if not self._is_leaving else ():
                for key in keys:
                    channel.queue_unbind(queue, EXCHANGE, key)

    def _pass_on(self, channel, queue: str) -> int:  # noqa: ANN001
        letters = []
        while len(letters) < _HELD:
            method, properties, body = channel.basic_get(f"drill.{queue}")
            if method is None:
                break
            letters.append((method, properties, body))
        again = [letter for letter in letters for _ in range(self._copies(letter[2]))]
        self.chance.shuffle(again)
        for _, properties, body in again:
            channel.basic_publish("", queue, body, properties)
        for method, _, _ in letters:
            channel.basic_ack(method.delivery_tag)
        return len(letters)

    def _copies(self, body: bytes) -> int:
        draw = self.chance.random()
        if draw < LOST and json.loads(body):
            self.lost += 1
            return 0
        return 2 if draw < LOST + DOUBLED else 1
