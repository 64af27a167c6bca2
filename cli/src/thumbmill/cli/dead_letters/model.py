"""Dead letters: their images, the reason, and how they are selected. Pure."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, parse_lifecycle_event
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.contracts.system_events import SystemEvent
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.dead_letters import RawDeadLetter
from thumbmill.core.messaging.message import (
    CODE,
    DEAD_LETTERED_AT,
    REASON,
    ROUTING_KEY,
    Message,
    find_delivery_limit_queue,
    x_death_records,
)
from thumbmill.core.messaging.topology import dead_letter_queue_name

MALFORMED_EVENT, DELIVERY_LIMIT, UNKNOWN = "malformed_event", "delivery_limit", "unknown"
_ID_DIGITS = 12  # 48 bits: enough to distinguish dead letters


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter with its parsed content. Those with the same body in the same queue have the same id."""

    raw: RawDeadLetter
    id: str
    queue: str  # the work queue that it was in
    keys: tuple[str, ...]  # object keys of its images
    code: str
    reason: str
    attempts: int
    dead_lettered_at: datetime | None
    routing_key: str  # of its first delivery; empty if unknown
    redriven_by: str = ""

    @property
    def image_ids(self) -> tuple[UUID, ...]:
        return tuple(image_id_of(key) for key in self.keys)

    def describe(self) -> dict[str, Any]:
        """Return the fields of ``list --json``."""
        images = [{"id": str(image_id_of(key)), "key": key} for key in self.keys]
        return {
            "id": self.id,
            "queue": self.queue,
            "images": images,
            "code": self.code,
            "reason": self.reason,
            "attempts": self.attempts,
            "dead_lettered_at": self.dead_lettered_at.isoformat() if self.dead_lettered_at else None,
            "redriven_by": self.redriven_by or None,
        }


def parse_dead_letter(raw: RawDeadLetter) -> DeadLetter:
    """Parse any dead letter, even one with an unreadable body or headers."""
    headers = raw.headers
    queue = raw.queue.removesuffix(dead_letter_queue_name(""))
    message = Message.read(raw.body, "", raw.content_type, headers)
    by_broker = bool(find_delivery_limit_queue(headers))
    reason = str(headers.get(REASON, ""))
    return DeadLetter(
        raw=raw,
        id=hashlib.sha256(raw.queue.encode() + b"\0" + raw.body).hexdigest()[:_ID_DIGITS],
        queue=queue,
        keys=_find_keys(raw),
        code=DELIVERY_LIMIT if by_broker else _find_code(headers),
        reason="delivered too often without an acknowledgement" if by_broker else reason,
        attempts=message.attempt,
        dead_lettered_at=_find_time(headers),
        routing_key=_find_routing_key(headers),
        redriven_by=message.redriven_by,
    )


def _find_keys(raw: RawDeadLetter) -> tuple[str, ...]:
    try:
        if raw.content_type == CONTENT_TYPE:
            data = parse_lifecycle_event(raw.body).data
            return () if isinstance(data, SystemEvent) else (data.key,)
        events = parse_storage_events(raw.body)
    except MalformedEvent:
        return ()
    return tuple(dict.fromkeys(event.key for event in events if event.bucket == ORIGINALS_BUCKET))


def _find_code(headers: dict[str, Any]) -> str:
    if CODE in headers:
        return str(headers[CODE])
    # Of all messages that the services dead-letter, only malformed events have no code.
    return MALFORMED_EVENT if REASON in headers else UNKNOWN


def _find_time(headers: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(headers[DEAD_LETTERED_AT])
    except (KeyError, TypeError, ValueError):
        pass
    latest = next((death.get("time") for death in x_death_records(headers)), None)
    if not isinstance(latest, datetime):
        return None
    return latest if latest.tzinfo else latest.replace(tzinfo=UTC)


def _find_routing_key(headers: dict[str, Any]) -> str:
    if ROUTING_KEY in headers:
        return str(headers[ROUTING_KEY])
    first = next((death.get("routing-keys") for death in reversed(x_death_records(headers))), None)
    return str(first[0]) if isinstance(first, list) and first else ""


@dataclass(frozen=True)
class Selection:
    """Selects dead letters by id (their own or an image's) and by reason."""

    everything: bool = False
    ids: frozenset[str] = field(default_factory=frozenset)
    codes: frozenset[str] = field(default_factory=frozenset)

    def matches(self, dead_letter: DeadLetter) -> bool:
        """Return whether the dead letter is selected."""
        if self.everything:
            return True
        if not self.ids and not self.codes:
            return False
        ids = {dead_letter.id, *map(str, dead_letter.image_ids)}
        return (not self.ids or bool(self.ids & ids)) and (not self.codes or dead_letter.code in self.codes)


def format_body(raw: RawDeadLetter) -> str:
    """Return a body for people: indented JSON, or the plain text."""
    try:
        return json.dumps(json.loads(raw.body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw.body.decode(errors="backslashreplace")
