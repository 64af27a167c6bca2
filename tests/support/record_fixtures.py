"""Records ``data/notifications``: the notifications of a MinIO bucket, unchanged, as test data for their parsers.

Run it when MinIO changes, and look at what git shows: ``.venv/bin/python -m
tests.support.record_fixtures``. The tests' expected ETags and dates change with it.
"""

import boto3
import httpx
from botocore.config import Config

from tests.support.images import photo
from tests.support.messages import listening
from tests.support.notifications import DATA, FORM_KEY, ODD_KEY, OWN_KEY, TRACEPARENT
from tests.support.stack import run_stack
from tests.support.system import ORIGINALS, System

JPEG, PNG = photo(64, 48), photo(64, 48, kind="PNG")


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    with run_stack(backing_only=True) as stack:
        system = System(stack)
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{system.ports['MINIO_PORT']}",
            aws_access_key_id=system.secrets["MINIO_ROOT_USER"],
            aws_secret_access_key=system.secrets["MINIO_ROOT_PASSWORD"],
            region_name="us-east-1",
            config=Config(user_agent="an S3 client"),
        )
        with listening(system, "storage.events", "immediate") as listener:
            for name, act in ACTS.items():
                act(s3)
                [message] = listener.take(1)
                (DATA / f"{name}.json").write_bytes(message.body)
                print(name)  # noqa: T201


def put(key, data=JPEG, **options):
    return lambda s3: s3.put_object(Bucket=ORIGINALS, Key=key, Body=data, ContentType="image/jpeg", **options)


def delete(key):
    return lambda s3: s3.delete_object(Bucket=ORIGINALS, Key=key)


def delete_many(*keys):
    return lambda s3: s3.delete_objects(Bucket=ORIGINALS, Delete={"Objects": [{"Key": key} for key in keys]})


def post_form(s3):
    own = {"Content-Type": "image/png", "x-amz-meta-file-name": "form+picture.png"}
    conditions = [{name: value} for name, value in own.items()]
    form = s3.generate_presigned_post(ORIGINALS, FORM_KEY, Fields=own, Conditions=conditions)
    httpx.post(form["url"], data=form["fields"], files={"file": ("a.png", PNG)}).raise_for_status()


def copy(s3):
    s3.copy_object(Bucket=ORIGINALS, Key="copies/beach.jpg", CopySource={"Bucket": ORIGINALS, "Key": "beach.jpg"})


def send_parts(s3):
    of = {"Bucket": ORIGINALS, "Key": "panorama.png"}
    upload = s3.create_multipart_upload(**of, ContentType="image/png", Metadata={"File-Name": "panorama.png"})
    of["UploadId"] = upload["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**of, PartNumber=n, Body=data)["ETag"]}
        for n, data in ((1, PNG + bytes(5 * 1024 * 1024)), (2, b"the end"))
    ]
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})


def put_forged(s3):
    def forge(request, **_):
        request.headers["X-Minio-Source-Mtime"] = "2200-01-01T00:00:00.000000000Z"
        request.headers["X-Minio-Source-Etag"] = "deadbeef"

    s3.meta.events.register("before-sign.s3.PutObject", forge)
    put("forged.jpg")(s3)
    s3.meta.events.unregister("before-sign.s3.PutObject", forge)


ACTS = {
    "put": put("beach.jpg"),
    "put_by_the_gateway": put(
        OWN_KEY, Metadata={"file-name": "caf%C3%A9+%26+b%C3%A4r.jpg", "traceparent": TRACEPARENT}
    ),
    "put_odd_key": put(ODD_KEY),
    "put_empty": put("empty.jpg", b""),
    "put_forged": put_forged,
    "post_form": post_form,
    "copy": copy,
    "multipart": send_parts,
    "delete": delete("beach.jpg"),
    "delete_odd_key": delete(ODD_KEY),
    "delete_many": delete_many("copies/beach.jpg"),
    "delete_nothing": delete_many("never.jpg"),
}

if __name__ == "__main__":
    main()
