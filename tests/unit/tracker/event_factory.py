"""Events about one image, as the services publish them."""

from datetime import UTC, datetime, timedelta

from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import (
    Done,
    Failed,
    LifecycleEvent,
    Processing,
    Removed,
    Retrying,
    UploadExpired,
    UploadRequested,
    Variant,
)
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    ObjectVersion,
    image_id_of,
    new_image_id,
    upload_key,
    variant_key,
)
from thumbmill.core.contracts.image_details import GeoPoint, ImageDetails
from thumbmill.core.contracts.interventions import DriftRepaired, Dropped, Redriven, RetryRequested, VariantsMissing
from thumbmill.core.contracts.storage_events import StorageEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import IMMEDIATE, LIFECYCLE
from thumbmill.tracker.timeline import TimelineEvent, from_lifecycle_event, from_storage_event, read_message

KEY = "holiday/ä b+c 100%.jpg"
OWN_KEY = upload_key(new_image_id())
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
V1 = ObjectVersion("1" * 32, 1000, 1_700_000_001)
V2 = ObjectVersion("2" * 32, 2000, 1_700_000_002)
DETAILS = ImageDetails(
    frames=1, has_alpha=False, colour_space="sRGB", dominant_colour="#336699", thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw",
    taken_at="2026-01-31T12:00:00", camera="A camera", gps=GeoPoint(latitude=52.5, longitude=-13.25),
)  # fmt: skip


def put(
    object_version: ObjectVersion = V1, *, key: str = KEY, target: str = IMMEDIATE, at: datetime = NOON
) -> TimelineEvent:
    return from_storage_event(
        _event("ObjectCreated:Put", key, object_version, f"{object_version.modified * 10**9:X}", at), target, b"{}"
    )


def presigned_upload(
    object_version: ObjectVersion = V1, *, key: str = OWN_KEY, target: str = IMMEDIATE, at: datetime = NOON
) -> TimelineEvent:
    return from_storage_event(
        _event("ObjectCreated:Post", key, object_version, f"{object_version.modified * 10**9:X}", at), target, b"{}"
    )


def delete(
    sequencer: str = "17A", *, key: str = KEY, target: str = IMMEDIATE, at: datetime = NOON
) -> TimelineEvent:
    return from_storage_event(_event("ObjectRemoved:Delete", key, None, sequencer, at), target, b"{}")


def processing(
    object_version: ObjectVersion = V1, attempt: int = 1, *, key: str = KEY, run_id: str = ""
) -> TimelineEvent:
    return payload(Processing(key=key, object_version=object_version, attempt=attempt, run_id=run_id))


def retrying(object_version: ObjectVersion = V1, attempt: int = 1, *, key: str = KEY) -> TimelineEvent:
    again = NOON + timedelta(seconds=5)
    return payload(
        Retrying(key=key, object_version=object_version, attempt=attempt, next_attempt_at=again, reason="no luck")
    )


def done(
    object_version: ObjectVersion = V1, attempt: int = 1, *, key: str = KEY, run_id: str = ""
) -> TimelineEvent:
    name = variant_key(image_id_of(key), object_version.etag * 2, "thumbnail", "1.1", "webp")
    variant = Variant(type="thumbnail", key=name, width=256, height=170, bytes=9, content_type="image/webp")
    return payload(
        Done(
            key=key, object_version=object_version, attempt=attempt, run_id=run_id, sha256=object_version.etag * 2,
            width=3000, height=2000, format="JPEG", variants=[variant], details=DETAILS, damaged=True,
        )
    )  # fmt: skip


def failed(
    object_version: ObjectVersion = V1,
    attempt: int = 1,
    *,
    key: str = KEY,
    run_id: str = "",
    code: ErrorCode = ErrorCode.EMPTY_FILE,
) -> TimelineEvent:
    return payload(
        Failed(
            key=key, object_version=object_version, attempt=attempt, run_id=run_id, error=Failure.from_code(code)
        )
    )


def retry_requested(
    run_id: str,
    *,
    after: str = "",
    object_version: ObjectVersion = V1,
    key: str = KEY,
    forced: bool = False,
    operator: str = "",
) -> TimelineEvent:
    asked = RetryRequested(
        key=key, object_version=object_version, after=after, run_id=run_id, forced=forced, operator=operator or None
    )
    return payload(asked, by="gateway")


def missed(*keys: str, run_id: str = "2026", object_version: ObjectVersion = V1, key: str = KEY) -> TimelineEvent:
    return payload(
        VariantsMissing(key=key, object_version=object_version, missing=list(keys), run_id=run_id), by="gateway"
    )


def drift_repaired(
    *keys: str, run_id: str = "2026", object_version: ObjectVersion = V1, key: str = KEY
) -> TimelineEvent:
    """Return an event that the tracker records and does not publish."""
    repaired = DriftRepaired(
        key=key, object_version=object_version, drift="missing_variants", run_id=run_id, missing=list(keys)
    )
    return from_lifecycle_event(to_cloud_event(repaired, by="reconciler", now=NOON), repaired, b"")


def redriven(run_id: str = "2026", *, key: str = KEY) -> TimelineEvent:
    dead_letter = {"queue": "image_queue", "code": "attempts_exhausted"}
    return payload(Redriven(key=key, operator="ada", run_id=run_id, **dead_letter), by="cli")


def dropped(run_id: str = "2026", *, key: str = KEY) -> TimelineEvent:
    dead_letter = {"queue": "image_queue", "code": "attempts_exhausted"}
    return payload(Dropped(key=key, operator="ada", run_id=run_id, **dead_letter), by="cli")


def removed(cause: str = "17A", *, key: str = KEY) -> TimelineEvent:
    return payload(Removed(key=key, cause=cause))


def requested(
    *, key: str = KEY, expires_at: datetime = NOON + timedelta(minutes=15), batch: str | None = None
) -> TimelineEvent:
    ticket = UploadRequested(
        key=key, file_name="a.jpg", content_type="image/jpeg", expires_at=expires_at, batch=batch
    )
    return payload(ticket, by="gateway")


def expired(*, key: str = KEY, expires_at: datetime = NOON + timedelta(minutes=15)) -> TimelineEvent:
    return payload(UploadExpired(key=key, expires_at=expires_at), by="status-tracker")


def payload(data: LifecycleEvent, *, by: str = "thumbnailer") -> TimelineEvent:
    body = to_cloud_event(data, by=by, now=NOON).to_json()
    sender = "operator" if by == "cli" else by
    event = read_message(Message(body, data.type.value, CONTENT_TYPE, exchange=LIFECYCLE, sender=sender))[0]
    assert isinstance(event, TimelineEvent)
    return event


def _event(name: str, key: str, object_version: ObjectVersion | None, sequencer: str, at: datetime) -> StorageEvent:
    return StorageEvent(
        bucket=ORIGINALS_BUCKET, key=key, name=name, sequencer=sequencer, object_version=object_version,
        content_type="image/jpeg", file_name=None, traceparent=None, occurred=at,
    )  # fmt: skip
