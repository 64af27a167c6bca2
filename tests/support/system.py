"""A client of the running system, as users and operators see it: HTTP, S3, AMQP, SQL, no package of the project."""

import json
import signal
import subprocess
from contextlib import ExitStack, contextmanager
from functools import cached_property

import boto3
import httpx
import pika
import psycopg
from botocore.config import Config

from devstack.postgres import OWNER, database_url
from devstack.stack import Stack
from tests.support.fault_injection.launch import service_of
from tests.support.waiting import wait_until

ORIGINALS, PROCESSED = "images-original", "images-processed"
PRESETS = ("thumbnail", "small", "large")  # the variants of every image, unless a test changes them
TERMINAL = {"DONE", "FAILED", "DELETED", "EXPIRED"}


class System:
    """A client of one stack, on all its interfaces."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.ports = stack.installation.ports
        self.secrets = stack.installation.secrets
        self._open = ExitStack()

    def close(self):
        """Close all connections."""
        self._open.close()

    def run_to_end(self, name, *arguments, **changes):
        """Run another process of a service with changed settings; return its exit code and its output.

        A setting of None is removed. ``arguments`` replace the service's own.
        """
        process = self.stack.table[name]
        command = service_of(process.command)
        settings = {**process.environment, **changes}
        ended = subprocess.run(
            [command[0], *(arguments or command[1:])],
            env={variable: value for variable, value in settings.items() if value is not None},
            cwd=process.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    @contextmanager
    def restarted(self, name, *, command=None, **settings):
        """Run one service with another command and settings for a while."""
        self.stack.restart(name, command=command, **settings)
        try:
            yield
        finally:
            self.stack.restart(name)

    @contextmanager
    def stopped(self, name):
        """Stop one process for a while."""
        self.stack.stop(name)
        try:
            yield
        finally:
            self.stack.start(name)

    @contextmanager
    def frozen(self, name):
        """Freeze one process for a while: it keeps its connections and its messages."""
        self.stack.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.stack.signal(name, signal.SIGCONT)

    # --- HTTP ----------------------------------------------------------------------------------------------

    @cached_property
    def http(self) -> httpx.Client:
        base_url = f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}"
        return self._open.enter_context(httpx.Client(base_url=base_url, timeout=30))

    def post_form(self, data, name="photo.jpg", *, headers=None):
        """Upload as a browser does; return the response's body."""
        answer = self.http.post("/api/v1/images", files={"file": (name, data, "image/jpeg")}, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def ticket(self, content_type="image/jpeg", file_name="photo.jpg"):
        """Ask for a presigned form."""
        answer = self.http.post("/api/v1/uploads", json={"content_type": content_type, "file_name": file_name})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def send_form(self, ticket, data, *, headers=None, **changes):
        """Send bytes directly to MinIO with a ticket's form, with fields changed or added."""
        form = ticket["form"]
        return httpx.post(
            form["url"],
            data=form["fields"] | changes,
            files={"file": ("photo.jpg", data)},
            headers=headers,
            timeout=60,
        )

    def image(self, image_id):
        """Return the API's status of an image; None for 404."""
        answer = self.http.get(f"/api/v1/images/{image_id}")
        if answer.status_code == 404:
            return None
        return answer.json() if answer.status_code == 200 else {"status": f"HTTP {answer.status_code}"}

    def image_of(self, key):
        """Return the API's status of the object under a key; None if there is none."""
        answer = self.http.get("/api/v1/images", params={"key": key})
        if answer.status_code != 200:
            return None
        items = answer.json()["items"]
        return items[0] if items else None

    def wait_status(self, image_id, status="DONE", timeout=30):
        """Wait until an image has a status and return it; another terminal status fails at once."""

        def reached():
            image = self.image(image_id) or {"status": "none"}
            if image["status"] in TERMINAL - {status} and status in {"DONE", "FAILED"}:
                raise AssertionError(f"{image_id} is {image['status']}, not {status}: {image}")
            return image if image["status"] == status else None

        return wait_until(reached, timeout, f"{image_id} to be {status}; it is {self.image(image_id)}")

    def wait_key(self, key, status="DONE", timeout=30):
        """Do the same for the object under a key."""
        image = wait_until(lambda: self.image_of(key), timeout, f"an image for {key!r}")
        return self.wait_status(image["id"], status, timeout)

    def events(self, image_id):
        """Return an image's timeline."""
        answer = self.http.get(f"/api/v1/images/{image_id}/events")
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def timeline(self, image_id):
        """Return the types of an image's events, in order."""
        return [event["type"] for event in self.events(image_id)]

    def wait_generation(self, image_id, number, timeout=30):
        """Wait until this generation of an image is DONE."""

        def reached():
            image = self.image(image_id)
            return image if image["generation"] == number and image["status"] == "DONE" else None

        return wait_until(reached, timeout, f"generation {number} of {image_id} to be DONE")

    def wait_removed(self, image_id):
        """Wait until the variants of a deleted image are removed; return its timeline."""
        wait_until(lambda: "image.removed" in self.timeline(image_id), what=f"image.removed for {image_id}")
        self.wait_status(image_id, "DELETED")
        assert self.keys(PROCESSED, f"{image_id}/") == []
        return self.timeline(image_id)

    def metric(self, port, name):
        """Return the value of a service's metric, named with its labels; 0 if it does not exist."""
        lines = httpx.get(f"http://127.0.0.1:{self.ports[port]}/metrics", timeout=60).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)

    def thumbnail(self, image_id, preset="thumbnail"):
        """Return the bytes of the thumbnail or another variant, by its stable URL."""
        answer = self.http.get(f"/api/v1/images/{image_id}/variants/{preset}")
        assert answer.status_code == 200, answer.text
        return answer.content

    # --- S3 ------------------------------------------------------------------------------------------------

    @cached_property
    def s3(self):
        return self.s3_as(self.secrets["MINIO_ROOT_USER"], self.secrets["MINIO_ROOT_PASSWORD"])

    @cached_property
    def uploader(self):
        """The S3 client of the user that can only upload."""
        return self.s3_as("s3-uploader", self.secrets["S3_UPLOADER_SECRET_KEY"])

    def s3_as(self, access_key, secret_key):
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.ports['MINIO_PORT']}",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=60),
        )
        self._open.callback(client.close)
        return client

    def put(self, key, data, **options):
        return self.s3.put_object(Bucket=ORIGINALS, Key=key, Body=data, **options)

    def keys(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def multipart_uploads(self):
        """Return the keys of multipart uploads that are neither complete nor aborted."""
        return [upload["Key"] for upload in self.s3.list_multipart_uploads(Bucket=ORIGINALS).get("Uploads", [])]

    def abort_multipart_uploads(self):
        """Abort multipart uploads of other tests, such as those of a gateway killed within a file."""
        for upload in self.s3.list_multipart_uploads(Bucket=ORIGINALS).get("Uploads", []):
            self.s3.abort_multipart_upload(Bucket=ORIGINALS, Key=upload["Key"], UploadId=upload["UploadId"])

    # --- AMQP ----------------------------------------------------------------------------------------------

    @contextmanager
    def channel(self, user="admin"):
        """Open a channel of one of RabbitMQ's users, without confirms."""
        secret = {"admin": "RABBITMQ_ADMIN_PASSWORD", "minio": "MINIO_RABBITMQ_PASSWORD"}.get(
            user, f"{user.upper().replace('-', '_')}_RABBITMQ_PASSWORD"
        )
        login = pika.PlainCredentials(user, self.secrets[secret])
        parameters = pika.ConnectionParameters("127.0.0.1", self.ports["RABBITMQ_PORT"], credentials=login)
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:  # the broker closes it too, when it denies an operation
                connection.close()

    def message_count(self, queue):
        with self.channel() as channel:
            return channel.queue_declare(queue, passive=True).method.message_count

    def drain(self, queue):
        """Remove all messages of a queue; return their bodies and headers."""
        taken = []
        with self.channel() as channel:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append((got[2], got[1].headers or {}))
        return taken

    def publish_storage_event(self, body, key="immediate"):
        with self.channel() as channel:
            channel.confirm_delivery()
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            channel.basic_publish(
                "storage.events", key, body, pika.BasicProperties(delivery_mode=2), mandatory=True
            )

    # --- SQL -----------------------------------------------------------------------------------------------

    def query(self, sql, *parameters):
        """Query the database as its owner."""
        url = database_url(self.stack.installation, OWNER, self.secrets["POSTGRES_PASSWORD"])
        with psycopg.connect(url) as connection:
            return connection.execute(sql, parameters).fetchall()


QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def problem(answer, status):
    """Return the code of a response that must be a problem (RFC 9457) with this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    own_type = f"urn:thumbmill:problem:{body['code']}"
    assert body["type"] == (QUOTA_EXCEEDED if body["code"] == "rate_limited" else own_type)
    return body["code"]
