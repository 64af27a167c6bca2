"""Rejected and aborted uploads leave nothing."""

import http.client
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.images import noise, photo
from tests.support.system import ORIGINALS, System, problem
from tests.support.waiting import wait_until

MIB = 1024 * 1024
LIMIT = 6 * MIB  # more than one part
TEXT = b"hello, I am text" * 4  # as many bytes as the longest signature needs
BEGINNING = photo()  # of an endless file

FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FORM_HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
RAW = {"Content-Type": "image/jpeg"}


@contextmanager
def nothing_stored(system):
    """Check that the bucket is unchanged afterwards, without incomplete uploads."""
    before = system.keys(ORIGINALS)
    system.abort_multipart_uploads()
    yield
    wait_until(lambda: not system.multipart_uploads(), what="multipart uploads to be aborted")
    assert system.keys(ORIGINALS) == before


@contextmanager
def beginning(system, headers, *chunks):
    """Begin a request without completing it."""
    with closing(http.client.HTTPConnection("127.0.0.1", system.ports["GATEWAY_PORT"], timeout=30)) as connection:
        connection.putrequest("POST", "/api/v1/images")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        for chunk in chunks:
            connection.send(chunk)
        yield connection


@pytest.mark.parametrize("headers", [FORM, RAW], ids=["form", "raw body"])
def test_a_disconnected_client_leaves_no_object(system, headers):
    head = FORM_HEAD if headers is FORM else b""
    left = system.metric("GATEWAY_PORT", 'thumbmill_uploads_total{outcome="client_disconnected"}')
    with nothing_stored(system):
        with beginning(system, headers | {"Content-Length": str(MIB)}, head + BEGINNING):
            wait_until(lambda: system.metric("GATEWAY_PORT", "thumbmill_uploads_running") == 1)
        wait_until(
            lambda: (
                system.metric("GATEWAY_PORT", 'thumbmill_uploads_total{outcome="client_disconnected"}') == left + 1
            )
        )


@pytest.mark.parametrize("headers", [FORM, RAW], ids=["form", "raw body"])
def test_a_disconnected_client_of_a_large_file_leaves_no_parts(system, headers):
    head = FORM_HEAD if headers is FORM else b""
    with nothing_stored(system):
        chunks = [head + BEGINNING, *[bytes(MIB)] * 11]
        with beginning(system, headers | {"Content-Length": str(20 * MIB)}, *chunks):
            wait_until(system.multipart_uploads, what="the first part to be stored")
        wait_until(lambda: system.metric("GATEWAY_PORT", "thumbmill_uploads_running") == 0)


def test_an_unsupported_file_is_rejected_before_anything_is_stored(system):
    with nothing_stored(system):
        answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", TEXT, "image/jpeg")})
        assert problem(answer, 415) == "unsupported_format"
        answer = system.http.post("/api/v1/images", content=b"<svg/>", headers=RAW)
        assert problem(answer, 415) == "unsupported_format"
        answer = system.http.post("/api/v1/images", content=photo(), headers={"Content-Type": "text/html"})
        assert problem(answer, 415) == "unsupported_content_type"


def test_a_large_text_named_jpg_is_rejected_by_its_first_bytes(system):
    with (
        nothing_stored(system),
        beginning(system, RAW | {"Content-Length": str(20 * MIB)}, TEXT) as c,
    ):
        answer = c.getresponse()  # though most of the body never came
        assert answer.status == 415


def test_an_empty_file_is_rejected(system):
    with nothing_stored(system):
        answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", b"", "image/jpeg")})
        assert problem(answer, 400) == "empty_file"
        assert problem(system.http.post("/api/v1/images", content=b"", headers=RAW), 400) == "empty_file"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (FORM_HEAD + photo(), "malformed_form"),
        (FORM_HEAD + photo() + b"\r\n" + FORM_HEAD + photo() + b"\r\n--x--\r\n", "several_files"),
        (FORM_HEAD.replace(b'"file"', b'"photo"') + photo() + b"\r\n--x--\r\n", "missing_file"),
        (b"no form at all", "malformed_form"),
    ],
    ids=["cut off", "two files", "another field", "nonsense"],
)
def test_a_malformed_form_is_rejected(system, body, code):
    with nothing_stored(system):
        assert problem(system.http.post("/api/v1/images", content=body, headers=FORM), 400) == code


def test_the_gateways_memory_does_not_grow_with_the_file(system):
    process = Path(f"/proc/{system.stack.pid('gateway')}")

    def peak():
        line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    data = noise(3000, 3000)
    assert len(data) > 27_000_000
    system.wait_status(system.post_form(data, name="noise.png")["id"])  # threads and malloc keep something of it
    (process / "clear_refs").write_text("5")  # reset the peak, see proc(5)
    before = peak()
    image = system.post_form(data, name="noise.png")
    # A part of 5 MiB, its copy on the way out, the next part, and one that malloc has not given back: on a busy
    # machine 11 MiB were seen, and once 15. A gateway that keeps the file takes 26 MiB and more.
    assert peak() - before < 4 * 5 * MIB
    system.wait_status(image["id"])


@pytest.fixture(scope="module")
def narrow(stack):
    """Yield a gateway that accepts 6 MiB, one upload at a time."""
    with closing(System(stack)) as system, system.restarted(
        "gateway", MAX_UPLOAD_BYTES=str(LIMIT), MAX_CONCURRENT_UPLOADS="1"
    ):  # fmt: skip
        yield


def test_a_file_of_the_maximum_size_is_accepted(system, narrow):
    data = photo().ljust(LIMIT, b"\0")
    image = system.post_form(data)
    assert image["bytes"] == LIMIT
    system.wait_status(image["id"])


def test_one_byte_more_is_rejected(system, narrow):
    with nothing_stored(system):
        answer = system.http.post("/api/v1/images", files={"file": ("a.jpg", photo().ljust(LIMIT + 1, b"\0"))})
        assert problem(answer, 413) == "file_too_large"
        assert answer.json()["max_bytes"] == LIMIT


def test_an_endless_body_is_rejected_while_it_is_read(system, narrow):
    chunk = b"%x\r\n%b\r\n" % (MIB, bytes(MIB))
    beginning_chunk = b"%x\r\n%b\r\n" % (len(BEGINNING), BEGINNING)
    with (
        nothing_stored(system),
        beginning(system, RAW | {"Transfer-Encoding": "chunked"}, beginning_chunk, *[chunk] * 12) as connection,
    ):
        assert connection.getresponse().status == 413  # though the last chunk never came


def test_a_declared_size_over_the_limit_is_rejected_at_once(system, narrow):
    with nothing_stored(system), beginning(system, RAW | {"Content-Length": str(100 * MIB)}) as connection:
        answer = connection.getresponse()
        assert answer.status == 413


def test_concurrent_uploads_are_limited(system, narrow):
    with beginning(system, RAW | {"Content-Length": str(len(BEGINNING))}, BEGINNING[:1000]) as connection:
        wait_until(lambda: system.metric("GATEWAY_PORT", "thumbmill_uploads_running") == 1)
        answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo())})
        assert problem(answer, 503) == "too_many_uploads"
        assert int(answer.headers["retry-after"]) >= 1
        connection.send(BEGINNING[1000:])
        assert connection.getresponse().status == 202
    system.wait_status(system.post_form(photo(seed=3))["id"])
