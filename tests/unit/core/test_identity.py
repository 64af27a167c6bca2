import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.core.contracts.identity import (
    ObjectVersion,
    image_id_of,
    image_id_of_variant,
    new_image_id,
    normalize_etag,
    upload_key,
    uuid7_timestamp,
    variant_key,
)


def test_an_upload_key_contains_the_id():
    image_id = new_image_id()
    assert image_id.version == 7
    assert image_id.variant == uuid.RFC_4122
    assert image_id_of(upload_key(image_id)) == image_id


def test_a_new_id_contains_its_time():
    made = uuid7_timestamp(new_image_id())
    assert made is not None
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)
    assert uuid7_timestamp(uuid.uuid4()) is None


def test_the_hash_of_an_idempotency_key_can_be_an_id():
    image_id = uuid.UUID("0123abcd-0123-8abc-9abc-0123456789ab")
    assert image_id_of(upload_key(image_id)) == image_id


@pytest.mark.parametrize(
    "foreign",
    [
        "uploads/{id}/original.jpg",
        "uploads/{id}/original/",
        "uploads/{id}/",
        "uploads/{id}/ORIGINAL",
        "x/uploads/{id}/original",
        "uploads/{ID}/original",
        "uploads/{v4}/original",
        "uploads/{id}/original\n",
    ],
)
def test_a_foreign_key_cannot_have_the_id_of_an_upload_key(foreign):
    image_id = new_image_id()
    key = foreign.format(id=image_id, ID=str(image_id).upper(), v4=uuid.uuid4())
    assert image_id_of(key).version == 5
    assert image_id_of(key) != image_id


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_keys_are_different_images(one, other):
    assert (image_id_of(one) == image_id_of(other)) == (one == other)


@pytest.mark.parametrize("etag", ["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-12"])
def test_a_servers_etag_is_kept(etag):
    assert normalize_etag(f'"{etag}"') == etag


@pytest.mark.parametrize(
    "etag", ["deadbeef", "", "D41D8CD98F00B204E9800998ECF8427E", "a/b", "d" * 33, "d" * 32 + "-x"]
)
def test_a_forged_etag_is_hashed(etag):
    assert len(normalize_etag(etag)) == 32
    assert normalize_etag(etag).startswith("x")


@pytest.mark.parametrize(
    ("in_event", "in_header"), [("\ufffd", "\xe4"), ("\u00e4", "\xc3\xa4"), ("a\ufffd\ufffdb", "a\xe4\xe5b")]
)
def test_a_forged_etag_is_the_same_in_an_event_and_in_a_header(in_event, in_header):
    assert normalize_etag(in_event) == normalize_etag(f'"{in_header}"')


def test_an_object_version_is_parsed_from_its_text():
    object_version = ObjectVersion("d41d8cd98f00b204e9800998ecf8427e-3", 12, 1790000000)
    assert ObjectVersion.parse(str(object_version)) == object_version


def test_a_variant_of_the_same_bytes_and_preset_has_the_same_key():
    image_id = new_image_id()
    key = variant_key(image_id, "ab" * 32, "thumbnail", "v1", "jpg")
    assert key == f"{image_id}/{'ab' * 8}-v1/thumbnail.jpg"


def test_a_variants_key_contains_its_images_id():
    for image_id in (new_image_id(), image_id_of("holiday/beach.jpg")):
        assert image_id_of_variant(variant_key(image_id, "ab" * 32, "large", "2026-01-31.3", "webp")) == image_id


@pytest.mark.parametrize("foreign", ["", "{id}", "{id}/large.webp", "x{key}", "{key}/x", "{key}\n"])
def test_any_other_key_belongs_to_no_image(foreign):
    image_id = new_image_id()
    key = variant_key(image_id, "ab" * 32, "large", "1.3", "webp")
    assert image_id_of_variant(foreign.format(id=image_id, key=key)) is None
