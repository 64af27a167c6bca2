"""A message as a handler gets it: its body, its origin, and what its headers record about earlier deliveries."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from thumbmill.core.contracts.senders import sign_dead_letter
from thumbmill.core.messaging.retry_policy import POISON_THRESHOLD, Action, Disposition
from thumbmill.core.messaging.topology import RETRY

ATTEMPT = "x-attempt"  # not x-death: RabbitMQ 4 ignores one that a client sends
DEFERRALS = "x-deferrals"
REASON = "x-reason"
CODE = "x-error-code"
# Of the first delivery; these three are copied through a delay queue.
ROUTING_KEY = "x-routing-key"
EXCHANGE = "x-exchange"
SENDER = "x-author"
SIGNATURE = "x-seal"  # of a dead letter: a signature by its consumer of the three above
ORIGIN = (EXCHANGE, ROUTING_KEY, SENDER, SIGNATURE)  # what a redriven dead letter must have
DEAD_LETTERED_AT = "x-died-at"  # of a dead letter: ISO 8601, UTC
RUN_ID = "x-run"  # of a redriven message: the run that events about it belong to
REDRIVEN_BY, REDRIVEN_AT = "x-redriven-by", "x-redriven-at"
LANE = "x-lane"  # of a message that waits until its lane is free
_DELIVERY_LIMIT_QUEUE = "x-gave-up"  # copied from x-death, which a delay queue overwrites
_STICKY = (RUN_ID, REDRIVEN_BY, REDRIVEN_AT, LANE)  # headers that stay with a message in all queues
_X_DEATH = "x-death"  # RabbitMQ's own record, the latest entry first
_DELIVERY_COUNT = "x-delivery-count"  # RabbitMQ's own
_DELIVERY_LIMIT_REASON = "delivery_limit"  # in x-death
_TRUSTED_EXCHANGES = frozenset({RETRY, ""})  # only consumers, operators and administrators may publish to these


@dataclass(frozen=True)
class BrokerCredentials:
    """The RabbitMQ user of a service, with its password."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    """One message. Exchange, routing key and sender are those of its first delivery."""

    body: bytes
    routing_key: str
    content_type: str
    exchange: str = ""  # empty: published to the queue directly, by an administrator
    sender: str = ""  # the RabbitMQ user that published it, as verified by RabbitMQ; empty: not named
    attempt: int = 1
    deferrals: int = 0  # delays that cost no attempt
    earlier_deliveries: int = 0  # of this message in this queue, without a decision
    delivery_routing_key: str = ""  # of this delivery, not of the first one
    delivery_limit_queue: str = ""  # the queue where the message reached RabbitMQ's delivery limit
    sticky_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The run of a redriven message; later runs sort after earlier ones, the first is empty."""
        return self.sticky_headers.get(RUN_ID, "")

    @property
    def lane(self) -> str:
        """The lane that the message waits for; empty for most."""
        return self.sticky_headers.get(LANE, "")

    @property
    def redriven_by(self) -> str:
        """The operator who redrove the message last; empty for a message that was never redriven."""
        return self.sticky_headers.get(REDRIVEN_BY, "")

    @property
    def is_possible_poison(self) -> bool:
        """Whether the message may have crashed its consumers."""
        return self.earlier_deliveries >= POISON_THRESHOLD

    @classmethod
    def read(
        cls,
        body: bytes,
        routing_key: str,
        content_type: str,
        headers: dict[str, Any],
        *,
        exchange: str = "",
        user_id: str = "",
        reader: BrokerCredentials | None = None,
    ) -> "Message":
        """Parse a delivery; invalid headers count as absent.

        Headers about earlier deliveries are trusted if only consumers can have published them. Headers about the
        origin are trusted if ``reader``, the consumer itself, published the message or signed it.
        """
        is_moved = exchange in _TRUSTED_EXCHANGES
        trusted = headers if is_moved else {}
        message = cls(
            body=body,
            routing_key=_text(trusted, ROUTING_KEY) or routing_key,
            content_type=content_type,
            exchange=exchange,
            sender=user_id,
            attempt=max(1, _count(trusted.get(ATTEMPT), 1)),
            deferrals=_count(trusted.get(DEFERRALS), 0),
            earlier_deliveries=_count(headers.get(_DELIVERY_COUNT), 0),
            delivery_routing_key=routing_key,
            delivery_limit_queue=(_text(trusted, _DELIVERY_LIMIT_QUEUE) or find_delivery_limit_queue(trusted)),
            sticky_headers={name: value for name in _STICKY if isinstance(value := headers.get(name), str)},
        )
        return message._with_origin(trusted, reader) if is_moved else message

    def _with_origin(self, headers: Mapping[str, Any], reader: BrokerCredentials | None) -> "Message":
        """Return the message with exchange and sender of its first delivery, if those headers can be trusted."""
        original = replace(self, exchange=_text(headers, EXCHANGE), sender=_text(headers, SENDER))
        if reader and (self.sender == reader.user or original.has_signature(_text(headers, SIGNATURE), reader)):
            return original
        return replace(self, exchange="", sender="")

    def has_signature(self, signature: str, credentials: BrokerCredentials) -> bool:
        """Return whether the consumer with these credentials signed this message's origin."""
        return hmac.compare_digest(signature.encode(), self.signature(credentials.secret).encode())

    def signature(self, secret: str) -> str:
        """Return the signature of this message's origin, which only the consumer with this secret can make."""
        origin = (self.exchange, self.routing_key, self.sender)
        return sign_dead_letter(secret, *(part.encode() for part in origin), self.body)

    def headers_after(
        self, disposition: Disposition, credentials: BrokerCredentials | None = None
    ) -> dict[str, Any]:
        """Return the headers with which the message moves to a delay queue or to the dead letter queue."""
        headers: dict[str, Any] = {
            ATTEMPT: disposition.attempt,
            DEFERRALS: disposition.deferrals,
            ROUTING_KEY: self.routing_key,
            EXCHANGE: self.exchange,
            SENDER: self.sender,
            REASON: disposition.reason[:500],
            **self.sticky_headers,
            **({LANE: disposition.lane} if disposition.lane else {}),
            **({_DELIVERY_LIMIT_QUEUE: self.delivery_limit_queue} if self.delivery_limit_queue else {}),
        }
        if disposition.action is Action.DEAD_LETTER:
            headers[DEAD_LETTERED_AT] = datetime.now(UTC).isoformat()
            headers |= {SIGNATURE: self.signature(credentials.secret)} if credentials else {}
        return headers | ({CODE: disposition.code.value} if disposition.code else {})


def x_death_records(headers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return RabbitMQ's records of where a message was dead-lettered, the latest first."""
    records = headers.get(_X_DEATH)
    return [death for death in records if isinstance(death, dict)] if isinstance(records, list) else []


def find_delivery_limit_queue(headers: Mapping[str, Any]) -> str:
    """Return the queue where a message reached RabbitMQ's delivery limit, or an empty text."""
    deaths = (death for death in x_death_records(headers) if death.get("reason") == _DELIVERY_LIMIT_REASON)
    return next((str(death.get("queue")) for death in deaths), "")


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name, "")
    return value if isinstance(value, str) else ""


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
