"""A delivery as a handler sees it: the body, where it came from, and what is known of earlier tries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.outcomes import SUSPECT_AFTER, Action, Verdict

ATTEMPT = "x-attempt"  # our own header: 4.x ignores an x-death that a client sends
DEFERRALS = "x-deferrals"
REASON = "x-reason"
CODE = "x-error-code"
ROUTING_KEY = "x-routing-key"  # survives the way through a delay queue
DIED_AT = "x-died-at"  # of a dead letter: when, ISO 8601, UTC
RUN = "x-run"  # of a redriven message: which run its facts belong to
REDRIVEN_BY, REDRIVEN_AT = "x-redriven-by", "x-redriven-at"
_GAVE_UP = "x-gave-up"  # what the broker's own record says, of which a delay queue knows nothing
_LASTING = (RUN, REDRIVEN_BY, REDRIVEN_AT)  # as long as the message is on its way
_DEATHS = "x-death"  # the broker's own record, the latest first
_BROKERS_COUNT = "x-delivery-count"
_BROKER_GAVE_UP = "delivery_limit"


@dataclass(frozen=True)
class Message:
    """One message; ``attempt`` counts from 1."""

    body: bytes
    routing_key: str
    content_type: str
    attempt: int = 1
    deferrals: int = 0
    earlier_deliveries: int = 0
    came_by: str = ""  # the key of this very delivery, while routing_key is that of the first
    gave_up: str = ""  # the queue in which it reached the broker's delivery limit
    lasting: Mapping[str, str] = field(default_factory=dict)  # headers of a redriven message

    @property
    def run(self) -> str:
        """Which run a redriven message belongs to; later ones sort after earlier ones, the first is empty."""
        return self.lasting.get(RUN, "")

    @property
    def redriven_by(self) -> str:
        """Who took it out of the dead queue the last time; empty for a message that never was there."""
        return self.lasting.get(REDRIVEN_BY, "")

    @property
    def is_suspect(self) -> bool:
        """Tell whether consumers may have died of this message."""
        return self.earlier_deliveries >= SUSPECT_AFTER

    @classmethod
    def read(cls, body: bytes, routing_key: str, content_type: str, headers: dict[str, Any]) -> "Message":
        """Take a delivery apart; headers that make no sense count as absent."""
        return cls(
            body=body,
            routing_key=str(headers.get(ROUTING_KEY, routing_key)),
            content_type=content_type,
            attempt=max(1, _count(headers.get(ATTEMPT), 1)),
            deferrals=_count(headers.get(DEFERRALS), 0),
            earlier_deliveries=_count(headers.get(_BROKERS_COUNT), 0),
            came_by=routing_key,
            gave_up=str(headers.get(_GAVE_UP) or find_limit(headers)),
            lasting={name: value for name in _LASTING if isinstance(value := headers.get(name), str)},
        )

    def headers_after(self, verdict: Verdict) -> dict[str, Any]:
        """Give the headers with which the message goes to a delay or dead queue."""
        headers: dict[str, Any] = {
            ATTEMPT: verdict.attempt,
            DEFERRALS: verdict.deferrals,
            ROUTING_KEY: self.routing_key,
            REASON: verdict.reason[:500],
            **self.lasting,
            **({_GAVE_UP: self.gave_up} if self.gave_up else {}),
        }
        if verdict.action is Action.DEAD_LETTER:
            headers[DIED_AT] = datetime.now(UTC).isoformat()
        return headers | ({CODE: verdict.code.value} if verdict.code else {})


def deaths(headers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the broker's record of where a message was dead-lettered, the latest first."""
    record = headers.get(_DEATHS)
    return [death for death in record if isinstance(death, dict)] if isinstance(record, list) else []


def find_limit(headers: Mapping[str, Any]) -> str:
    """Name the queue in which the broker has delivered a message too often, if there is one."""
    return next(
        (str(death.get("queue")) for death in deaths(headers) if death.get("reason") == _BROKER_GAVE_UP), ""
    )


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
