"""A delivery as a handler sees it: the body, where it came from, and what is known of earlier tries."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from thumbmill.core.contracts.senders import sign_dead_letter
from thumbmill.core.messaging.retry_policy import POISON_THRESHOLD, Action, Disposition
from thumbmill.core.messaging.topology import RETRY

ATTEMPT = "x-attempt"  # our own header: 4.x ignores an x-death that a client sends
DEFERRALS = "x-deferrals"
REASON = "x-reason"
CODE = "x-error-code"
ROUTING_KEY = "x-routing-key"  # of the first delivery, as the next two: they survive the way through a delay queue
EXCHANGE = "x-exchange"
SENDER = "x-author"
SIGNATURE = "x-seal"  # of a dead letter: proves that the three above are what its consumer wrote
ORIGIN = (EXCHANGE, ROUTING_KEY, SENDER, SIGNATURE)  # what a dead letter that is sent back has to bring along
DEAD_LETTERED_AT = "x-died-at"  # of a dead letter: when, ISO 8601, UTC
RUN_ID = "x-run"  # of a redriven message: which run its facts belong to
REDRIVEN_BY, REDRIVEN_AT = "x-redriven-by", "x-redriven-at"
LANE = "x-lane"  # of one that has to wait for its turn among its like
_DELIVERY_LIMIT_QUEUE = "x-gave-up"  # what the broker's own record says, of which a delay queue knows nothing
_STICKY = (RUN_ID, REDRIVEN_BY, REDRIVEN_AT, LANE)  # as long as the message is on its way
_DEATHS = "x-death"  # the broker's own record, the latest first
_BROKERS_COUNT = "x-delivery-count"
_DELIVERY_LIMIT_REASON = "delivery_limit"
_MOVED_BY = frozenset({RETRY, ""})  # to which consumers, operators and administrators publish, and nobody else


@dataclass(frozen=True)
class BrokerCredentials:
    """As whom a consumer speaks to RabbitMQ."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    """One message; ``attempt`` counts from 1. Exchange, routing key and sender are those of its first delivery."""

    body: bytes
    routing_key: str
    content_type: str
    exchange: str = ""  # empty: somebody put it into the queue by hand
    sender: str = ""  # the RabbitMQ user that published it, as the broker checked; empty: it names none
    attempt: int = 1
    deferrals: int = 0
    earlier_deliveries: int = 0
    delivery_routing_key: str = ""  # the key of this very delivery, while routing_key is that of the first
    delivery_limit_queue: str = ""  # the queue in which it reached the broker's delivery limit
    sticky_headers: Mapping[str, str] = field(default_factory=dict)  # headers that stay with it

    @property
    def run_id(self) -> str:
        """Which run a redriven message belongs to; later ones sort after earlier ones, the first is empty."""
        return self.sticky_headers.get(RUN_ID, "")

    @property
    def lane(self) -> str:
        """Which lane it waits in; empty for most. The place where fairness by other things could be told, too."""
        return self.sticky_headers.get(LANE, "")

    @property
    def redriven_by(self) -> str:
        """Who took it out of the dead queue the last time; empty for a message that never was there."""
        return self.sticky_headers.get(REDRIVEN_BY, "")

    @property
    def is_possible_poison(self) -> bool:
        """Tell whether consumers may have died of this message."""
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
        """Take a delivery apart; headers that make no sense count as absent.

        What the headers say of earlier deliveries is believed where only consumers publish. Who the first sender
        was is believed of ``reader``, the consumer itself, which moved the message, and of its seal.
        """
        waited = exchange in _MOVED_BY
        known = headers if waited else {}
        message = cls(
            body=body,
            routing_key=_text(known, ROUTING_KEY) or routing_key,
            content_type=content_type,
            exchange=exchange,
            sender=user_id,
            attempt=max(1, _count(known.get(ATTEMPT), 1)),
            deferrals=_count(known.get(DEFERRALS), 0),
            earlier_deliveries=_count(headers.get(_BROKERS_COUNT), 0),
            delivery_routing_key=routing_key,
            delivery_limit_queue=(_text(known, _DELIVERY_LIMIT_QUEUE) or find_delivery_limit_queue(known)),
            sticky_headers={name: value for name in _STICKY if isinstance(value := headers.get(name), str)},
        )
        return message._with_origin(known, reader) if waited else message

    def _with_origin(self, headers: Mapping[str, Any], reader: BrokerCredentials | None) -> "Message":
        """Find out how the message came the first time, which its headers say after it was moved."""
        told = replace(self, exchange=_text(headers, EXCHANGE), sender=_text(headers, SENDER))
        if reader and (self.sender == reader.user or told.has_signature(_text(headers, SIGNATURE), reader)):
            return told
        return replace(self, exchange="", sender="")

    def has_signature(self, code: str, credentials: BrokerCredentials) -> bool:
        """Tell whether the consumer with this credentials wrote down this message's origin."""
        return hmac.compare_digest(code.encode(), self.signature(credentials.secret).encode())

    def signature(self, secret: str) -> str:
        """Return what only the consumer with this secret can write of the message's origin."""
        return sign_dead_letter(
            secret, self.exchange.encode(), self.routing_key.encode(), self.sender.encode(), self.body
        )

    def headers_after(self, verdict: Disposition, credentials: BrokerCredentials | None = None) -> dict[str, Any]:
        """Return the headers with which the message is moved to a delay queue or to the dead letter queue."""
        headers: dict[str, Any] = {
            ATTEMPT: verdict.attempt,
            DEFERRALS: verdict.deferrals,
            ROUTING_KEY: self.routing_key,
            EXCHANGE: self.exchange,
            SENDER: self.sender,
            REASON: verdict.reason[:500],
            **self.sticky_headers,
            **({LANE: verdict.lane} if verdict.lane else {}),
            **({_DELIVERY_LIMIT_QUEUE: self.delivery_limit_queue} if self.delivery_limit_queue else {}),
        }
        if verdict.action is Action.DEAD_LETTER:
            headers[DEAD_LETTERED_AT] = datetime.now(UTC).isoformat()
            headers |= {SIGNATURE: self.signature(credentials.secret)} if credentials else {}
        return headers | ({CODE: verdict.code.value} if verdict.code else {})


def x_death_records(headers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the broker's record of where a message was dead-lettered, the latest first."""
    record = headers.get(_DEATHS)
    return [death for death in record if isinstance(death, dict)] if isinstance(record, list) else []


def find_delivery_limit_queue(headers: Mapping[str, Any]) -> str:
    """Name the queue in which the broker has delivered a message too often, if there is one."""
    return next(
        (
            str(death.get("queue"))
            for death in x_death_records(headers)
            if death.get("reason") == _DELIVERY_LIMIT_REASON
        ),
        "",
    )


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name, "")
    return value if isinstance(value, str) else ""


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
