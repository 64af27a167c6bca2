"""Who may say what: each kind of fact is believed of its own service alone.

An sender is a RabbitMQ user. Publishers name theirs in the property ``user_id``, and the broker refuses a message
that names another user than the connection's (https://www.rabbitmq.com/docs/validated-user-id). MinIO cannot set
it: its notifications are known by their exchange, to which nobody else may publish those routing keys. The
permissions in ``infra/rabbitmq/users.py`` say the same to the broker, and a test holds them equal to this table.
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
    EventType.PROCESSING: (THUMBNAILER,),
    EventType.RETRYING: (THUMBNAILER,),
    EventType.DONE: (THUMBNAILER,),
    EventType.FAILED: (THUMBNAILER,),
    EventType.REMOVED: (THUMBNAILER,),
    EventType.RETRY_REQUESTED: (GATEWAY,),
    EventType.VARIANTS_MISSING: (GATEWAY,),
    EventType.REDRIVEN: (OPERATOR,),
    EventType.DROPPED: (OPERATOR,),
    EventType.WATERMARK: (TRACKER,),
}
_SOURCES = {OPERATOR: "/cli"}  # what a CloudEvent calls its source, where that is not the user's name


def check_sender(event: CloudEvent, routing_key: str, sender: str, *, allow_unnamed: bool = False) -> None:
    """Make sure that an event is what its routing key says, and comes from who may say it. Raises NotAnEvent.

    ``sender``: the user that the broker vouches for, empty where the message names none. That is believed, by the
    routing key alone, only if ``allow_unnamed``: versions before this check named nobody.
    """
    if event.type.value != routing_key:
        raise MalformedEvent(f"it says {event.type.value}, and was published as {routing_key[:100]!r}")
    allowed = SENDERS.get(event.type, ())
    if not sender and allow_unnamed and allowed:
        return
    if not sender:
        raise MalformedEvent(
            f"{event.type.value} without the property user_id: set ACCEPT_UNNAMED_EVENTS=true while messages of a "
            "version that set none are in the queue, and redrive this one"
        )
    if sender not in allowed:
        raise MalformedEvent(f"{event.type.value} is not for RabbitMQ's user {sender!r} to say")
    if event.source != _SOURCES.get(sender, f"/{sender}"):
        raise MalformedEvent(f"RabbitMQ's user {sender!r} says that it is {event.source[:100]!r}")


def sign_dead_letter(secret: str, *parts: bytes) -> str:
    """Return a code (HMAC-SHA256, hexadecimal) that only who knows the secret can make of these parts.

    By it a consumer knows a dead letter of its own again, whoever sends it back.
    """
    code = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in (b"thumbmill dead letter", *parts):
        code.update(len(part).to_bytes(8, "big") + part)
    return code.hexdigest()
