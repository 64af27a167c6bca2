import asyncio
import tracemalloc

import pytest
from starlette.requests import ClientDisconnect

from tests.unit.gateway.fakes import FakeStorage, make_request, uploads_into
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, image_id_of
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.http import body_rate
from thumbmill.gateway.http.body_rate import BodyRateLimits
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.service import RetryAfterJitter
from thumbmill.gateway.uploads.streaming_upload import StreamingUpload

RAW = {"content-type": "image/png"}  # declared wrongly, which must not matter
JPEG = b"\xff\xd8\xff\xe0" + b"image " * 8
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MIB = 1024 * 1024


def store(storage, request, **limits):
    async def run():
        with uploads_into(storage, **limits) as uploads:
            try:
                return await uploads.store(request, "")
            finally:
                storage.gate.set()
                await uploads.close()

    return asyncio.run(run())


def rejection(storage, request, **limits):
    with pytest.raises(Problem) as caught:
        store(storage, request, **limits)
    return caught.value


def test_a_small_file_is_stored_with_its_metadata():
    storage = FakeStorage()
    headers = {
        "content-type": "multipart/form-data; boundary=x",
        "traceparent": TRACE,
    }
    start = '--x\r\nContent-Disposition: form-data; name="file"; filename="ä.jpg"\r\n\r\n'.encode()
    stored = store(storage, make_request([start, JPEG, b"\r\n--x--\r\n"], headers))
    assert stored.id == image_id_of(stored.key)
    assert stored.id.version == 7
    assert (stored.file_name, stored.content_type, stored.bytes) == ("ä.jpg", "image/jpeg", len(JPEG))
    data, content_type, metadata = storage.objects[ORIGINALS_BUCKET, stored.key]
    assert (data, content_type) == (JPEG, "image/jpeg")
    assert metadata == {"file-name": "%C3%A4.jpg", "traceparent": TRACE}


def test_a_file_sent_byte_by_byte_needs_no_more_memory_than_its_size():
    """A view of one byte is 200 bytes large: 5 MiB of them took a gigabyte."""
    content = JPEG + bytes(MIB // 10)
    upload = StreamingUpload(None, None, max_bytes=MIB, deadline_seconds=1, traceparent=TRACE, tenant="")
    views = [content[i : i + 1] for i in range(len(content))]
    tracemalloc.start()
    try:
        for view in views:
            upload.write(memoryview(view))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(content)


@pytest.mark.parametrize("size", [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 11 * MIB])
def test_a_large_file_is_stored_unchanged(size):
    storage = FakeStorage()
    content = JPEG + b"x" * (size - len(JPEG))
    chunks = [content[i : i + 100_000] for i in range(0, size, 100_000)]
    stored = store(storage, make_request(chunks, RAW))
    assert storage.objects[ORIGINALS_BUCKET, stored.key][0] == content
    assert stored.bytes == size
    assert not storage.unfinished


def test_a_file_sent_byte_by_byte_is_stored_unchanged():
    storage = FakeStorage()
    stored = store(storage, make_request([JPEG[i : i + 1] for i in range(len(JPEG))], RAW))
    assert storage.objects[ORIGINALS_BUCKET, stored.key][:2] == (JPEG, "image/jpeg")


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([], Code.EMPTY_FILE),
        ([b"<html>"], Code.UNSUPPORTED_FORMAT),
        ([b"plain text, ", b"to be read no further"], Code.UNSUPPORTED_FORMAT),
        ([JPEG, b"x" * 1000], Code.FILE_TOO_LARGE),
    ],
)
def test_a_rejected_upload_stores_nothing(chunks, code):
    storage = FakeStorage()
    assert rejection(storage, make_request(chunks, RAW), max_bytes=1000).code is code
    assert not storage.objects


def test_a_file_that_is_not_an_image_is_rejected_after_its_first_bytes():
    request = make_request([b"plain text, " * 6, *[b"more of it"] * 50], RAW)
    assert rejection(FakeStorage(), request).code is Code.UNSUPPORTED_FORMAT
    assert len(request.unread) == 51


def test_a_declared_length_over_the_limit_is_rejected_unread():
    request = make_request([JPEG], RAW | {"content-length": "2000000000"})
    assert rejection(FakeStorage(), request).code is Code.FILE_TOO_LARGE
    assert len(request.unread) == 2


@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_a_client_that_disconnects_leaves_nothing(size):
    storage = FakeStorage()
    with pytest.raises(ClientDisconnect):
        store(storage, make_request([JPEG, b"x" * size], RAW, complete=False))
    assert not storage.objects
    assert not storage.unfinished


def test_a_file_that_exceeds_the_limit_leaves_no_parts():
    storage = FakeStorage()
    problem = rejection(storage, make_request([JPEG, *[b"x" * MIB] * 9], RAW), max_bytes=8 * MIB)
    assert problem.code is Code.FILE_TOO_LARGE
    assert not storage.unfinished


