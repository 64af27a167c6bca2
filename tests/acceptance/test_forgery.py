"""Forged requests: the identity of an object, the owner of an image, the identity of a client."""

import base64
import zlib
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.support.images import photo, red_quarter
from tests.support.messages import wait_idle
from tests.support.system import ORIGINALS, PROCESSED, System
from tests.support.waiting import wait_until

FORGED = {"X-Minio-Source-Mtime": "2200-01-01T00:00:00Z", "X-Minio-Source-Etag": "deadbeef"}

# Every access key that a service holds or that shows in a form or a signed URL; MinIO takes them for its own users.
NAMES = ("gateway", "thumbnailer", "status-tracker", "upload-signer", "part-signer", "s3-uploader")


# --- the identity of an object ----------------------------------------------------------------------------


def forging(system, etag=FORGED["X-Minio-Source-Etag"]):
    """Return an S3 client that forges the modification time and the ETag of its objects."""

    def forge(request, **_):
        for name, value in (FORGED | {"X-Minio-Source-Etag": etag}).items():
            request.headers[name] = value

    client = system.s3_as(system.secrets["MINIO_ROOT_USER"], system.secrets["MINIO_ROOT_PASSWORD"])
    client.meta.events.register("before-sign.s3.PutObject", forge)
    return client


def assert_forged(system, key):
    """Check that the server accepts the forgery, or the tests would prove nothing."""
    head = system.s3.head_object(Bucket=ORIGINALS, Key=key)
    assert (head["ETag"], head["LastModified"].year) == ('"deadbeef"', 2200)


def assert_of_today(system, image):
    """Check that no date in the API is a forged one."""
    now = datetime.now(UTC)
    times = [image["created_at"], image["updated_at"], *(e["occurred"] for e in system.events(image["id"]))]
    assert all(datetime.fromisoformat(time) <= now for time in times), times


def test_an_object_with_a_forged_identity_is_done_and_can_be_replaced(system):
    forging(system).put_object(Bucket=ORIGINALS, Key="forged/put.jpg", Body=photo(seed=1))
    assert_forged(system, "forged/put.jpg")
    image = system.wait_key("forged/put.jpg")
    assert_of_today(system, image)
    system.put("forged/put.jpg", photo(orientation=3))
    image = system.wait_generation(image["id"], 2)
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert_of_today(system, image)


@pytest.mark.parametrize(
    "etag",
    ["*", 'a"b', "a, b", "0" * 32, "0" * 32 + "-12", "x" * 2000, "\xe4", "\u00e4".encode().decode("latin-1")],
    ids=["any", "quote", "list", "genuine", "parts", "long", "latin-1", "UTF-8"],
)
def test_an_object_with_any_etag_is_done(system, etag):
    key = f"forged/etag-{zlib.crc32(etag.encode())}.jpg"
    forging(system, etag).put_object(Bucket=ORIGINALS, Key=key, Body=photo())
    image = system.wait_key(key, timeout=10)  # before the sweep would find it
    assert image["generation"] == 1


def test_a_good_object_replaced_by_a_forged_one_shows_the_forged_one(system):
    system.put("forged/second.jpg", photo(seed=2))
    image = system.wait_key("forged/second.jpg")
    forging(system).put_object(Bucket=ORIGINALS, Key="forged/second.jpg", Body=photo(orientation=3))
    assert_forged(system, "forged/second.jpg")
    system.wait_generation(image["id"], 2)
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"


def test_a_forged_object_that_is_deleted_leaves_nothing(system):
    forging(system).put_object(Bucket=ORIGINALS, Key="forged/deleted.jpg", Body=photo(seed=3))
    image = system.wait_key("forged/deleted.jpg")
    assert system.http.delete(f"/api/v1/images/{image['id']}").status_code == 202
    system.wait_removed(image["id"])


def test_a_form_with_a_forged_identity_is_done_and_cannot_be_reused(system):
    ticket = system.ticket()
    length = max(len(photo(seed=4)), len(photo(seed=5)))  # the one part of an identity that cannot be forged
    first, other = (photo(seed=seed).ljust(length, b"\0") for seed in (4, 5))
    assert system.send_form(ticket, first, headers=FORGED).status_code == 204
    assert_forged(system, ticket["key"])
    image = system.wait_status(ticket["id"])
    assert_of_today(system, image)
    assert system.send_form(ticket, other, headers=FORGED).status_code == 204
    system.wait_status(ticket["id"], "DELETED")
    wait_until(lambda: system.keys(ORIGINALS, ticket["key"]) == [], 30, "the object to be deleted")
    # Recorded after the deletion, which is repeated if the tracker dies between the two.
    wait_until(lambda: "tracker.rejected" in system.timeline(ticket["id"]), 30, "the rejection to be recorded")


