"""Of rivals that create one object, one succeeds: idempotency keys need no other memory than the object store."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from thumbmill.core.contracts.identity import VARIANTS_BUCKET
from thumbmill.core.object_store.errors import PreconditionFailedError
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings
from thumbmill.gateway.uploads.idempotency import possible_etags

PART = 5 * 1024 * 1024
RIVALS = 6
ROUNDS = 10


@pytest.fixture(scope="module")
def storage(stack):
    secrets = stack.installation.secrets
    settings = StoreSettings(
        minio_url=f"http://127.0.0.1:{stack.installation.ports['MINIO_PORT']}",
        minio_access_key=secrets["MINIO_ROOT_USER"],
        minio_secret_key=secrets["MINIO_ROOT_PASSWORD"],
    )
    return Storage(settings, connections=RIVALS)


@pytest.fixture
def key(storage):
    """A new key in the bucket without notifications."""
    key = f"test-{uuid.uuid4()}/object"
    yield key
    storage.delete(VARIANTS_BUCKET, key)


def race(act):
    """Call `act` with the number of each rival at the same time; return what each returned, None for a 412."""
    start = Barrier(RIVALS)

    def run(number):
        start.wait()
        try:
            return act(number)
        except PreconditionFailedError:
            return None

    with ThreadPoolExecutor(RIVALS) as pool:
        return list(pool.map(run, range(RIVALS)))


def test_of_rivals_that_write_one_object_one_succeeds(storage, key):
    for _ in range(ROUNDS):
        etags = race(lambda rival: storage.put(VARIANTS_BUCKET, key, b"%d" % rival, "image/png", if_absent=True))
        [winner] = [etag for etag in etags if etag]
        assert storage.head(VARIANTS_BUCKET, key).etag == winner
        storage.delete(VARIANTS_BUCKET, key)


def test_of_rivals_that_complete_uploads_of_one_object_one_succeeds(storage, key):
    uploads = [storage.create_multipart_upload(VARIANTS_BUCKET, key, "image/png", {}) for _ in range(RIVALS)]
    parts = [storage.upload_part(VARIANTS_BUCKET, key, upload, 1, b"%d" % n) for n, upload in enumerate(uploads)]

    def complete(rival):
        return storage.complete_multipart_upload(
            VARIANTS_BUCKET, key, uploads[rival], [parts[rival]], if_absent=True
        )

    etags = race(complete)
    [winner] = [etag for etag in etags if etag]
    assert storage.head(VARIANTS_BUCKET, key).etag == winner
    for upload in uploads:
        storage.abort_multipart_upload(VARIANTS_BUCKET, key, upload)


def test_no_upload_in_parts_begins_for_an_object_that_exists(storage, key):
    storage.put(VARIANTS_BUCKET, key, b"image", "image/png")
    with pytest.raises(PreconditionFailedError):
        storage.create_multipart_upload(VARIANTS_BUCKET, key, "image/png", {}, if_absent=True)


def test_an_etag_follows_from_the_bytes_and_the_parts(storage, key):
    content = [b"x" * PART, b"y"]
    upload = storage.create_multipart_upload(VARIANTS_BUCKET, key, "image/png", {})
    parts = [storage.upload_part(VARIANTS_BUCKET, key, upload, n, data) for n, data in enumerate(content, 1)]
    assert [part.etag for part in parts] == [hashlib.md5(data).hexdigest() for data in content]  # noqa: S324
    etag = storage.complete_multipart_upload(VARIANTS_BUCKET, key, upload, parts)
    assert possible_etags([part.etag for part in parts]) == {etag}
