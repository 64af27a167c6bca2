"""Signed links without servers: keys, signatures, expiry, caching, and the headers of responses."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.fakes import Namespace
from tests.unit.gateway.test_delivery import CONTENT, Store
from thumbmill.gateway.api import links as api
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.byte_ranges import ByteRange, UnsatisfiableRangeError, select_range
from thumbmill.gateway.http.cors import ApiCors
from thumbmill.gateway.http.forwarded_headers import ForwardedHeaders
from thumbmill.gateway.http.methods import HeadAsGet
from thumbmill.gateway.http.object_responses import ObjectResponses
from thumbmill.gateway.links.delivery import LinkDelivery, max_age
from thumbmill.gateway.links.signer import LinkSigner, round_expiry
from thumbmill.gateway.links.signing_keys import SigningKeys, parse_signing_keys
from thumbmill.gateway.problems import install_handlers

DAY = 86_400
NOW = 1_796_000_000.5
OLD, NEW = "old:" + "o" * 32, "new:" + "n" * 32
IMAGE = "01a2019e-dd49-7c49-9ece-607b56bd764f"
KEY = f"{IMAGE}/0123456789abcdef-1.1/thumbnail.jpg"


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def make_signer(keys=OLD, clock=None):
    return LinkSigner(SigningKeys(keys), DAY, clock=clock or Clock())


def fetch(path, *, signer=None, clock=None, method="GET", origins=(), public_url="", **headers):
    """Request a path from an application that has only the route of links."""
    clock = clock or Clock()

    async def run():
        app = FastAPI()
        executor = BoundedExecutor("minio", 1, deadline_seconds=30)
        delivery = LinkDelivery(signer or make_signer(clock=clock), ObjectResponses(Store(), executor), clock)
        app.state.services = Namespace(links=delivery)
        app.include_router(api.public)
        install_handlers(app)
        app.add_middleware(HeadAsGet)
        app.add_middleware(ForwardedHeaders, trusted=(), public_url=public_url)
        app.add_middleware(ApiCors, allow_origins=list(origins))
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
                sent = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, headers=sent)
        finally:
            executor.close()

    return asyncio.run(run())


# --- keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no key"),
        ("# none", "has no key"),
        (f"{OLD}\nshort:secret", "line 2 must have the form"),
        (f"{OLD}\n\n{OLD}", "line 3 has the id of an earlier line"),
        ("a key:" + "x" * 32, "line 1 must have the form"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(text, error):
    with pytest.raises(ValueError, match=error) as raised:
        parse_signing_keys(text)
    assert "secret" not in str(raised.value).replace("`id:secret`, the secret", "")


def test_keys_rotate_with_the_file_and_survive_a_broken_one(tmp_path):
    file = tmp_path / "keys"
    file.write_text(OLD)
    signer = LinkSigner(SigningKeys(OLD, file), DAY, clock=Clock())
    earlier = signer.sign(KEY).path
    file.write_text(f"# a new key signs\n{NEW}\n{OLD}\n")
    later = signer.sign(KEY).path
    assert "&k=old&" in earlier
    assert "&k=new&" in later
    for content in ("", "no key", None):
        file.unlink() if content is None else file.write_text(content)
        assert signer.sign(KEY).path == later
    replacement = tmp_path / "replacement"
    replacement.write_text(NEW)
    replacement.replace(file)
    assert fetch(later, signer=signer).status_code == 200
    assert fetch(earlier, signer=signer).json()["code"] == "invalid_signature"


# --- expiry and caching -------------------------------------------------------------------------------------

TIMES = st.floats(0, 4e9)


@given(TIMES, st.integers(1, 31_536_000), st.integers(60, 2_592_000))
def test_a_link_is_valid_as_long_as_asked_and_no_more_than_a_window_longer(now, lifetime, window):
    expiry = round_expiry(now, lifetime, window)
    assert lifetime < expiry - int(now) <= lifetime + min(window, lifetime)


@given(TIMES, st.floats(0, 1e8))
def test_no_cache_keeps_a_response_longer_than_its_link_is_valid(now, left):
    expiry = int(now + left) + 1
    assert 0 <= max_age(expiry, now) <= expiry - now
    assert max_age(expiry, now) <= 31_536_000


def test_a_thousand_calls_within_a_window_give_one_link():
    start = NOW // DAY * DAY
    clock = Clock()
    signer = make_signer(clock=clock)

    def sign(moment):
        clock.now = moment
        return signer.sign(KEY).path

    assert len({sign(start + DAY * call / 1000) for call in range(1000)}) == 1
    assert sign(start + DAY) != sign(start + DAY - 1)


# --- responses ----------------------------------------------------------------------------------------------


def test_a_link_gives_the_variant_to_everyone_and_to_caches():
    link = make_signer().sign(KEY)
    answer = fetch(link.path, origin="https://anywhere.example", origins=["https://anywhere.example"])
    assert (answer.status_code, answer.content) == (200, CONTENT)
    age = int(link.expires_at.timestamp()) - int(NOW) - 1
    expected = {
        "content-type": "image/jpeg",
        "content-length": str(len(CONTENT)),
        "cache-control": f"public, max-age={age}, immutable",
        "cache-tag": IMAGE,
        "etag": '"0123456789abcdef-1.1"',
        "accept-ranges": "bytes",
        "cross-origin-resource-policy": "cross-origin",
        "access-control-allow-origin": "*",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
    }
    assert dict(answer.headers) == expected  # no Vary, no cookie: one entry in a cache
    head = fetch(link.path, method="HEAD")
    assert (head.status_code, dict(head.headers), head.content) == (200, expected, b"")
    known = fetch(link.path, if_none_match=expected["etag"])
    assert (known.status_code, known.headers["cache-control"]) == (304, expected["cache-control"])


@pytest.mark.parametrize("prefix", ["", "/images"])
@pytest.mark.parametrize("origin", ["https://named.example", "https://other.example"])
def test_a_response_is_the_same_for_the_pages_of_all_origins(prefix, origin):
    link, rules = make_signer().sign(KEY), {"origins": ["https://named.example"], "public_url": f"http://x{prefix}"}
    for path, status in ((link.path, 200), (link.path[:-1] + "!", 403)):
        plain, answer = fetch(prefix + path, **rules), fetch(prefix + path, origin=origin, **rules)
        assert (plain.status_code, dict(plain.headers)) == (status, dict(answer.headers))
        assert (answer.headers["access-control-allow-origin"], answer.headers.get("vary")) == ("*", None)


def test_every_changed_character_of_a_link_is_403():
    link = make_signer().sign(KEY).path
    seen = set()
    for place in range(len("/i/"), len(link)):
        for other in {"0", "1", "a", "A", "_", "/", "%", "&", chr(ord(link[place]) ^ 1)} - {link[place]}:
            if other not in "?#":
                answer = fetch(link[:place] + other + link[place + 1 :])
                seen.add((answer.status_code, answer.json()["code"], answer.headers["cache-control"]))
    for longer in (f"{link}&", f"{link}0", f"{link}&utm=1", link.replace("-", "%2D", 1), link.partition("?")[0]):
        seen.add((fetch(longer).status_code, fetch(longer).json()["code"], "no-store"))
    assert seen == {(403, "invalid_signature", "no-store")}


def test_an_expired_link_is_410_and_only_if_it_was_valid():
    clock = Clock()
    link = make_signer(clock=clock).sign(KEY, 60)
    clock.now = link.expires_at.timestamp() - 0.25
    last = fetch(link.path, clock=clock)
    assert (last.status_code, last.headers["cache-control"]) == (200, "public, max-age=0, immutable")
    clock.now = link.expires_at.timestamp()
    expired = fetch(link.path, clock=clock)
    assert (expired.status_code, expired.json()["code"]) == (410, "link_expired")
    assert expired.headers["cache-control"] == "no-store"
    assert fetch(link.path[:-1] + "!", clock=clock).status_code == 403


@pytest.mark.parametrize("key", ["a/b", f"uploads/{IMAGE}/original", f"{IMAGE}/0123456789abcdef-1.1"])
def test_only_variants_are_served_even_if_another_key_were_signed(key):
    answer = fetch(make_signer().sign(key).path)
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


# --- ranges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "if_range", "expected"),
    [
        ("bytes=0-0", "", ByteRange(0, 0)),
        ("bytes=5-", "", ByteRange(5, 9)),
        ("bytes=5-99", "", ByteRange(5, 9)),
        ("bytes=-3", "", ByteRange(7, 9)),
        ("bytes=-99", "", ByteRange(0, 9)),
        ("bytes=2-4", '"now"', ByteRange(2, 4)),
        ("bytes=2-4", '"then"', None),
        ("bytes=2-4", 'W/"now"', None),
        ("bytes=2-4", "Sun, 29 Nov 2026 00:00:00 GMT", None),
        ("bytes=4-2", "", None),
        ("bytes=-", "", None),
        ("bytes=0-1,3-4", "", None),
        ("lines=0-1", "", None),
    ],
)
def test_a_single_range_is_selected_and_others_are_ignored(wanted, if_range, expected):
    assert select_range(wanted, if_range, '"now"', 10) == expected


@pytest.mark.parametrize(
    ("wanted", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_a_range_outside_is_unsatisfiable(wanted, size):
    with pytest.raises(UnsatisfiableRangeError):
        select_range(wanted, "", '"now"', size)


def test_a_range_outside_is_416_and_no_cache_stores_it():
    answer = fetch(make_signer().sign(KEY).path, range=f"bytes={len(CONTENT)}-")
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert answer.headers["cache-control"] == "no-store"
