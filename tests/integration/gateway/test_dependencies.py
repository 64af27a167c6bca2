"""What the gateway answers while dependencies are unavailable, and that it recovers without a restart."""

import asyncio
import json
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from tests.integration.gateway.conftest import ORIGINALS, READY, SETTINGS, begin_upload
from tests.support.waiting import wait_until
from thumbmill.core.contracts.identity import new_image_id
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.database import Database

MORE_THAN_CONNECTIONS = 10  # to Postgres: the gateway keeps 8


def readiness(client):
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_with_all_dependencies_available(system, client):
    system.wait_until_ready()
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/livez").status_code == 200
    assert "thumbmill_http_request_seconds" in client.get("/metrics").text


def test_without_the_database_uploads_work(fresh, client, photo):
    image_id = fresh.put_row()
    assert client.get(f"/api/v1/images/{image_id}").status_code == 200
    fresh.stack.stop("postgres")
    try:
        assert client.post("/api/v1/images", files={"file": photo}).status_code == 202
        answer = client.get(f"/api/v1/images/{image_id}")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        wait_until(lambda: readiness(client)[0] == 503, 10, "a failing readiness probe")
        assert "postgres is unavailable" in readiness(client)[1]["unavailable"]["postgres"]
    finally:
        fresh.stack.start("postgres")
    wait_until(
        lambda: client.get(f"/api/v1/images/{image_id}").status_code == 200,
        10,
        "the database",
    )
    fresh.wait_until_ready()


def test_a_locked_table_is_reported_in_time_and_blocks_nothing_else(fresh, client, photo):
    image_id = fresh.put_row()

    def get_image(_):
        answer = client.get(f"/api/v1/images/{image_id}")
        return answer.status_code, answer.json().get("code")

    with (
        closing(psycopg.connect(fresh.owner)) as locker,
        ThreadPoolExecutor(MORE_THAN_CONNECTIONS) as pool,
    ):
        locker.execute("LOCK TABLE images")
        answers = pool.map(get_image, range(MORE_THAN_CONNECTIONS))
        assert client.post("/api/v1/images", files={"file": photo}).status_code == 202
        assert client.get("/livez").status_code == 200
        assert set(answers) == {(503, "database_unavailable")}
    wait_until(lambda: get_image(0) == (200, None), 10, "the end of the lock")
    fresh.wait_until_ready()


def test_a_blocked_database_is_reported_at_startup(fresh):
    """Otherwise the gateway would neither listen nor report the reason."""
    with closing(psycopg.connect(fresh.owner)) as locker:
        locker.execute("LOCK TABLE progress")
        with pytest.raises(DependencyUnavailable):
            asyncio.run(Database(fresh.stack.endpoints.database("gateway")).check_login())


def test_dead_pooled_connections_are_replaced(fresh, client):
    image_id = fresh.put_row()
    assert client.get(f"/api/v1/images/{image_id}").status_code == 200
    fresh.stack.restart("postgres")
    assert client.get(f"/api/v1/images/{image_id}").status_code == 200


def test_without_the_store(fresh, client, photo):
    image_id = fresh.put_row()
    ticket = fresh.put_row(id=new_image_id(), status="AWAITING_UPLOAD", object_version=None)
    fresh.stack.stop("minio")
    try:
        answer = client.post("/api/v1/images", files={"file": photo})
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert answer.headers["Location"].endswith(answer.json()["id"])
        assert client.get(f"/api/v1/images/{image_id}").status_code == 200
        unsure = client.get(f"/api/v1/images/{ticket}")  # the ticket may have been used
        assert (unsure.status_code, unsure.json()["code"]) == (503, "storage_unavailable")
        wait_until(lambda: "minio" in readiness(client)[1]["unavailable"], 10, "readiness that names the store")
    finally:
        fresh.stack.start("minio")
    fresh.wait_until_ready()
    assert client.post("/api/v1/images", files={"file": photo}).status_code == 202


def test_a_frozen_store_does_not_hang_readiness(system, client):
    system.stack.signal("minio", signal.SIGSTOP)
    try:
        wait_until(
            lambda: list(readiness(client)[1]["unavailable"]) == ["minio"], 20, "readiness that names the store"
        )
    finally:
        system.stack.signal("minio", signal.SIGCONT)
    system.wait_until_ready()


