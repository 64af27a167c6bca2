"""Signed links: for everyone who has one, without Postgres and without the status tracker."""

import base64
import hashlib
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.images import photo
from tests.support.nginx import PROGRAM, run_nginx
from tests.support.system import problem

ORIGIN = "https://gallery.example"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "put-a-cdn-in-front.md"


@pytest.fixture(autouse=True)
def keys(system):
    """The file of signing keys, as it was again after the test."""
    file = Path(system.stack.installation.signing_keys_file)
    before = file.read_text()
    yield file
    file.write_text(before)


@pytest.fixture
def image(system):
    return system.wait_status(system.post_form(photo())["id"])


@pytest.fixture
def cache(system, tmp_path):
    """Yield the URL of a cache in front, as the page about CDNs configures it."""
    if PROGRAM is None:
        pytest.skip("needs Debian's package nginx-light")
    block = PAGE.read_text().partition("```nginx\n")[2].partition("```")[0]
    replaced = {
        "/var/cache/nginx/thumbmill": f"{tmp_path}/cache",
        "listen 80;": "listen 127.0.0.1:PORT;",
        "http://127.0.0.1:8000": f"http://127.0.0.1:{system.ports['GATEWAY_PORT']}",
    }
    for documented, used in replaced.items():
        assert documented in block
        block = block.replace(documented, used)
    with run_nginx(tmp_path, block) as port:
        yield f"http://127.0.0.1:{port}"