@pytest.mark.parametrize("path", ["", "minio/admin/v3/info", f"{ORIGINALS}/x.jpg"])
def test_a_page_of_another_origin_cannot_call_minio(system, path):
    """MinIO itself reflects every origin, with credentials, unless it has a list."""
    url = f"http://127.0.0.1:{system.ports['MINIO_PORT']}/{path}"
    own = f"http://127.0.0.1:{system.ports['GATEWAY_PORT']}"
    for origin, allowed in (("http://evil.example", None), ("null", None), (own, own)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        assert httpx.options(url, headers=asked).headers.get("access-control-allow-origin") == allowed


# --- the owner of an image -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "foreign",
    [
        "uploads/{id}/original.jpg",
        "uploads/{id}/",
        "uploads/{id}/original/",
        "uploads/{id}/original/original",
        "uploads/{upper}/original",
        "Uploads/{id}/original",
        "uploads/{id}",
        "x/uploads/{id}/original",
        "uploads/{id}/original\n",
    ],
)
def test_a_key_similar_to_another_is_a_separate_image(system, foreign):
    own = system.post_form(photo(seed=5))
    system.wait_status(own["id"])
    before = system.image(own["id"]), system.timeline(own["id"])
    key = foreign.format(id=own["id"], upper=own["id"].upper())

    system.put(key, photo(orientation=3))
    other = system.wait_key(key)
    assert other["key"] == key
    assert other["id"] != own["id"]
    assert other["id"][14] == "5", "a version 5 UUID, made from the key"
    assert red_quarter(system.thumbnail(other["id"])) == "right lower"
    assert system.http.delete(f"/api/v1/images/{other['id']}").status_code == 202
    system.wait_removed(other["id"])

    assert system.image(own["id"]) == before[0]
    assert [what for what in system.timeline(own["id"]) if what not in before[1]] == []
    assert red_quarter(system.thumbnail(own["id"])) == "left upper"


# --- the identity of a client ------------------------------------------------------------------------------------


def credentials_in_the_query(name, now):
    return {}, {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{name}/{now:%Y%m%d}/us-east-1/s3/aws4_request",
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": "0" * 64,
    }


def credentials_in_a_header(name, now):
    credential = f"Credential={name}/{now:%Y%m%d}/us-east-1/s3/aws4_request"
    signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
    value = f"AWS4-HMAC-SHA256 {credential}, {signed}, Signature={'0' * 64}"
    return {"Authorization": value, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}, {}


def put_unsigned(system, name, path, more=None, *, credentials=credentials_in_the_query, **parameters):
    """PUT with nothing but an access key's name: the server takes a body with an unsigned trailer unchecked."""
    data = photo(seed=6)
    checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big"))
    headers, query = credentials(name, datetime.now(UTC))
    return httpx.put(
        f"http://127.0.0.1:{system.ports['MINIO_PORT']}/{path}",
        params=query | parameters,
        headers={
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(data)),
            "x-amz-trailer": "x-amz-checksum-crc32",
        }
        | headers
        | (more or {}),
        content=b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (len(data), data, checksum),
    )


def everything(system):
    return system.keys(ORIGINALS), system.keys(PROCESSED), system.multipart_uploads()


def test_this_minio_build_has_the_vulnerability(system):
    """No policy restricts root. If this fails, the server is fixed, and the next tests prove less."""
    answer = put_unsigned(system, system.secrets["MINIO_ROOT_USER"], f"{PROCESSED}/hole.jpg")
    assert answer.status_code == 200, answer.text
    assert system.s3.get_object(Bucket=PROCESSED, Key="hole.jpg")["Body"].read() == photo(seed=6)
    system.s3.delete_object(Bucket=PROCESSED, Key="hole.jpg")


@pytest.fixture(scope="module")
def victim(stack):
    """Return an image that is DONE, and that no test may change."""
    with closing(System(stack)) as system:
        image = system.wait_status(system.post_form(photo())["id"])
        wait_idle(system)
        return image


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("credentials", [credentials_in_the_query, credentials_in_a_header])
def test_an_access_key_without_its_secret_cannot_write(system, victim, name, credentials):
    variants = system.keys(PROCESSED, f"{victim['id']}/")
    before = everything(system)
    for bucket in (ORIGINALS, PROCESSED):
        for key in (f"uploads/{victim['id']}/original", "uploads/new", "new.jpg", *variants):
            answer = put_unsigned(system, name, f"{bucket}/{key}", credentials=credentials)
            assert answer.status_code == 403, f"{bucket}/{key}: {answer.text}"
    assert everything(system) == before
    assert red_quarter(system.thumbnail(victim["id"])) == "left upper"


@pytest.mark.parametrize("name", NAMES)
def test_an_access_key_without_its_secret_cannot_copy_or_upload_parts(system, victim, name):
    upload = system.s3.create_multipart_upload(Bucket=ORIGINALS, Key="uploads/parts")["UploadId"]
    before = everything(system)
    copied = put_unsigned(
        system, name, f"{ORIGINALS}/uploads/copy", {"x-amz-copy-source": f"{ORIGINALS}/{victim['key']}"}
    )
    part = put_unsigned(system, name, f"{ORIGINALS}/uploads/parts", uploadId=upload, partNumber="1")
    parts = system.s3.list_parts(Bucket=ORIGINALS, Key="uploads/parts", UploadId=upload).get("Parts", [])
    after = everything(system)
    system.s3.abort_multipart_upload(Bucket=ORIGINALS, Key="uploads/parts", UploadId=upload)
    assert copied.status_code in {400, 403}, copied.text  # a copy cannot come with a body at all
    assert part.status_code == 403, part.text
    assert parts == []
    assert after == before


