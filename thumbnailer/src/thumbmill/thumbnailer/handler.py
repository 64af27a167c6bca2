"""Handles bucket events: makes images-processed match what images-original holds now.

An event only names the key to look at; what the bucket holds decides. No event is published about an object that
was not read, and the bucket is checked once more before publishing. A worker that deletes variants looks for an
original afterwards. So two workers on one key may delete each other's variants and still end with the right ones.
"""

from dataclasses import dataclass

import structlog

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Done, Failed, Removed
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.storage_events import StorageEvent, parse_storage_events
from thumbmill.core.errors import MalformedEvent, RetryLater
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.retry_policy import Action, Disposition
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError, PreconditionFailedError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.thumbnailer.lifecycle import ImageContext, publish
from thumbmill.thumbnailer.metrics import OUTCOMES
from thumbmill.thumbnailer.sandbox.pool import SLOW_LANE, Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected
from thumbmill.thumbnailer.variants import VariantStore

MAX_ATTEMPTS_ON_CHANGE = 5  # attempts at an object that is replaced meanwhile; then its message is delayed


@dataclass(frozen=True)
class Thumbnailer:
    """Makes thumbnails; one instance serves all workers."""

    storage: Storage
    variants: VariantStore
    decoder: Decoder
    max_bytes: int  # of an original

    def handle(self, message: Message, publisher: Publisher) -> None:
        """Process the bucket events of a message. Return or raise as ``core.messaging.retry_policy`` lists."""
        if message.lane == SLOW_LANE:
            self.decoder.check_slow_slot()
        for event in parse_storage_events(message.body):
            if not event.is_about_original:
                IGNORED.labels("other bucket" if event.bucket != ORIGINALS_BUCKET else "other event").inc()
                continue
            structlog.contextvars.bind_contextvars(image_id=str(event.image_id))
            OUTCOMES.labels(self._process_event(event, message, publisher)).inc()

    def _process_event(self, event: StorageEvent, message: Message, publisher: Publisher) -> str:
        """Return the outcome: ``done``, ``failed``, ``removed``, or ``superseded`` by a newer upload."""
        missing = event.is_removal
        etag = event.object_version.etag if event.object_version else None
        for _ in range(MAX_ATTEMPTS_ON_CHANGE):
            if missing:
                self.variants.delete_all(event.image_id)
            try:
                if result := self._process_object(event, etag, message, publisher):
                    return "done" if isinstance(result, Done) else "failed"
            except PreconditionFailedError:
                return "superseded"  # the newer object has an event of its own
            except ObjectNotFoundError:
                if missing:
                    publish(Removed(key=event.key, cause=event.sequencer), publisher, event.traceparent)
                    return "removed"
                missing = True
            etag = None  # variants of a newer object may have been deleted: process the object that is there now
        raise RetryLater(f"the object changed {MAX_ATTEMPTS_ON_CHANGE} times while it was being processed")

    def _process_object(
        self, event: StorageEvent, etag: str | None, message: Message, publisher: Publisher
    ) -> Done | Failed | None:
        """Make the variants of an object and publish the result; return None if it was replaced meanwhile.

        Raise ObjectNotFoundError, or PreconditionFailedError if the object has another ETag than ``etag``.
        """
        context, data = self._fetch(event, etag, message, publisher)
        result = self._render(context, data, slow=message.lane == SLOW_LANE)
        if not self._is_current(context):
            self.variants.delete(result.variants if isinstance(result, Done) else [])
            return None
        publish(result, publisher, context.traceparent)
        return result

    def _fetch(
        self, event: StorageEvent, etag: str | None, message: Message, publisher: Publisher
    ) -> tuple[ImageContext, bytes]:
        try:
            with self.storage.open(ORIGINALS_BUCKET, event.key, etag=etag) as (original, body):
                context = ImageContext.of(event, original, message)
                publish(context.processing(), publisher, context.traceparent)
                return context, body.read() if original.object_version.size <= self.max_bytes else b""
        except InvalidKeyError as error:
            raise MalformedEvent(f"no object can have the key {event.key!r}: {error}") from error

    def _render(self, context: ImageContext, data: bytes, *, slow: bool) -> Done | Failed:
        """Decode the original and store its variants."""
        decoded = self._reject_size(context.object_version.size) or self.decoder.decode(data, slow=slow)
        if isinstance(decoded, Rejected):
            return context.failed(decoded.code, decoded.detail)
        return context.done(decoded, self.variants.put_all(context.key, decoded))

    def _reject_size(self, size: int) -> Rejected | None:
        if size == 0:
            return Rejected(ErrorCode.EMPTY_FILE)
        if size > self.max_bytes:
            return Rejected(ErrorCode.FILE_TOO_LARGE, f"{size} bytes, more than {self.max_bytes}")
        return None

    def _is_current(self, context: ImageContext) -> bool:
        original = self._find(context.key)
        return original is not None and original.object_version == context.object_version

    def _find(self, key: str) -> ObjectMetadata | None:
        try:
            return self.storage.head(ORIGINALS_BUCKET, key)
        except ObjectNotFoundError:
            return None

    def on_failure(self, message: Message, disposition: Disposition, publisher: Publisher) -> None:
        """Publish that an attempt failed, if the bucket still holds the object version that the message names."""
        delayed = disposition.action is Action.DELAY
        for event in parse_storage_events(message.body):
            named = event.object_version
            original = self._find(event.key) if event.is_about_original and named else None
            if not original or not named or original.object_version.etag != named.etag:
                continue
            context = ImageContext.of(event, original, message)
            failure = context.retrying(disposition) if delayed else context.failed(ErrorCode.ATTEMPTS_EXHAUSTED)
            publish(failure, publisher, context.traceparent)
