"""What is sent of a variant, without servers."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import pytest
from starlette.requests import Request

from gateway.threads import Threads
from gateway.variants import Variants
from pipeline.identity import Source
from pipeline.storage import Head
from unit.gateway.test_status import DONE

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
        return Head(Source("0" * 32, len(CONTENT), 1_700_000_000), "0" * 32, "image/jpeg", {})

    @contextmanager
    def open(self, bucket, key):
        yield self.head(bucket, key), BytesIO(CONTENT)
        self.asked[-1] = ("GET", bucket)


def ask(type_, headers=(), *, head, etag=""):
    async def run():
        store, threads = Store(), Threads("minio", 1, deadline_seconds=30)
        wanted = [(b"if-none-match", etag.encode())] if etag else []
        request = Request({"type": "http", "method": "GET", "headers": wanted, "thumbmill.is_head": head})
        try:
            answer = await Variants(Lookup(), store, threads, is_public=False).give(request, DONE.id, type_, None)
            sent = []

            async def send(message):
                sent.append(message)

            await answer({**request.scope, "extensions": {}}, asyncio.Event().wait, send)
        finally:
            threads.close()
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
