"""The API's representation of images, and downloads."""

import uuid
from contextlib import closing

import pytest

from tests.support.images import photo
from tests.support.system import System, problem
from tests.support.waiting import wait_until

IMAGES = "/api/v1/images"


@pytest.fixture(scope="module")
def done(stack):
    """Yield an image that is DONE."""
    with closing(System(stack)) as system:
        yield system.wait_status(system.post_form(photo(800, 600), name="Père Noël.jpg")["id"])


def test_an_unchanged_image_is_304(system, done):
    first = system.http.get(f"{IMAGES}/{done['id']}")
    assert first.json() == done
    assert "retry-after" not in first.headers
    again = system.http.get(f"{IMAGES}/{done['id']}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = system.http.get(f"{IMAGES}/{done['id']}", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


def test_an_image_that_changes_gets_another_etag(system):
    with system.frozen("thumbnailer"):
        image_id = system.post_form(photo(seed=1))["id"]
        system.wait_status(image_id, "PENDING")
        pending = system.http.get(f"{IMAGES}/{image_id}")
        assert int(pending.headers["retry-after"]) >= 1
    system.wait_status(image_id)
    etag = pending.headers["etag"]
    assert system.http.get(f"{IMAGES}/{image_id}", headers={"If-None-Match": etag}).status_code == 200


def test_the_list_is_paged_from_newest_to_oldest(system):
    ids = [system.post_form(photo(seed=seed))["id"] for seed in range(5)]
    for image_id in ids:
        system.wait_status(image_id)
    seen, cursor = [], None
    for _ in range(3):
        page = system.http.get(IMAGES, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) == 2
        seen += page["items"]
        cursor = page["next"]
        system.wait_status(system.post_form(photo(seed=99))["id"])  # what is new moves no page
    assert [item["id"] for item in seen[:5]] == ids[::-1]
    assert [item["created_at"] for item in seen] == sorted((item["created_at"] for item in seen), reverse=True)


def test_all_pages_have_every_image_once(system, done):
    ids, cursor = [], ""
    while cursor is not None:
        answer = system.http.get(IMAGES, params={"limit": 4} | ({"cursor": cursor} if cursor else {}))
        ids += [item["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next"]
    assert done["id"] in ids
    assert sorted(ids) == sorted(str(row[0]) for row in system.query("SELECT id FROM images"))


def test_the_list_by_status_and_by_key(system, done):
    by_key = system.http.get(IMAGES, params={"key": done["key"]}).json()
    assert by_key == {"items": [done], "next": None}
    assert system.http.get(IMAGES, params={"key": done["key"], "status": "FAILED"}).json()["items"] == []
    assert system.http.get(IMAGES, params={"key": "not/there"}).json() == {"items": [], "next": None}
    failed = system.http.post(IMAGES, content=photo()[:600], headers={"Content-Type": "image/jpeg"}).json()["id"]
    system.wait_status(failed, "FAILED")
    of_status = system.http.get(IMAGES, params={"status": "FAILED"}).json()["items"]
    assert {item["status"] for item in of_status} == {"FAILED"}
    assert of_status[0]["id"] == failed
    assert of_status[0]["error"]["code"] == "unreadable_image"
    assert [variant["type"] for variant in of_status[0]["variants"]] == ["original"]


@pytest.mark.parametrize(
    "query", [{"cursor": "bm9uc2Vuc2U"}, {"limit": 0}, {"limit": 10_000}, {"status": "NICE"}], ids=str
)
def test_invalid_list_parameters_are_422(system, query):
    assert problem(system.http.get(IMAGES, params=query), 422) == "invalid_request"


def test_the_original_is_an_attachment_that_browsers_do_not_execute(system, done):
    answer = system.http.get(f"{IMAGES}/{done['id']}/variants/original")
    assert answer.content == photo(800, 600)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "filename*=UTF-8''P%C3%A8re%20No%C3%ABl.jpg" in answer.headers["content-disposition"]
    again = system.http.get(
        f"{IMAGES}/{done['id']}/variants/original", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


def test_a_page_declared_as_an_image_is_not_served_as_a_page(system):
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    system.put("page.html", page, ContentType="text/html")
    image = system.wait_key("page.html", "FAILED")
    assert image["error"]["code"] == "unsupported_format"
    answer = system.http.get(image["variants"][0]["url"])
    assert answer.content == page
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")


def test_a_thumbnail_by_its_versioned_url_is_cacheable_forever(system, done):
    url = done["variants"][1]["url"]
    answer = system.http.get(url)
    assert "immutable" in answer.headers["cache-control"]
    assert "max-age=31536000" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "image/jpeg"
    assert system.http.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_thumbnail_by_its_stable_url_is_revalidated(system, done):
    answer = system.http.get(f"{IMAGES}/{done['id']}/variants/thumbnail")
    assert "immutable" not in answer.headers["cache-control"]
    assert "no-cache" in answer.headers["cache-control"]
    stale = system.http.get(f"{IMAGES}/{done['id']}/variants/thumbnail?v=another")
    assert "immutable" not in stale.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{IMAGES}/{uuid.uuid5(uuid.NAMESPACE_URL, 'unknown')}", 404, "image_not_found"),
        (f"{IMAGES}/9d2f4c1e-77aa-4c3b-8f52-0c6d1e5b7a90", 404, "image_not_found"),
        (f"{IMAGES}/01890000-0000-7000-8000-000000000000", 404, "image_not_found"),
        (f"{IMAGES}/01890000-0000-7000-8000-000000000000/events", 404, "image_not_found"),
        (f"{IMAGES}/01890000-0000-7000-8000-000000000000/variants/original", 404, "image_not_found"),
        (f"{IMAGES}/no-id", 422, "invalid_request"),
        ("/nowhere", 404, "not_found"),
    ],
)
def test_a_missing_resource_is_a_problem_with_a_code(system, path, status, code):
    assert problem(system.http.get(path), status) == code


def test_deleting_an_unknown_image_is_404(system):
    answer = system.http.delete(f"{IMAGES}/01890000-0000-7000-8000-000000000000")
    assert problem(answer, 404) == "image_not_found"


def test_an_unknown_variant_is_404_and_a_pending_one_409(system, done):
    assert problem(system.http.get(f"{IMAGES}/{done['id']}/variants/poster"), 404) == "variant_not_found"
    with system.frozen("thumbnailer"):
        image_id = system.post_form(photo(seed=2))["id"]
        answer = system.http.get(f"{IMAGES}/{image_id}/variants/thumbnail")
        assert problem(answer, 409) == "not_ready"
        assert int(answer.headers["retry-after"]) >= 1
        assert system.http.get(f"{IMAGES}/{image_id}/variants/original").status_code == 200
    system.wait_status(image_id)


def test_an_unsupported_method_is_405(system):
    assert problem(system.http.put(IMAGES), 405) == "method_not_allowed"


def test_a_new_id_is_never_404(system):
    with system.frozen("status-tracker"):
        posted = system.post_form(photo(seed=4))
        image = system.image(posted["id"])
        assert (image["status"], image["key"]) == ("PENDING", posted["key"])
        ticket = system.ticket()
        answer = system.http.get(f"{IMAGES}/{ticket['id']}")
        assert problem(answer, 503) == "not_caught_up"
        assert int(answer.headers["retry-after"]) >= 1
    system.wait_status(posted["id"])
    assert wait_until(lambda: system.image(ticket["id"]))["status"] == "AWAITING_UPLOAD"


VOLATILE = {"date", "server", "traceparent"}


def headers_of(answer):
    return {name: value for name, value in answer.headers.items() if name not in VOLATILE}


@pytest.mark.parametrize("part", ["", "/events", "/variants/original", "/variants/thumbnail", "/variants/poster"])
def test_head_is_like_get_without_the_body(system, done, part):
    url = f"{IMAGES}/{done['id']}{part}"
    given, seen = system.http.get(url), system.http.head(url)
    assert (seen.status_code, headers_of(seen)) == (given.status_code, headers_of(given))
    assert seen.content == b""
    assert int(seen.headers["content-length"]) == len(given.content)


@pytest.mark.parametrize(
    ("declared", "observed"),
    [
        ("text/html", "image/jpeg"),
        ("application/octet-stream", "image/jpeg"),
        ("image/png", "image/jpeg"),
        ("IMAGE/PJPEG; x=y", "image/jpeg"),
    ],
)
def test_the_original_s_content_type_is_the_same_in_status_and_download(system, declared, observed):
    key = f"declared/{uuid.uuid4()}"
    system.put(key, photo(), ContentType=declared)
    image = system.wait_key(key)
    assert image["variants"][0]["content_type"] == observed
    assert system.http.get(image["variants"][0]["url"]).headers["content-type"] == observed
