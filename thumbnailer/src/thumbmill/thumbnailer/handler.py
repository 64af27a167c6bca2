"""The way of one event: make images-processed match what the bucket of originals holds now.

The event is a hint, the bucket is the truth. Nothing is said of an object that was not read, and the bucket is
asked once more before it is said. Whoever deletes variants looks for an original afterwards, so two workers on one
key may tread on each other's variants and still end with the right ones.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import (
    Done,
    Failed,
    Failure,
    LifecycleEvent,
    Processing,
    Removed,
    Retrying,
    Variant,
)
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    VARIANTS_BUCKET,
    image_id_of,
    variant_key,
    variant_prefix,
)
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.storage_events import StorageEvent, parse_storage_events
from thumbmill.core.errors import GiveUp, MalformedEvent, RetryLater
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.retry_policy import DELAYS, Action, Disposition
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError, PreconditionFailedError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.thumbnailer.imaging.model import EncodedVariant
from thumbmill.thumbnailer.metrics import SUPERSEDED, TOLD, WITHDRAWN
from thumbmill.thumbnailer.sandbox.pool import SLOW_LANE
from thumbmill.thumbnailer.sandbox.process import Decoded

log = structlog.get_logger()

ROUNDS = 5  # how often an object may change while it is in hand; then its message waits

Tell = Callable[[LifecycleEvent], None]
About = dict[str, Any]  # what every fact about an object has in common


@dataclass(frozen=True)
class _Task:
    tries: About
    tell: Tell
    slow: bool  # its turn in the lane of slow pictures has come


class Decodes(Protocol):
    """What makes pictures of bytes; see ``decoder.Decoder``."""

    def decode(self, data: bytes, *, slow: bool) -> Decoded: ...

    def check_turn(self) -> None: ...


@dataclass(frozen=True)
class Thumbnailer:
    """What it takes to make thumbnails; one instance serves all workers."""

    storage: Storage
    decoder: Decodes
    max_bytes: int  # of an original
    version: str  # of what is made of it; part of every variant's key

    def handle(self, message: Message, publisher: Publisher) -> None:
        """Follow a bucket notification. Returns or raises by the table in ``thumbmill.core.messaging.retry_policy``."""
        slow = message.lane == SLOW_LANE
        if slow:
            self.decoder.check_turn()
        failures = []
        for event in parse_storage_events(message.body):
            if not event.is_ours:
                IGNORED.labels("other bucket" if event.bucket != ORIGINALS_BUCKET else "other event").inc()
                continue
            structlog.contextvars.bind_contextvars(image_id=str(event.image_id))
            task = _Task(_tries(message), partial(_tell, publisher, event.traceparent), slow)
            outcome = self._follow(event, task)
            failures += [outcome.error] if isinstance(outcome, Failed) else []
        if failures:
            raise GiveUp(failures[0].code, failures[0].detail)

    def _follow(self, event: StorageEvent, task: _Task) -> Done | Failed | None:
        """Do what an event calls for; return what came out, or None where the object is gone or replaced."""
        gone = event.is_removal
        etag = event.object_version.etag if event.object_version else None
        for _ in range(ROUNDS):
            if gone:
                self._withdraw(self.storage.list_keys(VARIANTS_BUCKET, variant_prefix(event.image_id)))
            try:
                if outcome := self._process(event.key, etag, task):
                    return outcome
            except PreconditionFailedError:
                SUPERSEDED.inc()  # the newer object has an event of its own
                return None
            except ObjectNotFoundError:
                if gone:
                    task.tell(Removed(key=event.key, cause=event.sequencer))
                    return None
                gone = True
            etag = None  # another worker's variants may have been withdrawn: make those of whatever is there now
        raise RetryLater(f"the object changed {ROUNDS} times while it was in hand")

    def _process(self, key: str, etag: str | None, task: _Task) -> Done | Failed | None:
        """Make what the bucket holds into variants and tell; None if it holds something else by then.

        Raises NotThereError, and ChangedError for an object with another ETag than this.
        """
        about, data = self._fetch(key, etag, task)
        outcome = self._make(about, data, slow=task.slow)
        if not self._still_holds(about):
            self._withdraw([variant.key for variant in outcome.variants] if isinstance(outcome, Done) else [])
            return None
        task.tell(outcome)
        return outcome

    # --- the steps -----------------------------------------------------------------------------------------

    def _fetch(self, key: str, etag: str | None, task: _Task) -> tuple[About, bytes]:
        try:
            with self.storage.open(ORIGINALS_BUCKET, key, etag=etag) as (head, body):
                about = _about(key, head, task.tries)
                task.tell(Processing(**about))
                return about, body.read() if head.object_version.size <= self.max_bytes else b""
        except InvalidKeyError as fault:
            raise MalformedEvent(f"no object can have the key {key!r}: {fault}") from fault

    def _make(self, about: About, data: bytes, *, slow: bool) -> Done | Failed:
        """Decode the original and store its variants; a picture's own fault is an outcome like any other."""
        try:
            self._check_size(about["object_version"].size)
            decoded = self.decoder.decode(data, slow=slow)
        except GiveUp as fault:
            return Failed(**about, error=Failure.from_code(fault.code, fault.detail))
        picture = decoded.picture
        variants = [self._store(about["key"], decoded.sha256, rendition) for rendition in picture.variants]
        return Done(
            **about,
            sha256=decoded.sha256,
            width=picture.width,
            height=picture.height,
            format=picture.format,
            variants=variants,
            details=ImageDetails.model_validate(asdict(picture.details)),
            damaged=picture.damaged,
        )

    def _check_size(self, size: int) -> None:
        if size == 0:
            raise GiveUp(ErrorCode.EMPTY_FILE)
        if size > self.max_bytes:
            raise GiveUp(ErrorCode.FILE_TOO_LARGE, f"{size} bytes, more than {self.max_bytes}")

    def _store(self, original: str, sha256: str, rendition: EncodedVariant) -> Variant:
        key = variant_key(image_id_of(original), sha256, rendition.preset, self.version, rendition.extension)
        self.storage.put(VARIANTS_BUCKET, key, rendition.data, rendition.content_type)
        return Variant(
            type=rendition.preset,
            key=key,
            width=rendition.width,
            height=rendition.height,
            bytes=len(rendition.data),
            content_type=rendition.content_type,
        )

    def _still_holds(self, about: About) -> bool:
        found = self._find(about["key"])
        return found is not None and found.object_version == about["object_version"]

    def _find(self, key: str) -> ObjectMetadata | None:
        try:
            return self.storage.head(ORIGINALS_BUCKET, key)
        except ObjectNotFoundError:
            return None

    def _withdraw(self, keys: list[str]) -> None:
        if keys:
            self.storage.delete_all(VARIANTS_BUCKET, keys)
            WITHDRAWN.inc(len(keys))

    # --- what is told when an attempt failed ---------------------------------------------------------------

    def announce(self, message: Message, verdict: Disposition, publisher: Publisher) -> None:
        """Tell of an attempt that failed, if the bucket still holds what the message is about.

        A picture's own fault was told when it showed, ``RetryLater`` costs no attempt, and a body that is no event
        is about nothing.
        """
        delayed = verdict.action is Action.DELAY and verdict.attempt > message.attempt
        exhausted = verdict.action is Action.DEAD_LETTER and verdict.code is not None
        for event in parse_storage_events(message.body) if delayed or exhausted else []:
            head = self._find(event.key) if event.is_ours and event.object_version else None
            if not head or not event.object_version or head.object_version.etag != event.object_version.etag:
                continue
            about = _about(event.key, head, _tries(message))
            tell = partial(_tell, publisher, event.traceparent)
            if delayed:
                due = datetime.now(UTC) + DELAYS[verdict.delay]
                tell(Retrying(**about, next_attempt_at=due, reason=verdict.reason))
            else:
                tell(Failed(**about, error=Failure.from_code(ErrorCode.ATTEMPTS_EXHAUSTED)))


def _tries(message: Message) -> About:
    return {"attempt": message.attempt, "run_id": message.run_id}


def _about(key: str, head: ObjectMetadata, tries: About) -> About:
    return {
        "key": key,
        "object_version": head.object_version,
        "content_type": head.content_type,
        "file_name": head.file_name,
        **tries,
    }


def _tell(publisher: Publisher, traceparent: str | None, fact: LifecycleEvent) -> None:
    event = to_cloud_event(fact, by="thumbnailer", traceparent=traceparent)
    if isinstance(fact, Processing):
        publisher.publish_unconfirmed(event)  # the next fact outdates it, so nothing waits for its confirm
    else:
        publisher.publish_event(event)
    TOLD.labels(fact.type.value).inc()
    log.info(fact.type.value)
