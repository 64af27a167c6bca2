"""Presigned URLs of parts against MinIO: exact lengths, one upload, one key, and nothing else."""

import uuid
from datetime import timedelta

import httpx
import pytest

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyRejected
from thumbmill.core.object_store.errors import InvalidKeyError, UploadNotFoundError
from thumbmill.core.object_store.listing import StoredPart
from thumbmill.core.object_store.part_signer import PartSigner
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

HOUR = timedelta(hours=1)
PART = 5 * 1024 * 1024


def settings_of(stack, user, variable):
    installation = stack.installation
    return StoreSettings(
        minio_url=f"http://127.0.0.1:{installation.ports['MINIO_PORT']}",
        minio_access_key=user,
        minio_secret_key=installation.secrets[variable],
    )


@pytest.fixture(scope="module")
def signer(stack):
    settings = settings_of(stack, "part-signer", "PART_SIGNER_SECRET_KEY")
    return PartSigner(settings, settings.minio_url)


@pytest.fixture(scope="module")
def gateway(stack):
    return Storage(settings_of(stack, "gateway", "GATEWAY_MINIO_SECRET_KEY"))


@pytest.fixture
def upload(gateway):
    key = f"uploads/{uuid.uuid4()}/part"
    upload = gateway.create_multipart_upload(ORIGINALS_BUCKET, key, "image/jpeg", {})
    yield key, upload
    gateway.abort_multipart_upload(ORIGINALS_BUCKET, key, upload)


def test_a_part_has_exactly_the_signed_length(signer, gateway, upload):
    key, upload_id = upload
    url = signer.sign(ORIGINALS_BUCKET, key, upload_id, 2, 10, HOUR)
    for size in (0, 9, 11):
        assert httpx.put(url, content=b"x" * size).status_code == 403
    assert gateway.list_parts(ORIGINALS_BUCKET, key, upload_id) == []
    answer = httpx.put(url, content=b"x" * 10)
    assert answer.status_code == 200
    etag = answer.headers["ETag"].strip('"')
    assert gateway.list_parts(ORIGINALS_BUCKET, key, upload_id) == [StoredPart(2, etag, 10)]
    unbound = signer.sign(ORIGINALS_BUCKET, key, upload_id, 3, None, HOUR)
    assert httpx.put(unbound, content=b"any length").status_code == 200


def test_a_url_is_valid_for_one_part_of_one_upload_and_no_other_request(signer, gateway, upload):
    key, upload_id = upload
    url = signer.sign(ORIGINALS_BUCKET, key, upload_id, 1, 1, HOUR)
    for other in (
        url.replace("partNumber=1", "partNumber=2"),
        url.replace(key, f"uploads/{uuid.uuid4()}/part"),
        url.replace(upload_id[:-4], upload_id[:-4][::-1]),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"),
        url.partition("?")[0],
        signer.sign(ORIGINALS_BUCKET, "elsewhere.jpg", upload_id, 1, 1, HOUR),
        signer.sign("images-processed", key, upload_id, 1, 1, HOUR),
    ):
        assert httpx.put(other, content=b"x").status_code == 403, other
    for method in ("GET", "HEAD", "DELETE", "POST"):
        assert httpx.request(method, url).status_code == 403
    copy = httpx.put(url, headers={"x-amz-copy-source": f"/{ORIGINALS_BUCKET}/{key}"}, content=b"x")
    assert copy.status_code in {400, 403}
    assert gateway.list_parts(ORIGINALS_BUCKET, key, upload_id) == []
    assert httpx.put(signer.sign(ORIGINALS_BUCKET, key, upload_id, 1, 1, -HOUR), content=b"x").status_code in {
        400,
        403,
    }


def test_the_signature_is_checked_at_the_start(stack, signer):
    signer.verify(ORIGINALS_BUCKET, "uploads/check")
    for user, variable in (
        ("part-signer", "GATEWAY_MINIO_SECRET_KEY"),
        ("upload-signer", "UPLOAD_SIGNER_SECRET_KEY"),
    ):
        settings = settings_of(stack, user, variable)
        with pytest.raises(DependencyRejected):
            PartSigner(settings, settings.minio_url).verify(ORIGINALS_BUCKET, "uploads/check")


def test_the_errors_of_multipart_uploads(gateway, upload):
    key, upload_id = upload
    for call in (
        lambda: gateway.list_parts(ORIGINALS_BUCKET, key, "none"),
        lambda: gateway.complete_multipart_upload(ORIGINALS_BUCKET, key, "none", [StoredPart(1, "0" * 32, 1)]),
    ):
        with pytest.raises(UploadNotFoundError):
            call()
    gateway.abort_multipart_upload(ORIGINALS_BUCKET, key, "none")  # no error, like the deletion of a missing object
    parts = [gateway.upload_part(ORIGINALS_BUCKET, key, upload_id, number, b"x") for number in (1, 2)]
    with pytest.raises(InvalidKeyError, match="EntityTooSmall"):
        gateway.complete_multipart_upload(ORIGINALS_BUCKET, key, upload_id, parts)


def test_a_page_of_the_gateways_origin_may_read_the_etag_of_a_part(stack, signer, upload):
    """Browsers hide it from scripts of another origin unless the store exposes it, and Uppy then fails."""
    key, upload_id = upload
    url = signer.sign(ORIGINALS_BUCKET, key, upload_id, 1, 1, HOUR)
    origin = {"Origin": stack.endpoints.gateway}
    wanted = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    preflight = httpx.options(url, headers=origin | wanted)
    assert preflight.is_success
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    answer = httpx.put(url, content=b"x", headers=origin)
    assert answer.headers["ETag"]
    exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed & {"etag", "*"}
    stranger = httpx.put(url, content=b"x", headers={"Origin": "http://else.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers
