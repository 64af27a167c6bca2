"""Storage against MinIO: the metadata of objects, and which error raises which exception."""

import hashlib
import uuid
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from tests.support.waiting import wait_until
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError, PreconditionFailedError
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def settings(stack):
    secrets = stack.installation.secrets
    return StoreSettings(
        minio_url=f"http://127.0.0.1:{stack.installation.ports['MINIO_PORT']}",
        minio_access_key=secrets["MINIO_ROOT_USER"],
        minio_secret_key=secrets["MINIO_ROOT_PASSWORD"],
    )


@pytest.fixture(scope="module")
def storage(settings):
    return Storage(settings)


@pytest.fixture
def key(storage):
    """A new key in the bucket without notifications."""
    prefix = f"test-{uuid.uuid4()}/"
    yield prefix + "object"
    storage.delete_all(VARIANTS_BUCKET, storage.list_keys(VARIANTS_BUCKET, prefix))


def read(storage, key, etag=None):
    with storage.open(VARIANTS_BUCKET, key, etag=etag) as (head, body):
        return head, body.read()


def test_an_object_is_read_as_it_was_written(storage, key):
    etag = storage.put(VARIANTS_BUCKET, key, b"bytes", "image/png", {"file-name": "%C3%A4.png"})
    head, data = read(storage, key)
    assert data == b"bytes"
    assert head == storage.head(VARIANTS_BUCKET, key)
    assert (head.etag, head.object_version.etag, head.object_version.size) == (etag, etag, 5)
    assert (head.content_type, head.file_name) == ("image/png", "ä.png")


def test_a_missing_object_is_not_found(storage, key):
    with pytest.raises(ObjectNotFoundError):
        storage.head(VARIANTS_BUCKET, key)
    with pytest.raises(ObjectNotFoundError):
        read(storage, key)
    storage.delete(VARIANTS_BUCKET, key)


def test_a_folder_marker_is_no_object(storage, key):
    folder = key.removesuffix("object")
    storage.put(VARIANTS_BUCKET, folder, b"", "application/x-directory")
    storage.put(VARIANTS_BUCKET, key, b"image", "image/jpeg")
    with pytest.raises(ObjectNotFoundError):
        storage.head(VARIANTS_BUCKET, folder)
    with pytest.raises(ObjectNotFoundError), storage.open(VARIANTS_BUCKET, folder):
        pass
    before = max(key for key in ["", *storage.list_keys(VARIANTS_BUCKET, "")] if key < folder)
    assert [entry.key for entry in storage.list_page(VARIANTS_BUCKET, after=before).objects][:1] == [key]
    storage.delete(VARIANTS_BUCKET, folder)


def test_only_the_requested_version_is_opened(storage, key):
    first = storage.put(VARIANTS_BUCKET, key, b"first", "image/png")
    assert read(storage, key, first)[1] == b"first"
    storage.put(VARIANTS_BUCKET, key, b"second", "image/png")
    with pytest.raises(PreconditionFailedError):
        read(storage, key, first)


def test_keys_with_a_prefix_are_listed_and_deleted_together(storage, key):
    for n in range(3):
        storage.put(VARIANTS_BUCKET, f"{key}/{n}", b"x", "image/png")
    keys = storage.list_keys(VARIANTS_BUCKET, key)
    assert keys == [f"{key}/{n}" for n in range(3)]
    storage.delete_all(VARIANTS_BUCKET, keys)
    assert storage.list_keys(VARIANTS_BUCKET, key) == []


@pytest.mark.parametrize(
    "name",
    ["ä b+c 100%.jpg", "a%2Fb", "#?&=", "'\"\\", "😀", "trailing ", "/".join(["x" * 200] * 4), "é", "\u2028"],
)
def test_a_key_is_listed_as_it_was_written(storage, key, name):
    storage.put(VARIANTS_BUCKET, f"{key}/{name}", b"x", "image/png")
    assert storage.list_keys(VARIANTS_BUCKET, key) == [f"{key}/{name}"]
    assert storage.head(VARIANTS_BUCKET, f"{key}/{name}").object_version.size == 1
    storage.delete(VARIANTS_BUCKET, f"{key}/{name}")
    assert storage.list_keys(VARIANTS_BUCKET, key) == []


