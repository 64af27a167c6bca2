"""The senders of events: each event type is accepted only from its own service.

A sender is a RabbitMQ user. Publishers name theirs in the property ``user_id``, and RabbitMQ rejects a message that
names another user than the connection's (https://www.rabbitmq.com/docs/validated-user-id). MinIO cannot set it: its
events are identified by their exchange, to which no other user may publish those routing keys. The permissions in
``infra/rabbitmq/users.py`` enforce the same in RabbitMQ, and a test holds them equal to this table.
"""

import hashlib
import hmac

from thumbmill.core.contracts.base import EventType
from thumbmill.core.contracts.cloud_event import CloudEvent
from thumbmill.core.errors import MalformedEvent

GATEWAY, THUMBNAILER, TRACKER, OPERATOR, MINIO = "gateway", "thumbnailer", "status-tracker", "operator", "minio"

# A type that is missing here is accepted from no sender: tracker.repaired and the like are never published.
SENDERS: dict[EventType, tuple[str, ...]] = {
    EventType.REQUESTED: (GATEWAY,),
    EventType.EXPIRED: (GATEWAY, TRACKER),
    EventType.PROCESSING: (THUMBNAILER,),
    EventType.RETRYING: (THUMBNAILER,),
    EventType.DONE: (THUMBNAILER,),
    EventType.FAILED: (THUMBNAILER,),
    EventType.REMOVED: (THUMBNAILER,),
    EventType.RETRY_REQUESTED: (GATEWAY,),
    EventType.VARIANTS_MISSING: (GATEWAY,),
    EventType.RECONCILIATION_REQUESTED: (GATEWAY,),
    EventType.REDRIVE_REQUESTED: (GATEWAY,),
    EventType.WORKER_ALIVE: (THUMBNAILER,),
    EventType.REDRIVEN: (OPERATOR,),
    EventType.DROPPED: (OPERATOR,),
    EventType.WATERMARK: (TRACKER,),
}
_SOURCES = {OPERATOR: "/cli"}  # the source of a CloudEvent, where that is not the user's name


def check_sender(event: CloudEvent, routing_key: str, sender: str, *, allow_unnamed: bool = False) -> None:
    """Raise MalformedEvent unless an event has the type of its routing key, and a sender that may publish it.

    ``sender`` is the user that RabbitMQ has verified, empty if the message names none. Such a message is accepted
    by its routing key if ``allow_unnamed`` is set: versions before this check named no user.
    """
    if event.type.value != routing_key:
        raise MalformedEvent(f"its type is {event.type.value}, and its routing key {routing_key[:100]!r}")
    allowed = SENDERS.get(event.type, ())
    if not sender and allow_unnamed and allowed:
        return
    if not sender:
        raise MalformedEvent(
            f"{event.type.value} without the property user_id: set ACCEPT_UNNAMED_EVENTS=true while messages of a "
            "version that did not set it are in the queue, and redrive this one"
        )
    if sender not in allowed:
        raise MalformedEvent(f"RabbitMQ's user {sender!r} may not publish {event.type.value}")
    if event.source != _SOURCES.get(sender, f"/{sender}"):
        raise MalformedEvent(f"RabbitMQ's user {sender!r} names {event.source[:100]!r} as the source")


def sign_dead_letter(secret: str, *parts: bytes) -> str:
    """Return the signature of these parts (HMAC-SHA256, hexadecimal).

    By it a consumer recognizes its own dead letters when they are redriven by another user.
    """
    code = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in (b"thumbmill dead letter", *parts):
        code.update(len(part).to_bytes(8, "big") + part)
    return code.hexdigest()
