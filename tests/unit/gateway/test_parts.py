"""Resumable uploads without servers: parts of a file, ids of uploads, limits."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from tests.unit.gateway.fakes import FakeStorage
from thumbmill.core.contracts.events import UploadRequested
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.limits import Policy
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.errors import UploadNotFoundError
from thumbmill.core.object_store.listing import StoredPart
from thumbmill.core.object_store.part_signer import PartSigner
from thumbmill.core.settings import StoreSettings
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits
from thumbmill.gateway.problems import Problem
from thumbmill.gateway.uploads.part_sizes import bytes_of_part, find_invalid_parts, part_bytes, part_count
from thumbmill.gateway.uploads.parts import PartUploads
from thumbmill.gateway.uploads.tickets import FileDescription, Tickets
from thumbmill.gateway.uploads.upload_tokens import UploadToken, UploadTokens

MIB = 1024 * 1024
FILE = FileDescription(content_type="image/jpeg", file_name="a.jpg", batch="album")
NOW = datetime.now(UTC).replace(microsecond=0)
TOKENS = UploadTokens("secret")
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.mark.parametrize("size", [1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 52_428_800, 60_000 * MIB + 7])
def test_the_parts_make_up_the_file(size):
    count = part_count(size)
    sizes = [bytes_of_part(number, size) for number in range(1, count + 1)]
    assert sum(sizes) == size
    assert set(sizes[:-1]) <= {part_bytes(size)}
    assert 0 < sizes[-1] <= part_bytes(size)
    assert part_bytes(size) >= 5 * MIB
    assert count <= 10_000


def stored(**sizes):
    return [StoredPart(int(name[1:]), f"etag-{name[1:]}", size) for name, size in sizes.items()]


@pytest.mark.parametrize(
    ("invalid", "parts", "size", "etags"),
    [
        ([], stored(p1=5 * MIB, p2=7), 5 * MIB + 7, None),
        ([], stored(p1=5 * MIB, p2=7), 5 * MIB + 7, {1: '"etag-1"', 2: "etag-2"}),
        ([2], stored(p1=5 * MIB), 5 * MIB + 7, None),
        ([1], stored(p1=5 * MIB - 1, p2=7), 5 * MIB + 7, None),
        ([2], stored(p1=5 * MIB, p2=7), 5 * MIB + 7, {2: "other"}),
        ([1], [], 1, None),
        ([], stored(p1=9, p2=7), None, None),
        ([1], [], None, None),
        ([2], stored(p1=9, p3=7), None, None),
        ([3], stored(p1=9, p2=7), None, {1: "etag-1", 2: "etag-2", 3: "etag-3"}),
    ],
)
def test_missing_and_changed_parts_are_found(invalid, parts, size, etags):
    assert find_invalid_parts(parts, size, etags) == invalid


@pytest.mark.parametrize("size", [None, 1, 52_428_800])
@pytest.mark.parametrize("tenant", ["", "acme"])
def test_an_id_carries_the_upload(size, tenant):
    token = UploadToken(uuid.uuid4(), "an id. with spaces=", size, NOW, tenant)
    text = TOKENS.encode(token)
    assert TOKENS.decode(text, tenant) == token
    assert UploadTokens("secret").decode(text, tenant) == token  # another gateway
    with pytest.raises(Problem, match="upload_not_found"):
        TOKENS.decode(text, "other")
    payload, signature = text.split(".")
    for forged in (
        f"{payload}x.{signature}",
        f"{payload}.{signature[1:]}0",
        payload,
        "",
        ".",
        f".{signature}",
        "é.é",
    ):
        with pytest.raises(Problem, match="upload_not_found"):
            TOKENS.decode(forged, tenant)
    with pytest.raises(Problem, match="upload_not_found"):
        UploadTokens("another secret").decode(text, tenant)


class Publisher:
    """Records the events; an unavailable one raises."""

    def __init__(self):
        self.events = []
        self.is_available = True

    def publish_event(self, event):
        if not self.is_available:
            raise DependencyUnavailable("rabbitmq", "a test")
        self.events.append(event.data)


class PartStorage(FakeStorage):
    """As MinIO, it forgets an upload once it is completed."""

    def list_parts(self, bucket, key, upload):
        if (bucket, key, upload) not in self.unfinished:
            raise UploadNotFoundError(key)
        parts = self.unfinished[bucket, key, upload][0]
        return [StoredPart(number, str(number), len(data)) for number, data in enumerate(parts, 1)]


@pytest.fixture
def publisher():
    return Publisher()


@pytest.fixture
def storage():
    return PartStorage()


@pytest.fixture
def uploads(publisher, storage):
    executor = BoundedExecutor("minio", 1, deadline_seconds=5)
    settings = StoreSettings(
        minio_url="http://minio:9000", minio_access_key="part-signer", minio_secret_key=SecretStr("secret")
    )
    yield PartUploads(
        storage=storage,
        executor=executor,
        signer=PartSigner(settings, "https://files.example:443"),
        tickets=Tickets(publisher, executor, RateLimiter({Policy.TICKETS: 2}), 20 * MIB),
        tokens=TOKENS,
        max_bytes=20 * MIB,
        earlier=None,  # needed for idempotency keys only
    )
    executor.close()


def start(uploads, size=12 * MIB, tenant=""):
    limits = RequestLimits(Principal("client", tenant=tenant))
    return asyncio.run(uploads.start(FILE, size, "00-a-b-01", limits))


def test_an_upload_is_announced_before_the_response(uploads, publisher, storage):
    started = start(uploads)
    assert started.token.expires_at - datetime.now(UTC) > timedelta(hours=23)
    [event] = publisher.events
    assert event == UploadRequested(
        key=started.key,
        file_name="a.jpg",
        content_type="image/jpeg",
        expires_at=started.token.expires_at,
        batch="album",
    )
    [(_, content_type, metadata)] = storage.unfinished.values()
    assert content_type == "image/jpeg"
    assert metadata == {"traceparent": "00-a-b-01", "file-name": "a.jpg", "batch": "album"}


def test_an_upload_that_cannot_be_announced_leaves_nothing(uploads, publisher, storage):
    publisher.is_available = False
    with pytest.raises(DependencyUnavailable):
        start(uploads)
    assert storage.unfinished == {}


def test_an_upload_that_cannot_be_announced_costs_no_bytes(uploads, publisher):
    limited = replace(uploads, tickets=replace(uploads.tickets, limiter=RateLimiter({Policy.BYTES: 12 * MIB})))
    publisher.is_available = False
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            start(limited)
    publisher.is_available = True
    start(limited)
    with pytest.raises(Problem, match="rate_limited"):
        start(limited)


def test_too_many_uploads_are_rejected_as_tickets_are(uploads):
    start(uploads)
    start(uploads)
    with pytest.raises(Problem, match="rate_limited"):
        start(uploads)


def test_a_part_is_signed_for_the_address_that_clients_use(uploads):
    token = start(uploads).token
    [(url, size)] = uploads.sign(token, [3]).values()
    assert url.startswith(f"https://files.example/{ORIGINALS_BUCKET}/uploads/{token.image_id}/original?")
    assert size == 2 * MIB
    assert "X-Amz-SignedHeaders=content-length%3Bhost" in url
    assert "X-Amz-Expires=3600" in url
    for number in (0, 4, -1):
        with pytest.raises(Problem, match="the file has the parts 1 to 3"):
            uploads.sign(token, [number])


def test_without_a_size_the_limit_bounds_the_numbers(uploads):
    token = start(uploads, size=None).token
    assert uploads.sign(token, [4])[4][1] is None
    with pytest.raises(Problem, match="invalid_request"):
        uploads.sign(token, [5])


def test_a_file_that_turns_out_too_large_is_aborted(uploads, storage):
    token = start(uploads, size=None).token
    [(parts, *_)] = storage.unfinished.values()
    parts.append(bytes(20 * MIB + 1))
    with pytest.raises(Problem, match="file_too_large"):
        asyncio.run(uploads.complete(token, {1: "1"}, TRACE))
    assert storage.unfinished == {}
    assert storage.objects == {}


def test_an_expired_upload_is_gone(uploads, storage):
    live = start(uploads).token
    token = replace(live, expires_at=NOW - timedelta(seconds=1))
    for call in (lambda: uploads.sign(token, [1]), lambda: asyncio.run(uploads.list_parts(token))):
        with pytest.raises(Problem, match="upload_expired"):
            call()
    with pytest.raises(Problem, match="upload_expired"):
        asyncio.run(uploads.complete(token, None, TRACE))
    assert storage.unfinished  # not completed
    asyncio.run(uploads.abort(token, TRACE))
    assert storage.unfinished == {}


def test_an_upload_that_expires_ends_its_urls(uploads):
    live = start(uploads).token
    token = replace(live, expires_at=datetime.now(UTC) + timedelta(seconds=60))
    [(url, _)] = uploads.sign(token, [1]).values()
    assert 0 < int(url.partition("X-Amz-Expires=")[2].partition("&")[0]) <= 60