def test_the_key_that_signs_forms_has_no_other_permission(system):
    image = system.wait_status(system.post_form(photo())["id"])
    thief = system.s3_as("upload-signer", system.secrets["UPLOAD_SIGNER_SECRET_KEY"])
    others = {"Bucket": ORIGINALS, "Key": image["key"]}
    new = {"Bucket": ORIGINALS, "Key": "uploads/new"}
    before = everything(system)
    for attempt in (
        lambda: thief.get_object(**others),
        lambda: thief.delete_object(**others),
        lambda: thief.put_object(**new, Body=photo()),
        lambda: thief.create_multipart_upload(**new),
        lambda: thief.copy_object(**new, CopySource=others),
        lambda: thief.list_objects_v2(Bucket=ORIGINALS),
        lambda: thief.list_objects_v2(Bucket=PROCESSED),
        lambda: thief.list_multipart_uploads(Bucket=ORIGINALS),
        thief.list_buckets,
    ):
        with pytest.raises(ClientError) as refusal:
            attempt()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert everything(system) == before


def test_urls_presigned_with_the_form_key_give_no_access(system):
    image = system.wait_status(system.post_form(photo())["id"])
    thief = system.s3_as("upload-signer", system.secrets["UPLOAD_SIGNER_SECRET_KEY"])
    before = everything(system)
    put = thief.generate_presigned_url("put_object", {"Bucket": ORIGINALS, "Key": "uploads/new"})
    get = thief.generate_presigned_url("get_object", {"Bucket": ORIGINALS, "Key": image["key"]})
    source = {"x-amz-copy-source": f"/{ORIGINALS}/{image['key']}"}
    assert httpx.put(put, content=photo()).status_code == 403
    assert httpx.put(put, headers=source).status_code == 403
    assert httpx.get(get).status_code == 403
    assert everything(system) == before


def test_a_form_with_a_copy_source_copies_nothing(system):
    image = system.wait_status(system.post_form(photo())["id"])
    ticket = system.ticket()
    source = {"x-amz-copy-source": f"/{ORIGINALS}/{image['key']}"}
    mine = photo(seed=7, orientation=3)
    assert system.send_form(ticket, mine, **source).status_code == 403  # as a field
    assert system.keys(ORIGINALS, ticket["key"]) == []
    assert system.send_form(ticket, mine, headers=source).status_code == 204  # as a header it has no effect
    assert system.s3.get_object(Bucket=ORIGINALS, Key=ticket["key"])["Body"].read() == mine


def test_the_s3_uploader_cannot_read_or_write_under_uploads(system):
    image = system.wait_status(system.post_form(photo())["id"])
    others = {"Bucket": ORIGINALS, "Key": image["key"]}
    uploader = system.uploader
    uploader.put_object(Bucket=ORIGINALS, Key="mine.jpg", Body=photo(seed=8))
    system.wait_key("mine.jpg")
    before = everything(system)
    for attempt in (
        lambda: uploader.get_object(**others),
        lambda: uploader.get_object(Bucket=ORIGINALS, Key="mine.jpg"),
        lambda: uploader.put_object(**others, Body=photo(seed=9)),
        lambda: uploader.create_multipart_upload(**others),
        lambda: uploader.copy_object(Bucket=ORIGINALS, Key="copy.jpg", CopySource=others),
        lambda: uploader.delete_object(**others),
        lambda: uploader.delete_object(Bucket=ORIGINALS, Key="mine.jpg"),
        lambda: uploader.put_object(Bucket=PROCESSED, Key=f"{image['id']}/x/thumbnail.jpg", Body=b"x"),
        lambda: uploader.list_objects_v2(Bucket=ORIGINALS),
        lambda: uploader.list_objects_v2(Bucket=PROCESSED),
    ):
        with pytest.raises(ClientError) as refusal:
            attempt()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert everything(system) == before
    assert red_quarter(system.thumbnail(image["id"])) == "left upper"


@pytest.mark.parametrize("name", ["thumbnailer", "status-tracker"])
def test_a_service_has_only_the_permissions_that_it_needs(system, name):
    secret = system.secrets[f"{name.upper().replace('-', '_')}_MINIO_SECRET_KEY"]
    service = system.s3_as(name, secret)
    image = system.wait_status(system.post_form(photo())["id"])
    system.put("no permission.jpg", photo())
    kept = image["key"] if name == "thumbnailer" else "no permission.jpg"  # the tracker may delete in uploads/
    for attempt in (
        lambda: service.put_object(Bucket=ORIGINALS, Key="uploads/new", Body=b""),
        lambda: service.delete_object(Bucket=ORIGINALS, Key=kept),
    ):
        with pytest.raises(ClientError) as refusal:
            attempt()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    presigned = service.generate_presigned_url("get_object", {"Bucket": ORIGINALS, "Key": image["key"]})
    assert httpx.get(presigned).status_code == 403
