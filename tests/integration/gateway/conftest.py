"""A gateway with real servers, without thumbnailer and tracker: the tests write the rows that it reads."""

import itertools
import json
import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import boto3
import httpx
import psycopg
import pytest
from botocore.config import Config

from devstack.stack import Stack
from tests.support.images import grain
from tests.support.live import Stream
from tests.support.stack import run_stack
from tests.support.waiting import wait_until

_NUMBERS = itertools.count()
ORIGINALS, PROCESSED = "images-original", "images-processed"
OTHERS = ("thumbnailer", "status-tracker")  # stopped: the tests write the rows
KEYS = ("first-key", "second-key")
SETTINGS = {"UPLOAD_DEADLINE_SECONDS": "1.5", "MAX_UPLOAD_BYTES": str(30 * 1024 * 1024), "LOG_FORMAT": "json"}


_CHANGE = """
    WITH head AS (UPDATE feed SET last = last + 1 RETURNING last),
    written AS (
        INSERT INTO images (id, key, status, object_version, size, generation, run_id, attempts, variants,
            variants_removed, created_at, updated_at, version, batch, tenant, change)
        SELECT %(id)s, 'uploads/' || %(id)s || '/original', %(status)s, 'e/3/1', 3, 1, '', 1, '[]', false, now(),
            now(), %(version)s, %(batch)s, %(tenant)s, last
        FROM head
        ON CONFLICT (id) DO UPDATE
        SET status = excluded.status, version = excluded.version, change = excluded.change
        RETURNING *
    ),
    added AS (
        INSERT INTO changes (seq, image_id, version, generation, type, batch, tenant, at, data)
        SELECT change, id, version, generation, 'image.' || lower(status), batch, tenant, now(), to_jsonb(written)
        FROM written
    )
    SELECT pg_notify('changes', last::text) FROM head
"""
_MANY_CHANGES = """
    WITH head AS (UPDATE feed SET last = last + %(count)s RETURNING last),
    added AS (
        INSERT INTO changes (seq, image_id, version, generation, type, at, data)
        SELECT last - %(count)s + number, image_id, 1, 1, 'image.pending', now(), jsonb_build_object(
            'id', image_id, 'key', 'a key', 'status', 'PENDING', 'file_name', %(file_name)s::text,
            'content_type', null, 'size', 3, 'generation', 1, 'format', null, 'width', null, 'height', null,
            'sha256', null, 'variants', '[]'::jsonb, 'details', null, 'damaged', false, 'attempts', 0,
            'next_attempt_at', null, 'error', null, 'created_at', now(), 'updated_at', now(), 'expires_at', null,
            'version', 1)
        FROM head, generate_series(1, %(count)s) AS number,
            LATERAL (SELECT gen_random_uuid() AS image_id, number AS of) AS new
    )
    SELECT pg_notify('changes', last::text) FROM head
"""


