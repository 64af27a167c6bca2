"""What is sent of a variant, without servers."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import pytest
from starlette.requests import Request

from tests.unit.gateway.test_status import DONE
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.delivery import Variants
from thumbmill.gateway.problems import Code, Problem

CONTENT = b"\xff\xd8\xff picture" * 50_000  # more than one chunk


class Lookup:
    async def image(self, _):
        return replace(DONE, size=len(CONTENT))


class Store:
    """One object under every key; counts what is asked of it."""

    def __init__(self):
        self.asked = []

    def head(self, bucket, _):
        self.asked.append(("HEAD", bucket))
        return ObjectMetadata(ObjectVersion("0" * 32, len(CONTENT), 1_700_000_000), "0" * 32, "image/jpeg", {})

    @contextmanager
    def open(self, bucket, key):
        yield self.head(bucket, key), BytesIO(CONTENT)
        self.asked[-1] = ("GET", bucket)


def ask(type_, headers=(), *, head, etag=""):
    async def run():
        store, executor = Store(), BoundedExecutor("minio", 1, deadline_seconds=30)
        wanted = [(b"if-none-match", etag.encode())] if etag else []
        request = Request({"type": "http", "method": "GET", "headers": wanted, "thumbmill.is_head": head})
        try:
            variants = Variants(Lookup(), store, executor, None, is_public=False)
            answer = await variants.give(request, DONE.id, type_, None)
            sent = []

            async def send(message):
                sent.append(message)

            await answer({**request.scope, "extensions": {}}, asyncio.Event().wait, send)
        finally:
            executor.close()
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), body, store.asked

    return asyncio.run(run())


@pytest.mark.parametrize("type_", ["original", "thumbnail"])
def test_head_is_get_without_a_get(type_):
    given, seen = ask(type_, head=False), ask(type_, head=True)
    assert (given[0], given[1]) == (seen[0], seen[1])
    assert int(seen[1][b"content-length"]) == len(CONTENT)
    assert (given[2], seen[2]) == (CONTENT, b"")
    assert [method for method, _ in given[3]] == ["GET"]
    assert [method for method, _ in seen[3]] == ["HEAD"]


@pytest.mark.parametrize("type_", ["original", "thumbnail"])
def test_head_knows_what_the_client_has(type_):
    etag = ask(type_, head=True)[1][b"etag"].decode()
    assert ask(type_, head=True, etag=etag)[0] == 304


# --- what the bucket lacks -----------------------------------------------------------------------------------

SOURCE = ObjectVersion("0" * 32, len(CONTENT), 1_700_000_000)
ROW = replace(DONE, object_version=str(SOURCE))
KEY = DONE.variants[0]["key"]


class Bucket:
    """What is there: a source for the original's key, bytes for a variant's."""

    def __init__(self, original, *variants):
        self.there = dict.fromkeys(variants, SOURCE) | ({DONE.key: original} if original else {})

    def head(self, _, key):
        if key not in self.there:
            raise ObjectNotFoundError(key)
        return ObjectMetadata(self.there[key], "0" * 32, "image/jpeg", {})

    @contextmanager
    def open(self, bucket, key):
        yield self.head(bucket, key), BytesIO(CONTENT)


class Rows:
    """A lookup that gives these rows, the last one for ever."""

    def __init__(self, *rows):
        self.rows = list(rows)

    async def image(self, _):
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]


class Missed:
    def __init__(self):
        self.told = []

    def report_missing(self, row, keys, _):
        self.told.append((row.status, keys))


def find(type_, bucket, *rows, head=False):
    """The answer's status or the problem's code, and what the tracker was told."""
    missed, executor = Missed(), BoundedExecutor("minio", 1, deadline_seconds=30)
    request = Request({"type": "http", "method": "GET", "headers": [], "thumbmill.is_head": head})
    variants = Variants(Rows(*rows), bucket, executor, missed, is_public=False)
    try:
        return asyncio.run(variants.give(request, DONE.id, type_, None)).status_code, missed.told
    except Problem as problem:
        return problem.code, missed.told
    finally:
        executor.close()


@pytest.mark.parametrize("head", [False, True])
def test_each_absence_has_its_own_answer(head):
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


def test_what_was_made_again_under_another_name_meanwhile_is_found():
    name = KEY.replace("v1", "v2")
    later = replace(ROW, variants=[DONE.variants[0] | {"key": name}])
    assert find("thumbnail", Bucket(SOURCE, name), ROW, later) == (200, [])


def test_a_lost_variant_has_a_time_to_ask_again():
    problem = Problem(Code.VARIANT_LOST)
    assert (problem.status, problem.headers["Retry-After"]) == (503, "5")