def test_a_client_that_sends_nothing_loses_its_slot():
    limits = BodyRateLimits(window_seconds=0.01)
    assert (
        rejection(FakeStorage(), make_request([], RAW, stuck=True), rate_limits=limits).code is Code.UPLOAD_STALLED
    )


def test_a_slow_upload_is_evicted_if_all_slots_are_used(monkeypatch):
    monkeypatch.setattr(body_rate, "GRACE_SECONDS", 0)
    storage = FakeStorage()

    async def run():
        with uploads_into(storage, slots=1) as uploads:
            slow = asyncio.create_task(uploads.store(make_request([], RAW, stuck=True), ""))
            async with asyncio.timeout(10):
                while not any(coming.shortfall for coming in uploads._receiving):  # noqa: SLF001, ASYNC110
                    await asyncio.sleep(0)
            stored = await uploads.store(make_request([JPEG], RAW), "")
            with pytest.raises(Problem) as raised:
                await slow
            assert await uploads.store(make_request([JPEG], RAW), "")
            return stored, raised.value.code

    stored, code = asyncio.run(run())
    assert code is Code.UPLOAD_STALLED
    assert (ORIGINALS_BUCKET, stored.key) in storage.objects


def test_a_fast_upload_is_not_evicted():
    async def run():
        with uploads_into(FakeStorage(), slots=1) as uploads:
            first = asyncio.create_task(uploads.store(make_request([], RAW, stuck=True), ""))
            await asyncio.sleep(0)  # it has begun
            with pytest.raises(Problem) as raised:
                await uploads.store(make_request([JPEG], RAW), "")
            first.cancel()
            return raised.value.code

    assert asyncio.run(run()) is Code.TOO_MANY_UPLOADS


def test_an_unavailable_store_is_reported_with_the_id():
    storage = FakeStorage()
    storage.error = DependencyUnavailable("minio", "connection rejection")
    problem = rejection(storage, make_request([JPEG], RAW))
    assert problem.code is Code.STORAGE_UNAVAILABLE
    assert problem.headers["Location"] == f"http://here/api/v1/images/{problem.members['id']}"


def test_a_store_that_does_not_answer_is_reported_in_time_with_the_id():
    storage = FakeStorage()
    storage.gate.clear()
    problem = rejection(storage, make_request([JPEG], RAW), deadline_seconds=0.05)
    assert problem.code is Code.STORAGE_TIMEOUT
    assert problem.headers["Location"].endswith(problem.members["id"])
    assert "Retry-After" in problem.headers
    [(_, key)] = storage.objects  # the late request stored it
    assert str(image_id_of(key)) == problem.members["id"]


def test_parts_that_arrive_too_late_are_dropped():
    storage = FakeStorage()
    storage.gate.clear()
    problem = rejection(storage, make_request([JPEG, b"x" * 6 * MIB], RAW), deadline_seconds=0.05)
    assert problem.code is Code.STORAGE_TIMEOUT
    assert not storage.unfinished
    assert not storage.objects


def test_a_slot_is_used_until_the_store_has_finished():
    storage = FakeStorage()

    async def run():
        with uploads_into(storage, slots=1, deadline_seconds=0.05) as uploads:
            storage.gate.clear()
            with pytest.raises(Problem, match="storage_timeout"):
                await uploads.store(make_request([JPEG], RAW), "")
            with pytest.raises(Problem, match="too_many_uploads") as busy:
                await uploads.store(request := make_request([JPEG], RAW), "")
            assert len(request.unread) == 2
            assert "Retry-After" in busy.value.headers
            storage.gate.set()
            await uploads.close()
            await uploads.store(make_request([JPEG], RAW), "")

    asyncio.run(run())


def test_a_few_rejected_clients_retry_soon_and_many_are_spread():
    retry_after = RetryAfterJitter(slots=32)
    assert {retry_after.next_delay(at / 100) for at in range(63)} == {1}
    pauses = [retry_after.next_delay(4.0) for _ in range(500)]
    assert 1 in pauses
    assert 10 < max(pauses) <= 17
    assert (
        max(retry_after.next_delay(6.0) for _ in range(30)) > 5
    )  # the clients of the last window may still return
    assert {retry_after.next_delay(30.0) for _ in range(60)} == {1}
    retry_after = RetryAfterJitter(slots=1)
    assert max(retry_after.next_delay(0) for _ in range(5000)) == 30


@pytest.mark.parametrize("size", [1001, 100_000, 10 * MIB])
def test_a_file_over_the_limit_is_rejected_in_chunks_of_any_size(size):
    content = JPEG + bytes(size)
    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    form = {"content-type": "multipart/form-data; boundary=x"}
    for chunks, headers in (([content], RAW), ([head + content], form)):
        storage = FakeStorage()
        problem = rejection(storage, make_request(chunks, headers), max_bytes=1000)
        assert problem.code is Code.FILE_TOO_LARGE
        assert not storage.objects