@dataclass(frozen=True)
class System:
    """The servers and the gateway, as clients see them."""

    stack: Stack
    client: httpx.Client
    s3: object

    @property
    def owner(self):
        return self.stack.endpoints.database()

    def sql(self, query, values=()):
        with closing(psycopg.connect(self.owner, autocommit=True)) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def put_row(self, **values):
        """Write an image as the tracker would."""
        image_id = values.get("id", uuid.uuid4())
        row = {
            "id": image_id,
            "key": f"uploads/{image_id}/original",
            "status": "DONE",
            "object_version": "e/3/1",
            "size": 3,
            "generation": 1,
            "run_id": "",
            "attempts": 1,
            "variants": "[]",
            "variants_removed": False,
            "created_at": datetime.now(UTC),
            "updated_at": datetime.now(UTC),
            "version": next(_NUMBERS),
        } | values
        names, placeholders = ", ".join(row), ", ".join(["%s"] * len(row))
        self.sql(f"INSERT INTO images ({names}) VALUES ({placeholders})", list(row.values()))  # noqa: S608
        return image_id

    def put_changes(self, *statuses, image_id=None, batch=None, tenant="", connection=None):
        """Write an image and its changes as the tracker would, each in a transaction of its own; return its id."""
        image_id = image_id or uuid.uuid4()
        with ExitStack() as stack:
            used = connection or stack.enter_context(closing(psycopg.connect(self.owner, autocommit=True)))
            for status in statuses:
                values = {"id": image_id, "status": status, "batch": batch, "tenant": tenant}
                used.execute(_CHANGE, values | {"version": next(_NUMBERS)})
        return image_id

    def put_many_changes(self, count, file_name):
        """Write this many changes of images without a row, in one transaction."""
        self.sql(_MANY_CHANGES, {"count": count, "file_name": file_name})

    def put_done(self, thumbnail=b"thumbnail", **values):
        """Write an image that is done, with a thumbnail in the bucket."""
        image_id = values.pop("id", None) or uuid.uuid4()
        key = f"{image_id}/0123456789abcdef-v1/thumbnail.jpg"
        self.s3.put_object(Bucket=PROCESSED, Key=key, Body=thumbnail)
        variant = {"type": "thumbnail", "key": key, "width": 256, "height": 171, "bytes": len(thumbnail)}
        variants = json.dumps([variant | {"content_type": "image/jpeg"}])
        return self.put_row(id=image_id, variants=variants, **values)

    def catch_up(self, moment=None):
        """Set the time up to which the tracker has recorded everything."""
        self.sql("UPDATE progress SET caught_up_to = %s", [moment or datetime.now(UTC) + timedelta(minutes=5)])

    def keys(self, bucket=ORIGINALS):
        return {entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def reset(self):
        self.sql("TRUNCATE images, events, changes")
        self.sql("UPDATE feed SET oldest = last + 1")
        self.sql("UPDATE progress SET caught_up_to = '-infinity'")
        for bucket in (ORIGINALS, PROCESSED):
            for key in self.keys(bucket):
                self.s3.delete_object(Bucket=bucket, Key=key)

    def parts_on_disk(self):
        """Return the parts of unfinished uploads: to list them, MinIO needs the key."""
        return list((self.stack.installation.data / "minio" / "drive" / ".minio.sys" / "multipart").rglob("part.*"))

    def wait_until_ready(self):
        wait_until(lambda: self.client.get("/readyz").json() == READY, 30, "a ready gateway")


def begin_upload(length):
    """Return the request line and headers of an upload of raw bytes, for a socket."""
    head = "POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


READY = {"status": "ok", "unavailable": {}, "degraded": {}}


@pytest.fixture(scope="session")
def system():
    """A system only for these tests, which empty tables and buckets and set the tracker's progress."""
    with run_stack(**SETTINGS) as stack:
        for name in OTHERS:
            stack.stop(name)
        access_key, secret_key = stack.endpoints.root_keys
        s3 = boto3.client(
            "s3",
            endpoint_url=stack.endpoints.minio,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}),
        )
        with httpx.Client(base_url=stack.endpoints.gateway, timeout=30) as client:
            yield System(stack, client, s3)
        s3.close()


@pytest.fixture
def client(system):
    return system.client


@pytest.fixture
def fresh(system):
    """A system without images, and a tracker that has recorded nothing."""
    system.reset()
    return system


@pytest.fixture(scope="session")
def photo():
    file = BytesIO()
    grain((600, 400), 80).convert("RGB").save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def port(fresh):
    return fresh.stack.installation.ports["GATEWAY_PORT"]


@pytest.fixture
def opened(port):
    """Return a function that opens a stream and waits for its hello."""
    streams = []

    def open_stream(path="/api/v1/stream", **options):
        stream = Stream(options.pop("port", port), path, **options)
        streams.append(stream)
        return stream.read_until(lambda one: one.events)

    yield open_stream
    for stream in streams:
        stream.close()