def sign(line, key, expiry):
    """Sign a link as the documentation describes it."""
    key_id, _, secret = line.strip().partition(":")
    digest = hmac.new(secret.encode(), f"v1\n{key}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"/i/{key}?e={expiry}&k={key_id}&s={base64.urlsafe_b64encode(digest[:16]).decode().rstrip('=')}"


def key_of(link):
    return link.partition("/i/")[2].partition("?")[0]


def thumbnail_link(image):
    return next(variant["signed_url"] for variant in image["variants"] if variant["type"] == "thumbnail")


def rejected(answer, status):
    """Return the code of a problem that no cache stores and that any page may read."""
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    return problem(answer, status)


def test_links_are_the_same_everywhere_and_as_documented(system, image, keys):
    link = thumbnail_link(image)
    assert [one["type"] for one in image["variants"] if one["signed_url"] is None] == ["original"]
    listed = system.http.get("/api/v1/images", params={"key": image["key"]}).json()["items"][0]
    assert thumbnail_link(listed) == link
    expiry = int(link.partition("?e=")[2].partition("&")[0])
    assert expiry % 86_400 == 0
    assert 86_400 - 60 < expiry - time.time() <= 2 * 86_400
    assert link.endswith(sign(keys.read_text(), key_of(link), expiry))

    made = system.http.post(f"/api/v1/images/{image['id']}/links", json={"expires_in": 3600})
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    links = {one["type"]: one["url"] for one in made.json()["links"]}
    assert links.keys() == {one["type"] for one in image["variants"]} - {"original"}
    for type_, url in links.items():
        assert system.http.get(url).content == system.thumbnail(image["id"], type_)
    assert system.http.post(f"/api/v1/images/{image['id']}/links").json()["links"][0]["url"] == link
    answer = system.http.post(f"/api/v1/images/{image['id']}/links", json={"expires_in": 31_536_001})
    assert problem(answer, 422) == "invalid_request"


def test_links_work_without_the_database_and_the_tracker(system, image, keys):
    link, whole = thumbnail_link(image), system.thumbnail(image["id"])
    with system.stopped("status-tracker"), system.stopped("postgres"):
        answer = system.http.get(link)
        assert (answer.status_code, answer.content) == (200, whole)
        part = system.http.get(link, headers={"Range": "bytes=2-5", "If-Range": answer.headers["etag"]})
        assert (part.status_code, part.content) == (206, whole[2:6])
        assert part.headers["content-range"] == f"bytes 2-5/{len(whole)}"
        assert system.http.get(link, headers={"Range": "bytes=2-5", "If-Range": '"other"'}).content == whole
        known = system.http.get(link, headers={"If-None-Match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        head = system.http.head(link)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole)))
        assert rejected(system.http.get(link, headers={"Range": "bytes=99999999-"}), 416) == "range_not_satisfiable"
        assert rejected(system.http.get(link[:-1] + "!"), 403) == "invalid_signature"
        expired = sign(keys.read_text(), key_of(link), int(time.time()) - 1)
        assert rejected(system.http.get(expired), 410) == "link_expired"


def test_downloads_with_a_key_have_ranges_too(system):
    original = photo()
    image = system.wait_status(system.post_form(original)["id"])
    for type_, whole in (("original", original), ("large", system.thumbnail(image["id"], "large"))):
        path = f"/api/v1/images/{image['id']}/variants/{type_}"
        part = system.http.get(path, headers={"Range": f"bytes={len(whole) // 2}-"})
        assert (part.status_code, part.content) == (206, whole[len(whole) // 2 :])
        assert part.headers["content-range"] == f"bytes {len(whole) // 2}-{len(whole) - 1}/{len(whole)}"
        same = {"Range": "bytes=-4", "If-Range": part.headers["etag"]}
        assert system.http.get(path, headers=same).content == whole[-4:]
        outside = system.http.get(path, headers={"Range": f"bytes={len(whole)}-"})
        assert problem(outside, 416) == "range_not_satisfiable"


def test_links_need_no_key_and_are_one_response_for_all_pages(system, image, keys):
    minute = sign(keys.read_text(), key_of(thumbnail_link(image)), int(time.time()) + 60)
    with system.restarted("gateway", API_KEYS="a-client-of-links", CORS_ALLOW_ORIGINS=ORIGIN):
        assert problem(system.http.get(f"/api/v1/images/{image['id']}"), 401) == "unauthorized"
        assert problem(system.http.post(f"/api/v1/images/{image['id']}/links"), 401) == "unauthorized"
        for origin in ({}, {"Origin": ORIGIN}, {"Origin": "https://other.example"}):
            answer = system.http.get(minute, headers={**origin, "Cookie": "thumbmill_session=x"})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert "vary" not in answer.headers
            assert "set-cookie" not in answer.headers
            assert answer.headers["cache-tag"] == image["id"]
            assert answer.headers["etag"] == f'"{key_of(minute).split("/")[1]}"'
            caching, _, age = answer.headers["cache-control"].partition("max-age=")
            assert caching == "public, "
            assert 0 <= int(age.partition(",")[0]) <= 60


def test_keys_rotate_under_load_without_an_error(system, image, keys):
    earlier, old = thumbnail_link(image), keys.read_text().strip()
    new = f"rotated:{'r' * 32}"
    steps = {20: f"{old}\n{new}\n", 60: f"{new}\n{old}\n"}

    def use(number):
        if number in steps:
            keys.write_text(steps[number])
        links = {earlier, thumbnail_link(system.image(image["id"]))}
        return {system.http.get(link).status_code for link in links}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(use, range(120))) == {200}
    later = thumbnail_link(system.image(image["id"]))
    assert "&k=rotated&" in later
    keys.write_text(new)
    assert rejected(system.http.get(earlier), 403) == "invalid_signature"
    keys.write_text(old)
    assert rejected(system.http.get(later), 403) == "invalid_signature"
    assert thumbnail_link(system.image(image["id"])) == earlier


def test_a_link_ends_with_its_image(system, image):
    link = thumbnail_link(image)
    assert system.http.get(link).status_code == 200
    system.http.delete(f"/api/v1/images/{image['id']}")
    system.wait_removed(image["id"])
    assert rejected(system.http.get(link), 404) == "variant_not_found"
    assert problem(system.http.post(f"/api/v1/images/{image['id']}/links"), 410) == "gone"


def test_a_shared_cache_keeps_links_and_nothing_else(system, image, keys, cache):
    def ask(path, **headers):
        answer = httpx.get(cache + path, headers=headers)
        return answer.headers["x-cache"], answer

    link = "/i/" + thumbnail_link(image).partition("/i/")[2]
    whole = system.thumbnail(image["id"])
    first, later = ask(link), ask(link, Origin=ORIGIN)
    assert (first[0], later[0]) == ("MISS", "HIT")
    assert first[1].content == later[1].content == whole
    assert later[1].headers["cache-tag"] == image["id"]
    state, part = ask(link, Range="bytes=0-3")
    assert (state, part.status_code, part.content) == ("HIT", 206, whole[:4])
    etag = later[1].headers["etag"]
    state, known = ask(link, **{"If-None-Match": etag})
    assert (state, known.status_code) == ("HIT", 304)

    expired = sign(keys.read_text(), key_of(link), int(time.time()) - 1)
    for path, status in ((expired, 410), (link[:-1] + "!", 403), ("/i/none", 403)):
        for _ in range(2):
            state, answer = ask(path)
            assert (state, answer.status_code) == ("MISS", status)
    assert httpx.get(f"{cache}/api/v1/images/{image['id']}").json()["id"] == image["id"]
