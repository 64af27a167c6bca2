"""Downloads of originals and variants, without servers."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import pytest
from starlette.requests import Request

from tests.unit.gateway.test_presenter import DONE
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.object_responses import ObjectResponses
from thumbmill.gateway.images.delivery import ImageDelivery
from thumbmill.gateway.problems import Code, Problem

CONTENT = b"\xff\xd8\xff image" * 50_000  # more than one chunk


class Lookup:
    """Knows one image."""

    def __init__(self, row):
        self._row = row

    async def find(self, *_):
        return replace(self._row, size=len(CONTENT))


class Store:
    """One object under every key; records the requests."""

    def __init__(self):
        self.requests = []

    def head(self, bucket, _):
        self.requests.append(("HEAD", bucket))
        return ObjectMetadata(ObjectVersion("0" * 32, len(CONTENT), 1_700_000_000), "0" * 32, "image/jpeg", {})

    @contextmanager
    def open(self, bucket, key, **_):
        yield self.head(bucket, key), BytesIO(CONTENT)
        self.requests[-1] = ("GET", bucket)


def ask(type_, headers=(), *, head, etag="", is_public=False, row=DONE):
    async def run():
        store, executor = Store(), BoundedExecutor("minio", 1, deadline_seconds=30)
        headers_sent = [(b"if-none-match", etag.encode())] if etag else []
        request = Request({"type": "http", "method": "GET", "headers": headers_sent, "thumbmill.is_head": head})
        try:
            delivery = ImageDelivery(Lookup(row), ObjectResponses(store, executor), None, is_public=is_public)
            answer = await delivery.respond(request, DONE.id, "", type_, None)
            sent = []

            async def send(message):
                sent.append(message)

            await answer({**request.scope, "extensions": {}}, asyncio.Event().wait, send)
        finally:
            executor.close()
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), body, store.requests

    return asyncio.run(run())


@pytest.mark.parametrize("type_", ["original", "thumbnail"])
@pytest.mark.parametrize(
    ("is_public", "tenant", "scope"),
    [(True, "", b"public"), (True, "t/acme/", b"private"), (False, "", b"private")],
)
def test_shared_caches_may_store_what_everyone_may_see_and_nothing_else(type_, is_public, tenant, scope):
    row = replace(DONE, key=f"{tenant}{DONE.key}")
    assert ask(type_, head=False, is_public=is_public, row=row)[1][b"cache-control"].startswith(scope)


@pytest.mark.parametrize("type_", ["original", "thumbnail"])
def test_head_has_the_headers_of_get_and_reads_no_body(type_):
    given, seen = ask(type_, head=False), ask(type_, head=True)
    assert (given[0], given[1]) == (seen[0], seen[1])
    assert int(seen[1][b"content-length"]) == len(CONTENT)
    assert (given[2], seen[2]) == (CONTENT, b"")
    assert [method for method, _ in given[3]] == ["GET"]
    assert [method for method, _ in seen[3]] == ["HEAD"]


@pytest.mark.parametrize("type_", ["original", "thumbnail"])
def test_head_answers_304_for_a_known_etag(type_):
    etag = ask(type_, head=True)[1][b"etag"].decode()
    assert ask(type_, head=True, etag=etag)[0] == 304


# --- objects that the bucket lacks --------------------------------------------------------------------------

SOURCE = ObjectVersion("0" * 32, len(CONTENT), 1_700_000_000)
ROW = replace(DONE, object_version=str(SOURCE))
KEY = DONE.variants[0]["key"]


class Bucket:
    """The existing objects: an object version for the original's key, bytes for the variants'."""

    def __init__(self, original, *variants):
        self.objects = dict.fromkeys(variants, SOURCE) | ({DONE.key: original} if original else {})

    def head(self, _, key):
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return ObjectMetadata(self.objects[key], "0" * 32, "image/jpeg", {})

    @contextmanager
    def open(self, bucket, key, **_):
        yield self.head(bucket, key), BytesIO(CONTENT)


class Rows:
    """A lookup that returns these rows, the last one indefinitely."""

    def __init__(self, *rows):
        self.rows = list(rows)

    async def find(self, *_):
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]


class FakeTracker:
    def __init__(self):
        self.reports = []

    def report_missing(self, row, keys, _):
        self.reports.append((row.status, keys))


def find(type_, bucket, *rows, head=False):
    """Return the status of the response or the code of the problem, and the reports to the tracker."""
    tracker, executor = FakeTracker(), BoundedExecutor("minio", 1, deadline_seconds=30)
    request = Request({"type": "http", "method": "GET", "headers": [], "thumbmill.is_head": head})
    delivery = ImageDelivery(Rows(*rows), ObjectResponses(bucket, executor), tracker, is_public=False)
    try:
        return asyncio.run(delivery.respond(request, DONE.id, "", type_, None)).status_code, tracker.reports
    except Problem as problem:
        return problem.code, tracker.reports
    finally:
        executor.close()


@pytest.mark.parametrize("head", [False, True])
def test_each_kind_of_missing_object_has_its_own_problem(head):
    def ask_for(type_, bucket, *rows):
        return find(type_, bucket, *rows, head=head)

    deleted = replace(ROW, status="DELETED", variants=[])
    other = ObjectVersion("1" * 32, 1, 1_800_000_000)
    assert ask_for("thumbnail", Bucket(SOURCE), ROW) == (Code.VARIANT_LOST, [("DONE", [KEY])])
    assert ask_for("thumbnail", Bucket(None), ROW) == (Code.GONE, [("DONE", [])])
    assert ask_for("original", Bucket(None, KEY), ROW) == (Code.GONE, [("DONE", [])])
    assert ask_for("thumbnail", Bucket(other), ROW) == (Code.NOT_READY, [])
    assert ask_for("thumbnail", Bucket(SOURCE), ROW, deleted) == (Code.GONE, [])
    assert ask_for("thumbnail", Bucket(SOURCE, KEY), deleted) == (Code.GONE, [])
    lost = replace(ROW, missing=[KEY])
    assert ask_for("thumbnail", Bucket(SOURCE), lost)[0] is Code.VARIANT_LOST
    assert ask_for("thumbnail", Bucket(SOURCE, KEY), lost) == (200, [])


def test_a_variant_that_was_created_again_under_another_key_is_found():
    name = KEY.replace("v1", "v2")
    later = replace(ROW, variants=[DONE.variants[0] | {"key": name}])
    assert find("thumbnail", Bucket(SOURCE, name), ROW, later) == (200, [])


def test_a_lost_variant_has_a_retry_after():
    problem = Problem(Code.VARIANT_LOST)
    assert (problem.status, problem.headers["Retry-After"]) == (503, "5")
