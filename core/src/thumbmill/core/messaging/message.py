"""A delivery as a handler sees it: the body, where it came from, and what is known of earlier tries."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from thumbmill.core.contracts.senders import seal
from thumbmill.core.messaging.retry_policy import POISON_THRESHOLD, Action, Disposition
from thumbmill.core.messaging.topology import RETRY

ATTEMPT = "x-attempt"  # our own header: 4.x ignores an x-death that a client sends
DEFERRALS = "x-deferrals"
REASON = "x-reason"
CODE = "x-error-code"
ROUTING_KEY = "x-routing-key"  # of the first delivery, as the next two: they survive the way through a delay queue
EXCHANGE = "x-exchange"
AUTHOR = "x-author"
SEAL = "x-seal"  # of a dead letter: proves that the three above are what its consumer wrote
ORIGIN = (EXCHANGE, ROUTING_KEY, AUTHOR, SEAL)  # what a dead letter that is sent back has to bring along
DIED_AT = "x-died-at"  # of a dead letter: when, ISO 8601, UTC
RUN = "x-run"  # of a redriven message: which run its facts belong to
REDRIVEN_BY, REDRIVEN_AT = "x-redriven-by", "x-redriven-at"
LANE = "x-lane"  # of one that has to wait for its turn among its like
_GAVE_UP = "x-gave-up"  # what the broker's own record says, of which a delay queue knows nothing
_LASTING = (RUN, REDRIVEN_BY, REDRIVEN_AT, LANE)  # as long as the message is on its way
_DEATHS = "x-death"  # the broker's own record, the latest first
_BROKERS_COUNT = "x-delivery-count"
_BROKER_GAVE_UP = "delivery_limit"
_MOVED_BY = frozenset({RETRY, ""})  # to which consumers, operators and administrators publish, and nobody else


@dataclass(frozen=True)
class Account:
    """As whom a consumer speaks to RabbitMQ."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    """One message; ``attempt`` counts from 1. Exchange, routing key and author are those of its first delivery."""

    body: bytes
    routing_key: str
    content_type: str
    exchange: str = ""  # empty: somebody put it into the queue by hand
    author: str = ""  # the RabbitMQ user that published it, as the broker checked; empty: it names none
    attempt: int = 1
    deferrals: int = 0
    earlier_deliveries: int = 0
    came_by: str = ""  # the key of this very delivery, while routing_key is that of the first
    gave_up: str = ""  # the queue in which it reached the broker's delivery limit
    lasting: Mapping[str, str] = field(default_factory=dict)  # headers that stay with it

    @property
    def run_id(self) -> str:
        """Which run a redriven message belongs to; later ones sort after earlier ones, the first is empty."""
        return self.lasting.get(RUN, "")

    @property
    def lane(self) -> str:
        """Which lane it waits in; empty for most. The place where fairness by other things could be told, too."""
        return self.lasting.get(LANE, "")

    @property
    def redriven_by(self) -> str:
        """Who took it out of the dead queue the last time; empty for a message that never was there."""
        return self.lasting.get(REDRIVEN_BY, "")

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
        reader: Account | None = None,
    ) -> "Message":
        """Take a delivery apart; headers that make no sense count as absent.

        What the headers say of earlier deliveries is believed where only consumers publish. Who the first author
        was is believed of ``reader``, the consumer itself, which moved the message, and of its seal.
        """
        waited = exchange in _MOVED_BY
        known = headers if waited else {}
        message = cls(
            body=body,
            routing_key=_text(known, ROUTING_KEY) or routing_key,
            content_type=content_type,
            exchange=exchange,
            author=user_id,
            attempt=max(1, _count(known.get(ATTEMPT), 1)),
            deferrals=_count(known.get(DEFERRALS), 0),
            earlier_deliveries=_count(headers.get(_BROKERS_COUNT), 0),
            came_by=routing_key,
            gave_up=(_text(known, _GAVE_UP) or delivery_limit_queue(known)),
            lasting={name: value for name in _LASTING if isinstance(value := headers.get(name), str)},
        )
        return message._with_origin(known, reader) if waited else message

    def _with_origin(self, headers: Mapping[str, Any], reader: Account | None) -> "Message":
        """Find out how the message came the first time, which its headers say after it was moved."""
        told = replace(self, exchange=_text(headers, EXCHANGE), author=_text(headers, AUTHOR))
        if reader and (self.author == reader.user or told.has_seal(_text(headers, SEAL), reader)):
            return told
        return replace(self, exchange="", author="")

    def has_seal(self, code: str, account: Account) -> bool:
        """Tell whether the consumer with this account wrote down this message's origin."""
        return hmac.compare_digest(code.encode(), self.seal(account.secret).encode())

    def seal(self, secret: str) -> str:
        """Return what only the consumer with this secret can write of the message's origin."""
        return seal(secret, self.exchange.encode(), self.routing_key.encode(), self.author.encode(), self.body)

    def headers_after(self, verdict: Disposition, account: Account | None = None) -> dict[str, Any]:
        """Give the headers with which the message goes to a delay or dead queue, moved by the account's owner."""
        headers: dict[str, Any] = {
            ATTEMPT: verdict.attempt,
            DEFERRALS: verdict.deferrals,
            ROUTING_KEY: self.routing_key,
            EXCHANGE: self.exchange,
            AUTHOR: self.author,
            REASON: verdict.reason[:500],
            **self.lasting,
            **({LANE: verdict.lane} if verdict.lane else {}),
            **({_GAVE_UP: self.gave_up} if self.gave_up else {}),
        }
        if verdict.action is Action.DEAD_LETTER:
            headers[DIED_AT] = datetime.now(UTC).isoformat()
            headers |= {SEAL: self.seal(account.secret)} if account else {}
        return headers | ({CODE: verdict.code.value} if verdict.code else {})


def x_death_records(headers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the broker's record of where a message was dead-lettered, the latest first."""
    record = headers.get(_DEATHS)
    return [death for death in record if isinstance(death, dict)] if isinstance(record, list) else []


def delivery_limit_queue(headers: Mapping[str, Any]) -> str:
    """Name the queue in which the broker has delivered a message too often, if there is one."""
    return next(
        (str(death.get("queue")) for death in x_death_records(headers) if death.get("reason") == _BROKER_GAVE_UP),
        "",
    )


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name, "")
    return value if isinstance(value, str) else ""


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