def test_without_the_broker_only_tickets_fail(system, client, photo):
    system.stack.stop("rabbitmq")
    try:
        answer = client.post("/api/v1/uploads", json={"content_type": "image/jpeg"})
        assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
        assert "Retry-After" in answer.headers
        assert client.post("/api/v1/images", files={"file": photo}).status_code == 202

        def degraded():
            status, body = readiness(client)
            return status == 200 and "rabbitmq" in body["degraded"]

        wait_until(degraded, 20, "readiness that names the broker")
    finally:
        system.stack.start("rabbitmq")
    assert client.post("/api/v1/uploads", json={"content_type": "image/jpeg"}).status_code == 201
    system.wait_until_ready()


def test_versioning_is_reported(system, client):
    def version(status):
        system.s3.put_bucket_versioning(Bucket="images-processed", VersioningConfiguration={"Status": status})

    version("Enabled")
    try:
        wait_until(
            lambda: "versioning is on" in readiness(client)[1]["unavailable"].get("minio", ""), 20, "the report"
        )
    finally:
        version("Suspended")
    system.wait_until_ready()


@pytest.mark.parametrize(
    ("wrong", "code", "named"),
    [
        ({"MINIO_SECRET_KEY": "wrong-secret"}, 1, "MINIO_SECRET_KEY"),
        ({"RABBITMQ_PASSWORD": "wrong"}, 1, "RABBITMQ_PASSWORD"),
        ({"DATABASE_URL": "gateway:wrong"}, 1, "DATABASE_URL"),
        ({"GATEWAY_PORT": "minio's"}, 1, "GATEWAY_PORT"),
        ({"GATEWAY_PORT": "http"}, 2, "GATEWAY_PORT"),
        ({"GATEWAY_HOST": "0.0.0.0"}, 2, "API_KEYS"),
    ],
)
def test_invalid_settings_are_named(system, wrong, code, named):
    database = system.stack.endpoints.database("gateway")
    if wrong == {"DATABASE_URL": "gateway:wrong"}:
        wrong = {"DATABASE_URL": "postgresql://gateway:wrong@" + database.partition("@")[2]}
    if wrong == {"GATEWAY_PORT": "minio's"}:
        wrong = {"GATEWAY_PORT": str(system.stack.installation.ports["MINIO_PORT"])}
    ended = start_with(system, **wrong)
    assert ended.returncode == code
    assert named in ended.stdout + ended.stderr


def test_a_missing_bucket_is_named(system):
    system.s3.delete_bucket_policy(Bucket="images-processed")
    for key in system.keys("images-processed"):
        system.s3.delete_object(Bucket="images-processed", Key=key)
    system.s3.delete_bucket(Bucket="images-processed")
    try:
        ended = start_with(system)
    finally:
        system.s3.create_bucket(Bucket="images-processed")
    assert ended.returncode == 1
    assert "bucket 'images-processed' does not exist" in ended.stdout
    system.wait_until_ready()


def start_with(system, **wrong):
    process = system.stack.table["gateway"]
    environment = process.environment | SETTINGS | {"GATEWAY_PORT": "1"} | wrong
    return subprocess.run(process.command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_a_shutdown_lets_uploads_finish(system, client, photo):
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(begin_upload(len(photo)) + photo[:1000])
        wait_until(lambda: "thumbmill_uploads_running 1.0" in client.get("/metrics").text, 10, "the upload")
        system.stack.signal("gateway", signal.SIGTERM)
        wait_until(lambda: is_closed(host, port), 10, "a closed port")
        connection.sendall(photo[1000:])
        answer = connection.makefile("rb").read()
    try:
        assert b" 202 " in answer.partition(b"\r\n")[0]
        assert system.stack.wait_exit("gateway", 10) == 0
    finally:
        system.stack.start("gateway", **SETTINGS)
    accepted = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert system.s3.head_object(Bucket=ORIGINALS, Key=accepted["key"])["ContentLength"] == len(photo)
    assert readiness(client) == (200, READY)


def is_closed(host, port):
    try:
        socket.create_connection((host, port)).close()
    except ConnectionRefusedError:
        return True
    return False
