"""Unusual object keys: valid ones are the same everywhere, invalid ones are rejected everywhere."""

import http.client
from contextlib import closing
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from tests.support.images import photo, red_quarter
from tests.support.system import ORIGINALS, problem

KEYS = [
    "caf\u00e9.jpg", "cafe\u0301.jpg",  # the same to the eye: composed, decomposed
    "a b.jpg", " in front.jpg", "behind ", "a+b.jpg", "a%2Fb.jpg", "a%2fb.jpg", "100%.jpg", "%", "%00", "a%0Ab",
    "#hash?query=1&more;x=y.jpg", "a=b,c:d@e$f!g~h*i(j)k'l.jpg", '"quoted" \'twice\'.jpg', "a\\b.jpg", "`tick`.jpg",
    "<script>alert(1)</script>.jpg", "&lt;.jpg", "{{7*7}}${7*7}.jpg", "'; DROP TABLE images; --.jpg", "%s%d%n.jpg",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467.jpg", "\u05e9\u05dc\u05d5\u05dd.jpg", "\u202egpj.exe",
    "日本語/写真.jpg", ".hidden", "...", "a..b", "a/.b/..c", "-rf.jpg", "CON", "null", "undefined", "NaN", "0",
    "images-original/x", "tab\there", "line\nfeed", "bell\x07", "\x7f", "\u0085", "\u2028", "\ufeff", "\u200b",
    "\ufffd", "\U0010fffd", "x" * 255, "/".join(["y" * 200] * 5), "\u00e4" * 100,
]  # fmt: skip
REFUSED = ["a//b.jpg", "../up.jpg", "a/../b.jpg", "./here.jpg", "z" * 1025, "a\0b.jpg"]


def test_a_key_is_the_same_in_the_bucket_the_event_the_row_the_api_and_the_thumbnail(system):
    for number, key in enumerate(KEYS, start=1):
        system.put(key, photo(64, 48, seed=number, orientation=3))
    assert set(KEYS) <= set(system.keys(ORIGINALS))
    ids = {}
    for key in KEYS:
        image = system.wait_key(key)
        ids[image["id"]] = key
        assert image["key"] == key
        assert red_quarter(system.thumbnail(image["id"])) == "right lower"
        original = system.http.get(image["variants"][0]["url"])
        assert original.status_code == 200, repr(key)
        assert "\n" not in original.headers["content-disposition"]
    assert len(ids) == len(KEYS), "every key is an image of its own"
    rows = dict(system.query("SELECT id::text, key FROM image_status WHERE key = ANY(%s)", KEYS))
    assert rows == ids
    for queue in ("image_queue.dead", "status_tracker.dead"):
        assert system.message_count(queue) == 0
    delete_all(system, ids)


def delete_all(system, ids):
    for image_id in ids:
        assert system.http.delete(f"/api/v1/images/{image_id}").status_code == 202
    for image_id in ids:
        system.wait_removed(image_id)


@pytest.mark.parametrize("key", REFUSED, ids=lambda key: ascii(key)[:20])
def test_an_invalid_key_is_rejected_and_unknown(system, key):
    with pytest.raises(ClientError) as refusal:
        system.put(key, photo())
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 404}
    answer = system.http.get("/api/v1/images", params={"key": key})
    if answer.status_code == 200:
        assert answer.json()["items"] == []
    else:
        assert problem(answer, 422) == "invalid_request"
    with closing(http.client.HTTPConnection("127.0.0.1", system.ports["GATEWAY_PORT"], timeout=30)) as connection:
        connection.request("GET", f"/api/v1/images/{quote(key, safe='')}")
        assert connection.getresponse().status in {404, 422}


def test_a_leading_slash_is_not_part_of_a_key(system):
    """MinIO removes the slash, so the object has the key without it."""
    system.put("/slash in front.jpg", photo())
    assert system.wait_key("slash in front.jpg")
    assert system.image_of("/slash in front.jpg") is None


def test_a_key_that_is_not_utf_8_is_rejected(system):
    assert system.http.get("/api/v1/images?key=%ff%fe").status_code in {200, 422}
    with closing(http.client.HTTPConnection("127.0.0.1", system.ports["MINIO_PORT"], timeout=30)) as connection:
        connection.request("PUT", f"/{ORIGINALS}/%ff%fe", b"x")
        assert connection.getresponse().status in {400, 403}
