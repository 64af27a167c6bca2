import os
import signal
import socket
import uuid
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.gateway.conftest import ORIGINALS, SETTINGS, begin_upload
from tests.support.waiting import wait_until

MIB = 1024 * 1024
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
START = b"\xff\xd8\xff\xe0"


def test_a_form_becomes_an_object(system, client, photo):
    name = "ä b+c 100%.jpg"
    answer = client.post(
        "/api/v1/images", files={"file": (name, photo, "text/html")}, headers={"traceparent": TRACE}
    )
    assert answer.status_code == 202
    accepted = answer.json()
    stored_object = system.s3.get_object(Bucket=ORIGINALS, Key=accepted["key"])
    assert stored_object["Body"].read() == photo
    assert stored_object["ContentType"] == "image/jpeg"  # by its content, not as declared
    assert stored_object["Metadata"] == {"file-name": "%C3%A4%20b%2Bc%20100%25.jpg", "traceparent": TRACE}

    image = client.get(answer.headers["Location"]).json()  # no row yet: the bucket is read
    assert (image["id"], image["status"], image["file_name"]) == (accepted["id"], "PENDING", name)


@pytest.mark.parametrize("size", [5 * MIB, 12 * MIB])
def test_raw_bytes_become_an_object(system, client, size):
    content = START + os.urandom(size - 4)
    answer = client.post("/api/v1/images", content=content, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 202
    assert system.s3.get_object(Bucket=ORIGINALS, Key=answer.json()["key"])["Body"].read() == content
    assert not system.parts_on_disk()


def test_over_the_limit(fresh, client):
    def endless():
        for _ in range(50):
            yield START + bytes(MIB)

    answer = client.post("/api/v1/images", content=endless(), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    wait_until(lambda: not fresh.parts_on_disk(), 10, "dropped parts")
    assert not fresh.keys()


def test_a_file_that_is_not_an_image_is_not_stored(fresh, client):
    answer = client.post("/api/v1/images", files={"file": ("photo.jpg", b"text, not an image", "image/jpeg")})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_format")
    assert not fresh.keys()


@pytest.mark.parametrize("sent", [1000, 12 * MIB])
def test_a_client_that_disconnects_leaves_nothing(fresh, client, sent):
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(begin_upload(20_000_000) + START + os.urandom(sent))
        if sent > 5 * MIB:
            wait_until(fresh.parts_on_disk, 10, "a part in the store")
    log = fresh.stack.log_path("gateway")
    wait_until(lambda: '"status": 499' in log.read_text().splitlines()[-1], 10, "the end of the request")
    wait_until(lambda: not fresh.parts_on_disk(), 10, "dropped parts")
    assert not fresh.keys()


def test_a_frozen_store_is_reported_in_time_and_the_image_is_found_later(system, client, photo):
    system.stack.signal("minio", signal.SIGSTOP)
    try:
        answer = client.post("/api/v1/images", files={"file": ("cat.jpg", photo)})
    finally:
        system.stack.signal("minio", signal.SIGCONT)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_timeout")
    assert "Retry-After" in answer.headers
    assert answer.headers["Location"].endswith(answer.json()["id"])

    def stored():
        return client.get(answer.headers["Location"]).json().get("status") == "PENDING"

    wait_until(stored, 30, "the object that was being stored")


def test_the_store_is_killed_during_an_upload(fresh, client, photo):
    """The received part never becomes an object."""
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(begin_upload(12 * MIB) + START + os.urandom(11 * MIB))
        wait_until(fresh.parts_on_disk, 10, "a part in the store")
        fresh.stack.kill("minio")
        connection.sendall(bytes(MIB - len(START)))
        answer = connection.makefile("rb").readline()
    fresh.stack.start("minio")
    assert b" 503 " in answer
    fresh.wait_until_ready()
    assert not fresh.keys()
    assert client.post("/api/v1/images", files={"file": photo}).status_code == 202


def test_too_many_at_once(system, client, photo):
    system.stack.restart("gateway", MAX_CONCURRENT_UPLOADS="1", LOG_FORMAT="json")
    address = urlsplit(str(client.base_url))
    try:
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(begin_upload(1000) + START)

            def refused():
                answer = client.post("/api/v1/images", files={"file": photo})
                return answer if answer.status_code == 503 else None

            answer = wait_until(refused, 10, "a rejected upload")
            assert answer.json()["code"] == "too_many_uploads"
            assert "Retry-After" in answer.headers

        def accepted():
            return client.post("/api/v1/images", files={"file": photo}).status_code == 202

        wait_until(accepted, 10, "a free slot")
    finally:
        system.stack.restart("gateway", **SETTINGS)


def test_a_ticket_accepts_one_file_of_one_content_type(fresh, client, photo):
    answer = client.post("/api/v1/uploads", json={"content_type": "image/jpeg", "file_name": "cat.jpg"})
    assert answer.status_code == 201
    ticket = answer.json()
    assert ticket["status"] == "AWAITING_UPLOAD"
    assert uuid.UUID(ticket["id"]).version == 7

    def send(content, **changed):
        fields = ticket["form"]["fields"] | changed
        return httpx.post(ticket["form"]["url"], data=fields, files={"file": ("x", content)}).status_code

    assert send(photo, key="uploads/another-image/original") == 403
    assert send(photo, **{"Content-Type": "text/html"}) == 403
    assert send(b"") == 400
    assert not fresh.keys()
    assert send(photo) == 204
    assert fresh.keys() == {ticket["key"]}
    assert fresh.s3.head_object(Bucket=ORIGINALS, Key=ticket["key"])["ContentType"] == "image/jpeg"


def test_a_ticket_for_another_content_type_is_rejected(client):
    answer = client.post("/api/v1/uploads", json={"content_type": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_format")
    answer = client.post("/api/v1/uploads", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