# One segment of a key may have 255 bytes, a limit of the file system and not of S3.
@pytest.mark.parametrize("invalid", ["", "/a", "a//b", "a/../b", "./a", "x" * 1025, "x" * 256])
def test_a_key_that_the_store_rejects_is_invalid(storage, invalid):
    with pytest.raises(InvalidKeyError):
        storage.put(VARIANTS_BUCKET, invalid, b"x", "image/png")
    with pytest.raises(InvalidKeyError):
        storage.head(VARIANTS_BUCKET, invalid)


def test_parts_become_one_object(storage, key):
    parts = [b"a" * PART, b"b" * 10]
    upload = storage.create_multipart_upload(VARIANTS_BUCKET, key, "image/png", {"file-name": "big.png"})
    sent = [storage.upload_part(VARIANTS_BUCKET, key, upload, n, part) for n, part in enumerate(parts, start=1)]
    etag = storage.complete_multipart_upload(VARIANTS_BUCKET, key, upload, sent)
    head, data = read(storage, key)
    assert hashlib.sha256(data).digest() == hashlib.sha256(b"".join(parts)).digest()
    assert head.object_version.etag == etag
    assert etag.endswith("-2")
    assert head.file_name == "big.png"


def test_an_aborted_upload_leaves_no_object(storage, key):
    upload = storage.create_multipart_upload(VARIANTS_BUCKET, key, "image/png", {})
    storage.upload_part(VARIANTS_BUCKET, key, upload, 1, b"x" * PART)
    storage.abort_multipart_upload(VARIANTS_BUCKET, key, upload)
    with pytest.raises(ObjectNotFoundError):
        storage.head(VARIANTS_BUCKET, key)


def test_a_presigned_form_accepts_only_its_conditions(storage, settings, key):
    fields = storage.presign_post(VARIANTS_BUCKET, key, "image/png", 10, timedelta(minutes=1))

    def send(data, **changes):
        return httpx.post(
            f"{settings.minio_url}/{VARIANTS_BUCKET}", data=fields | changes, files={"file": data}, timeout=10
        ).status_code

    assert send(b"short") == 204
    assert storage.head(VARIANTS_BUCKET, key).content_type == "image/png"
    assert send(b"longer than ten") == 400
    assert send(b"") == 400
    assert send(b"short", key=key + "2") == 403
    assert send(b"short", **{"Content-Type": "text/html"}) == 403


def test_wrong_credentials_are_reported_with_their_variables(settings):
    unauthorized = Storage(settings.model_copy(update={"minio_secret_key": SecretStr("wrong-secret")}))
    with pytest.raises(DependencyRejected, match="MINIO_SECRET_KEY"):
        unauthorized.check(ORIGINALS_BUCKET)


def test_a_missing_bucket_is_reported_with_what_to_do(storage):
    with pytest.raises(DependencyRejected, match=r"provision\.py"):
        storage.check("no-such-bucket")


def test_a_store_that_does_not_respond_is_unavailable(settings):
    unreachable = Storage(settings.model_copy(update={"minio_url": "http://127.0.0.1:9"}))
    for call in (
        unreachable.ping,
        lambda: unreachable.head(ORIGINALS_BUCKET, "x"),
        lambda: unreachable.list_keys(ORIGINALS_BUCKET, "x"),
    ):
        with pytest.raises(DependencyUnavailable) as raised:
            call()
        assert not isinstance(raised.value, DependencyRejected)


def test_a_store_is_unavailable_while_it_is_down(stack, storage, key):
    storage.put(VARIANTS_BUCKET, key, b"kept", "image/png")
    stack.stop("minio")
    try:
        with pytest.raises(DependencyUnavailable):
            storage.head(VARIANTS_BUCKET, key)
    finally:
        stack.start("minio")

    def is_available():
        try:
            return storage.head(VARIANTS_BUCKET, key)
        except DependencyUnavailable:
            return None

    assert wait_until(is_available, 30, "the store to respond").object_version.size == 4


def test_the_buckets_are_not_versioned(storage):
    assert not storage.is_versioned(ORIGINALS_BUCKET)
    assert not storage.is_versioned(VARIANTS_BUCKET)
