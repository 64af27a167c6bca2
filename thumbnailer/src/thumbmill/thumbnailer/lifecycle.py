"""The lifecycle events that the thumbnailer publishes about an image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Done, Failed, Processing, Removed, Retrying, Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.storage_events import StorageEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.retry_policy import DELAYS, Disposition
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.thumbnailer.metrics import EVENTS_PUBLISHED
from thumbmill.thumbnailer.sandbox.process import Decoded

log = structlog.get_logger()


@dataclass(frozen=True)
class ImageContext:
    """One version of an original and the attempt to process it: what all events about it have in common."""

    key: str
    object_version: ObjectVersion
    content_type: str | None
    file_name: str | None
    run_id: str
    attempt: int
    traceparent: str | None

    @classmethod
    def of(cls, event: StorageEvent, original: ObjectMetadata, message: Message) -> Self:
        """Describe the object that the bucket holds now, and the delivery that is about it."""
        return cls(
            key=event.key,
            object_version=original.object_version,
            content_type=original.content_type,
            file_name=original.file_name,
            run_id=message.run_id,
            attempt=message.attempt,
            traceparent=event.traceparent,
        )

    def processing(self) -> Processing:
        return Processing(**self._fields)

    def done(self, decoded: Decoded, variants: Sequence[Variant]) -> Done:
        image = decoded.image
        return Done(
            **self._fields,
            sha256=decoded.sha256,
            width=image.width,
            height=image.height,
            format=image.format,
            variants=list(variants),
            details=ImageDetails.model_validate(asdict(image.details)),
            damaged=image.damaged,
        )

    def failed(self, code: ErrorCode, detail: str = "") -> Failed:
        return Failed(**self._fields, error=Failure.from_code(code, detail))

    def retrying(self, disposition: Disposition) -> Retrying:
        due = datetime.now(UTC) + DELAYS[disposition.delay]
        return Retrying(**self._fields, next_attempt_at=due, reason=disposition.reason)

    @property
    def _fields(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "traceparent"}


def publish(
    event: Processing | Retrying | Done | Failed | Removed, publisher: Publisher, traceparent: str | None
) -> None:
    """Publish an event and wait for the confirm, except for ``Processing``, which the next event outdates."""
    envelope = to_cloud_event(event, by="thumbnailer", traceparent=traceparent)
    if isinstance(event, Processing):
        publisher.publish_unconfirmed(envelope)
    else:
        publisher.publish_event(envelope)
    EVENTS_PUBLISHED.labels(event.type.value).inc()
    log.info(event.type.value.replace(".", "_"))
