"""What the holder of a part's URL, of an upload's id, or of the part signer's secret can do."""

import base64

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.support.images import photo
from tests.support.resumable_uploads import PART, large_bmp, send, sign, start
from tests.support.system import ORIGINALS, PROCESSED, problem

DATA = large_bmp()


def test_a_stolen_part_signer_reads_lists_and_completes_nothing(system):
    image = system.wait_status(system.post_form(photo())["id"])
    upload = start(system.http, DATA)
    send(system.http, upload, DATA)
    [stored] = [
        one
        for one in system.s3.list_multipart_uploads(Bucket=ORIGINALS, Prefix=upload["key"])["Uploads"]
        if one["Key"] == upload["key"]
    ]
    thief = system.s3_as("part-signer", system.secrets["PART_SIGNER_SECRET_KEY"])
    of_upload = {"Bucket": ORIGINALS, "Key": upload["key"], "UploadId": stored["UploadId"]}
    of_image = {"Bucket": ORIGINALS, "Key": image["key"]}
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}}
    for attempt in (
        lambda: thief.put_object(**of_image, Body=b""),  # signed in a header
        lambda: thief.get_object(**of_image),
        lambda: thief.delete_object(**of_image),
        lambda: thief.list_objects_v2(Bucket=ORIGINALS),
        lambda: thief.list_multipart_uploads(Bucket=ORIGINALS),
        lambda: thief.create_multipart_upload(Bucket=ORIGINALS, Key="uploads/new"),
        lambda: thief.upload_part(**of_upload, PartNumber=1, Body=b""),
        lambda: thief.list_parts(**of_upload),
        lambda: thief.complete_multipart_upload(**of_upload, **parts),
        lambda: thief.abort_multipart_upload(**of_upload),
    ):
        with pytest.raises(ClientError) as refusal:
            attempt()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    for method, parameters in (
        ("get_object", of_image),
        ("delete_object", of_image),
        ("list_parts", of_upload),
        ("abort_multipart_upload", of_upload),
        ("put_object", {"Bucket": ORIGINALS, "Key": "elsewhere.jpg"}),
        ("put_object", {"Bucket": PROCESSED, "Key": f"{image['id']}/stolen"}),
    ):
        url = thief.generate_presigned_url(method, parameters)
        verb = {"get": "GET", "list": "GET", "put": "PUT"}.get(method.partition("_")[0], "DELETE")
        assert httpx.request(verb, url).status_code == 403, method
    assert system.http.post(upload["complete_url"]).status_code == 202
    system.wait_status(upload["id"])


def test_a_client_cannot_change_what_it_declared(system):
    """The id of an upload is readable, and signed."""
    upload = start(system.http, b"x")
    payload, _, signature = upload["upload_id"].partition(".")
    fields = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode().split(" ")
    image_id, size, expiry, store_id = fields
    assert size == "1"
    victim = start(system.http, DATA)
    for forged in (
        [image_id, str(PART), expiry, store_id],
        [image_id, "", expiry, store_id],
        [image_id, size, str(int(expiry) + 86400), store_id],
        [victim["id"].replace("-", ""), size, expiry, store_id],
    ):
        text = base64.urlsafe_b64encode(" ".join(forged).encode()).decode().rstrip("=")
        for image in (upload["id"], victim["id"]):
            url = f"/api/v1/uploads/{image}/parts?upload_id={text}.{signature}"
            assert problem(system.http.post(url, json={"numbers": [1]}), 404) == "upload_not_found"
    [part] = sign(system.http, upload, 1).values()
    assert httpx.put(part["url"], content=b"xx").status_code == 403


def test_a_url_is_useless_once_the_upload_is_completed(system):
    """A client that kept a URL cannot change the image later."""
    upload = start(system.http, DATA)
    send(system.http, upload, DATA)
    kept = sign(system.http, upload, 1)[1]["url"]
    system.http.post(upload["complete_url"])
    image = system.wait_status(upload["id"])
    assert httpx.put(kept, content=bytes(PART)).status_code == 404
    bare = kept.replace("partNumber=1&", "").replace("uploadId=", "x=")  # as a whole object
    assert httpx.put(bare, content=bytes(PART)).status_code == 403
    assert system.image(upload["id"])["sha256"] == image["sha256"]
    assert system.http.get(f"/api/v1/images/{upload['id']}/variants/original").content == DATA
