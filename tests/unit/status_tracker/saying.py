"""Facts about one image, as its authors would say them."""

from datetime import UTC, datetime, timedelta

from pipeline.details import Details, Place
from pipeline.errors import ErrorCode
from pipeline.events import (
    CONTENT_TYPE,
    Done,
    Failed,
    Failure,
    Lifecycle,
    Processing,
    Removed,
    Retrying,
    UploadRequested,
    Variant,
    say,
)
from pipeline.identity import ORIGINALS, Source, image_id_of, new_image_id, own_key, variant_key
from pipeline.messages import Message
from pipeline.notes import Dropped, Healed, Redriven, RetryRequested, VariantsMissing
from pipeline.notifications import StorageEvent
from pipeline.topology import INSTANT, LIFECYCLE
from status_tracker.facts import Fact, from_said, from_storage, read

KEY = "holiday/ä b+c 100%.jpg"
OWN_KEY = own_key(new_image_id())
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
V1 = Source("1" * 32, 1000, 1_700_000_001)
V2 = Source("2" * 32, 2000, 1_700_000_002)
DETAILS = Details(
    frames=1, has_alpha=False, colour_space="sRGB", dominant_colour="#336699", thumbhash="3OcRJYB4d3h/iIeHeEh3eIhw",
    taken_at="2026-01-31T12:00:00", camera="A camera", gps=Place(latitude=52.5, longitude=-13.25),
)  # fmt: skip


def put(source: Source = V1, *, key: str = KEY, target: str = INSTANT, at: datetime = NOON) -> Fact:
    return from_storage(_event("ObjectCreated:Put", key, source, f"{source.modified * 10**9:X}", at), target, b"{}")


def form(source: Source = V1, *, key: str = OWN_KEY, target: str = INSTANT, at: datetime = NOON) -> Fact:
    return from_storage(
        _event("ObjectCreated:Post", key, source, f"{source.modified * 10**9:X}", at), target, b"{}"
    )


def delete(sequencer: str = "17A", *, key: str = KEY, target: str = INSTANT, at: datetime = NOON) -> Fact:
    return from_storage(_event("ObjectRemoved:Delete", key, None, sequencer, at), target, b"{}")


def processing(source: Source = V1, attempt: int = 1, *, key: str = KEY, run: str = "") -> Fact:
    return said(Processing(key=key, source=source, attempt=attempt, run=run))


def retrying(source: Source = V1, attempt: int = 1, *, key: str = KEY) -> Fact:
    again = NOON + timedelta(seconds=5)
    return said(Retrying(key=key, source=source, attempt=attempt, next_attempt_at=again, reason="no luck"))


def done(source: Source = V1, attempt: int = 1, *, key: str = KEY, run: str = "") -> Fact:
    name = variant_key(image_id_of(key), source.etag * 2, "thumbnail", "1.1", "webp")
    variant = Variant(type="thumbnail", key=name, width=256, height=170, bytes=9, content_type="image/webp")
    return said(
        Done(
            key=key, source=source, attempt=attempt, run=run, sha256=source.etag * 2,
            width=3000, height=2000, format="JPEG", variants=[variant], details=DETAILS, damaged=True,
        )
    )  # fmt: skip


def failed(
    source: Source = V1,
    attempt: int = 1,
    *,
    key: str = KEY,
    run: str = "",
    code: ErrorCode = ErrorCode.EMPTY_FILE,
) -> Fact:
    return said(Failed(key=key, source=source, attempt=attempt, run=run, error=Failure.of(code)))


def asked_again(
    run: str, *, after: str = "", source: Source = V1, key: str = KEY, forced: bool = False, operator: str = ""
) -> Fact:
    asked = RetryRequested(key=key, source=source, after=after, run=run, forced=forced, operator=operator or None)
    return said(asked, by="gateway")


def missed(*keys: str, run: str = "2026", source: Source = V1, key: str = KEY) -> Fact:
    return said(VariantsMissing(key=key, source=source, missing=list(keys), run=run), by="gateway")


def remaking(*keys: str, run: str = "2026", source: Source = V1, key: str = KEY) -> Fact:
    """What the tracker writes down by itself."""
    healed = Healed(key=key, source=source, what="variants_gone", run=run, gone=list(keys))
    return from_said(say(healed, by="reconciler", now=NOON), healed, b"")


def redriven(run: str = "2026", *, key: str = KEY) -> Fact:
    letter = {"queue": "image_queue", "code": "attempts_exhausted"}
    return said(Redriven(key=key, operator="ada", run=run, **letter), by="cli")


def dropped(run: str = "2026", *, key: str = KEY) -> Fact:
    letter = {"queue": "image_queue", "code": "attempts_exhausted"}
    return said(Dropped(key=key, operator="ada", run=run, **letter), by="cli")


def removed(cause: str = "17A", *, key: str = KEY) -> Fact:
    return said(Removed(key=key, cause=cause))


def requested(*, key: str = KEY, expires_at: datetime = NOON + timedelta(minutes=15)) -> Fact:
    ticket = UploadRequested(key=key, file_name="a.jpg", content_type="image/jpeg", expires_at=expires_at)
    return said(ticket, by="gateway")


def said(data: Lifecycle, *, by: str = "thumbnailer") -> Fact:
    body = say(data, by=by, now=NOON).to_json()
    author = "operator" if by == "cli" else by
    fact = read(Message(body, data.kind.value, CONTENT_TYPE, exchange=LIFECYCLE, author=author))[0]
    assert isinstance(fact, Fact)
    return fact


def _event(name: str, key: str, source: Source | None, sequencer: str, at: datetime) -> StorageEvent:
    return StorageEvent(
        bucket=ORIGINALS, key=key, name=name, sequencer=sequencer, source=source,
        content_type="image/jpeg", file_name=None, traceparent=None, occurred=at,
    )  # fmt: skip
