import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.images.presenter import (
    content_id,
    content_type_of,
    etag_of,
    select_states,
    to_event_out,
    to_image_out,
    untracked_row,
    variants_of,
)
from thumbmill.gateway.images.repository import ImageRow, TimelineEvent
from thumbmill.gateway.urls import Links

ID = uuid.UUID("01a2019e-dd49-7c49-9ece-607b56bd764f")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
VARIANT = {
    "type": "thumbnail",
    "key": f"{ID}/0123456789abcdef-v1/thumbnail.jpg",
    "width": 256,
    "height": 171,
    "bytes": 9000,
    "content_type": "image/jpeg",
}
DETAILS = {
    "frames": 1,
    "has_alpha": False,
    "colour_space": "sRGB",
    "dominant_colour": "#336699",
    "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
    "taken_at": "2026-01-31T12:00:00",
    "camera": "A camera",
    "lens": None,
    "gps": {"latitude": 52.5, "longitude": -13.25},
}
DONE = ImageRow(
    id=ID,
    key=f"uploads/{ID}/original",
    status="DONE",
    file_name="cat.jpg",
    content_type="image/jpeg",
    size=1000,
    generation=1,
    format="JPEG",
    width=600,
    height=400,
    sha256="01" * 32,
    variants=[VARIANT],
    details=DETAILS,
    damaged=False,
    attempts=1,
    next_attempt_at=None,
    error=None,
    created_at=NOW,
    updated_at=NOW,
    expires_at=None,
    version=7,
)
LINKS = Links("http://here")


def test_a_done_image_shows_its_variants():
    out = to_image_out(DONE, LINKS)
    original, thumbnail = out.variants
    assert (original.type, original.bytes, original.content_type) == ("original", 1000, "image/jpeg")
    assert (thumbnail.type, thumbnail.width, thumbnail.height, thumbnail.bytes) == ("thumbnail", 256, 171, 9000)
    assert thumbnail.url == f"http://here/api/v1/images/{ID}/variants/thumbnail?v=0123456789abcdef-v1"
    assert content_id(variants_of(DONE)[0]) == "0123456789abcdef-v1"


def test_a_done_image_shows_its_details():
    out = to_image_out(DONE, LINKS)
    assert out.model_dump(mode="json")["details"] == DETAILS
    assert (out.sha256, out.damaged) == ("01" * 32, False)
    assert to_image_out(replace(DONE, damaged=True), LINKS).damaged
    assert to_image_out(replace(DONE, details=None), LINKS).details is None  # an image of a version without details


@pytest.mark.parametrize("status", ["AWAITING_UPLOAD", "EXPIRED", "DELETED"])
def test_an_image_without_an_object_has_no_variants(status):
    assert to_image_out(replace(DONE, status=status), LINKS).variants == []


def test_a_failed_image_shows_its_error():
    error = {"code": "unsupported_format", "detail": "text", "retryable": False}
    out = to_image_out(replace(DONE, status="FAILED", variants=[], error=error), LINKS)
    assert out.error.code == "unsupported_format"
    assert [variant.type for variant in out.variants] == ["original"]


@pytest.mark.parametrize(
    ("changes", "content_type"),
    [
        ({"format": "JPEG", "content_type": "text/html"}, "image/jpeg"),
        ({"format": "PNG", "content_type": "image/jpeg"}, "image/png"),
        ({"format": "HEIF", "content_type": "image/heif"}, "image/heif"),
        ({"format": None, "content_type": "IMAGE/PJPEG"}, "image/jpeg"),
        ({"format": None, "content_type": "text/html"}, "application/octet-stream"),
        ({"format": None, "content_type": None}, "application/octet-stream"),
        ({"format": None, "error": {"code": "unsupported_format", "detail": ""}}, "application/octet-stream"),
        ({"format": None, "error": {"code": "unreadable_image", "detail": ""}}, "image/jpeg"),
    ],
)
def test_the_content_type_of_the_original_is_that_of_its_format(changes, content_type):
    row = replace(DONE, **({"content_type": "image/jpeg"} | changes))
    assert content_type_of(row) == content_type


def test_expiration_changes_the_etag_without_an_event():
    waiting = replace(DONE, status="AWAITING_UPLOAD")
    assert etag_of(waiting, LINKS) != etag_of(replace(waiting, status="EXPIRED"), LINKS)
    assert etag_of(waiting, LINKS) != etag_of(replace(waiting, version=8), LINKS)


def test_an_untracked_object_is_pending():
    head = ObjectMetadata(
        ObjectVersion("0" * 32, 3, 1_700_000_000), "0" * 32, "image/png", {"file-name": "%C3%A4.png"}
    )
    row = untracked_row(ID, DONE.key, head)
    assert (row.status, row.file_name, row.size, row.attempts) == (Status.PENDING, "ä.png", 3, 0)
    assert etag_of(row, LINKS) != etag_of(
        untracked_row(ID, DONE.key, replace(head, object_version=ObjectVersion("1" * 32, 3, 1_700_000_000))), LINKS
    )
    assert row.created_at.year == 2026  # from its id
    out = to_image_out(row, LINKS)
    assert (out.sha256, out.details, out.damaged) == (None, None, False)


def test_times_are_utc_for_any_time_zone_of_the_session():
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    names = ("created_at", "updated_at", "next_attempt_at", "expires_at")
    out = to_image_out(replace(DONE, **dict.fromkeys(names, there)), LINKS).model_dump(mode="json")
    assert {out[name] for name in names} == {"2026-11-22T00:00:00Z"}
    event = to_event_out(TimelineEvent(ID, "image.done", None, there, there, "/thumbnailer", None)).model_dump(
        mode="json"
    )
    assert {event["occurred"], event["recorded"]} == {"2026-11-22T00:00:00Z"}


@pytest.mark.parametrize(
    ("wanted", "deleted", "states"),
    [
        (None, True, None),
        ([], True, None),
        (list(Status), True, None),
        (None, False, set(Status) - {Status.DELETED}),
        ([Status.DONE], True, {Status.DONE}),
        ([Status.DONE, Status.DELETED], False, {Status.DONE}),
        ([Status.DELETED], False, set()),
    ],
)
def test_the_states_to_list(wanted, deleted, states):
    assert select_states(wanted, deleted=deleted) == states


def test_a_lost_variant_is_listed_as_missing_only():
    out = to_image_out(replace(DONE, missing=[VARIANT["key"]]), LINKS)
    assert (out.status, out.missing) == (Status.DONE, ["thumbnail"])
    assert [variant.type for variant in out.variants] == ["original"]
    assert to_image_out(replace(DONE, missing=[]), LINKS).missing == []


def test_a_row_after_a_purged_one_has_another_etag():
    assert etag_of(DONE, LINKS) != etag_of(replace(DONE, created_at=datetime(2027, 1, 1, tzinfo=UTC)), LINKS)


def test_a_deleted_image_without_a_key_is_shown_without_it():
    assert to_image_out(replace(DONE, status="DELETED", key=""), LINKS).key is None
