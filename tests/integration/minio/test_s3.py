"""Our own requests to the store, against a server that behaves as MinIO never does, or seldom."""

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
def serving(*answers):
    """A server that gives these answers in turn, ``None`` by hanging up: its address, and what it heard."""
    heard = []

    def serve(listener):
        connection = None
        for answer in answers:
            connection = connection or listener.accept()[0]
            heard.append(connection.recv(65536))
            if answer is not None:
                connection.sendall(answer)
            if answer is None or not answer.startswith((FINE, b"HTTP/1.1 1")):
                connection.close()
                connection = None
        if connection:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join(5)


@contextmanager
def answering(*answers, **options):
    """A client of such a server."""
    with serving(*answers) as (url, heard):
        yield (
            S3Client(url, Credentials("me", "secret", "us-east-1"), **{"connections": 2, "resend": True} | options),
            heard,
        )


def storage_at(url, **options):
    return Storage(StoreSettings(minio_url=url, minio_access_key="me", minio_secret_key="secret"), **options)


def get(client, **options):
    with client.request("GET", "bucket", "key", **options) as answer:
        return answer.status, answer.read()


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced():
    with answering(FINE, None, FINE) as (client, heard):
        assert get(client) == (200, b"body")
        assert get(client) == (200, b"body")
    assert len(heard) == 3


def test_nothing_is_sent_twice_where_that_is_not_wanted():
    with answering(FINE, None, resend=False) as (client, heard):
        assert get(client) == (200, b"body")
        with pytest.raises(ConnectionError):
            get(client)
    assert len(heard) == 2


def test_a_new_connection_that_gives_no_answer_is_not_tried_again():
    with answering(None) as (client, heard), pytest.raises(MalformedResponseError, match="hung up"):
        get(client)
    assert len(heard) == 1


def test_what_is_said_before_the_answer_is_passed_over():
    with answering(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE) as (client, _):
        assert get(client) == (200, b"body")


def test_a_body_that_ends_early_is_no_body():
    with answering(FINE[:-2]) as (client, _), pytest.raises(MalformedResponseError, match="2 bytes before its end"):
        get(client)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"Y" * 20_000 + b": y\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_a_fault_of_the_connection(answer):
    with answering(answer) as (client, _), pytest.raises(MalformedResponseError):
        get(client)


def test_a_body_is_read_in_pieces_and_into_place():
    with answering(FINE) as (client, _), client.request("GET", "bucket", "key") as answer:
        room = bytearray(2)
        assert answer.readinto(memoryview(room)) == 2
        assert (bytes(room), answer.read(1), answer.read(10), answer.read()) == (b"bo", b"d", b"y", b"")


def test_an_answer_that_was_not_read_to_its_end_takes_its_connection_with_it():
    with answering(FINE, FINE) as (client, _):
        with client.request("GET", "bucket", "key") as answer:
            assert answer.read(1) == b"b"
        assert not client._idle  # noqa: SLF001


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "\x00", "ä", "two  spaces"])
def test_a_header_that_would_change_the_request_is_refused(value):
    with pytest.raises(ValueError, match="x-amz-meta-name"), answering() as (client, heard):
        get(client, headers={"x-amz-meta-name": value})
    assert not heard


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.head("bucket", "key"),
        lambda storage: storage.open("bucket", "key").__enter__(),
        lambda storage: storage.put("bucket", "key", b"", "image/png"),
    ],
    ids=["head", "open", "put"],
)
def test_a_store_that_is_too_busy_is_away_and_asked_once(call):
    with serving(SLOW_DOWN) as (url, heard), pytest.raises(DependencyUnavailable) as fault:
        call(storage_at(url))
    assert not isinstance(fault.value, DependencyRejected)
    assert len(heard) == 1


LISTED = b'<?xml version="1.0"?><ListBucketResult><Na'
MODIFIED = b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
OURS = b"x-amz-request-id: 1\r\n"


def page(status, body=b"", headers=b""):
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n" % (status, len(body))
    return head + headers + b"\r\n" + body


def ask_to_list(storage):
    return storage.list_keys("bucket", "prefix")


def ask_to_read(storage):
    with storage.open("bucket", "key") as (_, body):
        return body.read()


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (page(b"404 Not Found", b"404 page not found"), ask_to_read),
        (page(b"200 OK", b"<html>", MODIFIED), ask_to_read),
        (page(b"200 OK", b"", OURS), ask_to_read),
        (page(b"200 OK", b"", OURS + b"Last-Modified: soon\r\n"), ask_to_read),
        (page(b"200 OK", LISTED), ask_to_list),
        (page(b"200 OK", b"<html/>"), ask_to_list),
        (page(b"502 Bad Gateway", b"<html>d\xe9sol\xe9"), ask_to_list),
        (page(b"409 Conflict"), lambda storage: storage.check("bucket")),
    ],
    ids=["404", "200", "no date", "odd date", "cut list", "other list", "Latin-1", "bare 409"],
)
def test_what_a_proxy_says_in_the_store_s_place_is_no_word_about_an_object(answer, call):
    """A page for 404 would otherwise be an object that is gone, and an odd one would cost an attempt."""
    with serving(answer) as (url, _), pytest.raises(DependencyUnavailable) as fault:
        call(storage_at(url, retries=0))
    assert not isinstance(fault.value, DependencyRejected)


@pytest.mark.parametrize("code", [b"XMinioAdminBucketQuotaExceeded", b"RequestTimeout"])
def test_what_passes_is_no_fault_of_a_key(code):
    answer = page(b"400 Bad Request", b"<Error><Code>" + code + b"</Code><Message>m</Message></Error>", OURS)
    with serving(answer) as (url, _), pytest.raises(DependencyUnavailable, match=code.decode()) as fault:
        storage_at(url).put("bucket", "key", b"", "image/png")
    assert not isinstance(fault.value, DependencyRejected)


def test_another_region_is_a_setting_that_is_wrong():
    refusal = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu'</Message></Error>"
    answer = page(b"400 Bad Request", refusal, OURS)
    with serving(answer) as (url, _), pytest.raises(DependencyRejected, match="MINIO_REGION: expecting 'eu'"):
        storage_at(url).put("bucket", "key", b"", "image/png")
