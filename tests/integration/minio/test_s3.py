"""The S3 client, against a server that behaves as MinIO never or rarely does."""

import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.object_store.http_client import Credentials, MalformedResponseError, S3Client
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: "e"\r\n\r\nbody'


SLOW_DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 36\r\n\r\n<Error><Code>SlowDown</Code></Error>"


@contextmanager
def serving(*responses):
    """A server with these responses in turn, ``None`` closes the connection: its URL, and the requests."""
    requests = []

    def serve(listener):
        connection = None
        for response in responses:
            connection = connection or listener.accept()[0]
            requests.append(connection.recv(65536))
            if response is not None:
                connection.sendall(response)
            if response is None or not response.startswith((FINE, b"HTTP/1.1 1")):
                connection.close()
                connection = None
        if connection:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        thread.join(5)


@contextmanager
def client_of(*responses, **options):
    """A client of such a server."""
    with serving(*responses) as (url, requests):
        yield (
            S3Client(url, Credentials("me", "secret", "us-east-1"), **{"connections": 2, "resend": True} | options),
            requests,
        )


def storage_at(url, **options):
    return Storage(StoreSettings(minio_url=url, minio_access_key="me", minio_secret_key="secret"), **options)


def get(client, **options):
    with client.request("GET", "bucket", "key", **options) as response:
        return response.status, response.read()


def test_an_idle_connection_that_was_closed_is_replaced():
    with client_of(FINE, None, FINE) as (client, requests):
        assert get(client) == (200, b"body")
        assert get(client) == (200, b"body")
    assert len(requests) == 3


def test_without_resend_a_request_is_sent_once():
    with client_of(FINE, None, resend=False) as (client, requests):
        assert get(client) == (200, b"body")
        with pytest.raises(ConnectionError):
            get(client)
    assert len(requests) == 2


def test_a_new_connection_without_a_response_is_not_tried_again():
    with (
        client_of(None) as (client, requests),
        pytest.raises(MalformedResponseError, match="closed the connection"),
    ):
        get(client)
    assert len(requests) == 1


def test_an_informational_response_is_skipped():
    with client_of(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE) as (client, _):
        assert get(client) == (200, b"body")


def test_a_body_that_ends_early_is_an_error():
    with client_of(FINE[:-2]) as (client, _), pytest.raises(MalformedResponseError, match="2 bytes too early"):
        get(client)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"Y" * 20_000 + b": y\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_an_invalid_response_is_a_connection_error(response):
    with client_of(response) as (client, _), pytest.raises(MalformedResponseError):
        get(client)


def test_a_body_is_read_in_parts_and_into_a_buffer():
    with client_of(FINE) as (client, _), client.request("GET", "bucket", "key") as response:
        buffer = bytearray(2)
        assert response.readinto(memoryview(buffer)) == 2
        assert (bytes(buffer), response.read(1), response.read(10), response.read()) == (b"bo", b"d", b"y", b"")


def test_a_response_that_was_not_read_to_its_end_closes_its_connection():
    with client_of(FINE, FINE) as (client, _):
        with client.request("GET", "bucket", "key") as response:
            assert response.read(1) == b"b"
        assert not client._idle  # noqa: SLF001


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "\x00", "ä", "two  spaces"])
def test_a_header_that_would_change_the_request_is_rejected(value):
    with pytest.raises(ValueError, match="x-amz-meta-name"), client_of() as (client, requests):
        get(client, headers={"x-amz-meta-name": value})
    assert not requests


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.head("bucket", "key"),
        lambda storage: storage.open("bucket", "key").__enter__(),
        lambda storage: storage.put("bucket", "key", b"", "image/png"),
    ],
    ids=["head", "open", "put"],
)
def test_a_busy_store_is_unavailable_and_gets_one_request(call):
    with serving(SLOW_DOWN) as (url, requests), pytest.raises(DependencyUnavailable) as raised:
        call(storage_at(url))
    assert not isinstance(raised.value, DependencyRejected)
    assert len(requests) == 1


LISTING_START = b'<?xml version="1.0"?><ListBucketResult><Na'
MODIFIED = b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
REQUEST_ID = b"x-amz-request-id: 1\r\n"


def page(status, body=b"", headers=b""):
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n" % (status, len(body))
    return head + headers + b"\r\n" + body


def list_objects(storage):
    return storage.list_keys("bucket", "prefix")


def read_object(storage):
    with storage.open("bucket", "key") as (_, body):
        return body.read()


@pytest.mark.parametrize(
    ("response", "call"),
    [
        (page(b"404 Not Found", b"404 page not found"), read_object),
        (page(b"200 OK", b"<html>", MODIFIED), read_object),
        (page(b"200 OK", b"", REQUEST_ID), read_object),
        (page(b"200 OK", b"", REQUEST_ID + b"Last-Modified: soon\r\n"), read_object),
        (page(b"200 OK", LISTING_START), list_objects),
        (page(b"200 OK", b"<html/>"), list_objects),
        (page(b"502 Bad Gateway", b"<html>d\xe9sol\xe9"), list_objects),
        (page(b"409 Conflict"), lambda storage: storage.check("bucket")),
    ],
    ids=["404", "200", "no date", "odd date", "cut list", "other list", "Latin-1", "bare 409"],
)
def test_a_response_of_a_proxy_is_not_one_about_an_object(response, call):
    """A 404 would otherwise mean a deleted object, and any other response would cost an attempt."""
    with serving(response) as (url, _), pytest.raises(DependencyUnavailable) as raised:
        call(storage_at(url, retries=0))
    assert not isinstance(raised.value, DependencyRejected)


@pytest.mark.parametrize("code", [b"XMinioAdminBucketQuotaExceeded", b"RequestTimeout"])
def test_a_temporary_error_is_not_one_of_the_key(code):
    response = page(
        b"400 Bad Request", b"<Error><Code>" + code + b"</Code><Message>m</Message></Error>", REQUEST_ID
    )
    with serving(response) as (url, _), pytest.raises(DependencyUnavailable, match=code.decode()) as raised:
        storage_at(url).put("bucket", "key", b"", "image/png")
    assert not isinstance(raised.value, DependencyRejected)


def test_a_wrong_region_is_reported_as_a_setting():
    error = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu'</Message></Error>"
    response = page(b"400 Bad Request", error, REQUEST_ID)
    with serving(response) as (url, _), pytest.raises(DependencyRejected, match="MINIO_REGION: expecting 'eu'"):
        storage_at(url).put("bucket", "key", b"", "image/png")
