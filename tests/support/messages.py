"""Messages in the broker: observe and publish them, and wait until they are processed."""

import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import httpx
import pika

from tests.support.system import System
from tests.support.waiting import wait_until

CLOUD_EVENT = "application/cloudevents+json"
_DELIVERIES = re.compile(r'^thumbmill_deliveries_total\{action="(\w+)",queue="\w+"\} (\S+)$', re.MULTILINE)


class QueuedMessage(NamedTuple):
    """A message of a queue, with all that is needed to publish it again."""

    body: bytes
    exchange: str
    key: str
    content_type: str
    user: str = ""  # the publisher, if the message names it


class Listener:
    """A temporary queue that receives copies of published messages."""

    def __init__(self, channel, queue):
        self._channel = channel
        self._queue = queue

    def take(self, count, timeout=30):
        """Wait for a number of messages and return them in the order of publication."""
        taken = []

        def enough():
            while len(taken) < count:
                method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
                if method is None:
                    return False
                kind, user = properties.content_type, properties.user_id or ""
                taken.append(QueuedMessage(body, method.exchange, method.routing_key, kind, user))
            return True

        wait_until(enough, timeout, f"{count} messages")
        return taken


@contextmanager
def listening(system: System, exchange, *keys):
    """Subscribe to an exchange."""
    with system.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        for key in keys:
            channel.queue_bind(queue, exchange, key)
        yield Listener(channel, queue)


def post(system: System, messages):
    """Publish messages in order, each confirmed: unconfirmed ones may be lost when the connection closes.

    Each is published by the user that it names, or else by the administrator.
    """
    with ExitStack() as open_:
        channels = {}
        for message in messages:
            if message.user not in channels:
                channels[message.user] = open_.enter_context(system.channel(message.user or "admin"))
                channels[message.user].confirm_delivery()
            properties = pika.BasicProperties(
                content_type=message.content_type, delivery_mode=2, user_id=message.user or None
            )
            channels[message.user].basic_publish(
                message.exchange, message.key, message.body, properties, mandatory=True
            )


def purge(system: System, *queues):
    """Purge queues that have no consumers."""
    with system.channel() as channel:
        for queue in queues:
            channel.queue_purge(queue)


def settled(system: System, port):
    """Count the messages that a consumer has settled since it started, by action; ``port`` names its admin port."""
    text = httpx.get(f"http://127.0.0.1:{system.ports[port]}/metrics").text
    return Counter({action: int(float(count)) for action, count in _DELIVERIES.findall(text)})


def wait_tracker(system: System, timeout=30):
    """Wait until the tracker has processed everything published before this moment."""
    now = datetime.now(UTC)
    wait_until(
        lambda: system.query("SELECT 1 FROM tracker_progress WHERE caught_up_to > %s", now),
        timeout,
        "the tracker to catch up",
    )


def wait_idle(system: System):
    """Wait until no message is in flight, including those that the tracker republishes."""

    def is_quiet():
        before = settled(system, "THUMBNAILER_HEALTH_PORT")
        wait_tracker(system)
        return (
            system.message_count("image_queue") == 0
            and system.metric("THUMBNAILER_HEALTH_PORT", 'thumbmill_messages_in_progress{queue="image_queue"}') == 0
            and settled(system, "THUMBNAILER_HEALTH_PORT") == before
        )

    wait_until(is_quiet, 60, "the system to be quiet")
