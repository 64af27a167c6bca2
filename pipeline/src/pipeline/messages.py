"""A delivery as a handler sees it: the body, where it came from, and what is known of earlier tries."""

from dataclasses import dataclass
from typing import Any

from pipeline.outcomes import SUSPECT_AFTER, Verdict

ATTEMPT = "x-attempt"  # our own header: 4.x ignores an x-death that a client sends
DEFERRALS = "x-deferrals"
REASON = "x-reason"
CODE = "x-error-code"
ROUTING_KEY = "x-routing-key"  # survives the way through a delay queue
_BROKERS_COUNT = "x-delivery-count"


@dataclass(frozen=True)
class Message:
    """One message; ``attempt`` counts from 1."""

    body: bytes
    routing_key: str
    content_type: str
    attempt: int = 1
    deferrals: int = 0
    earlier_deliveries: int = 0

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
        )

    def headers_after(self, verdict: Verdict) -> dict[str, Any]:
        """Give the headers with which the message goes to a delay or dead queue."""
        headers: dict[str, Any] = {
            ATTEMPT: verdict.attempt,
            DEFERRALS: verdict.deferrals,
            ROUTING_KEY: self.routing_key,
            REASON: verdict.reason[:500],
        }
        return headers | ({CODE: verdict.code.value} if verdict.code else {})


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
