import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.gateway.conftest import ORIGINALS
from tests.support.waiting import wait_until
from thumbmill.core.contracts.identity import image_id_of, new_image_id

S3_KEY = "read/ä b+c 100%.jpg"


def test_an_image_and_its_etag(fresh, client):
    image_id = fresh.put_done(file_name="cat.jpg", content_type="image/jpeg", format="JPEG", width=600, height=400)
    answer = client.get(f"/api/v1/images/{image_id}")
    image = answer.json()
    assert (image["status"], image["file_name"], image["attempts"], image["error"]) == ("DONE", "cat.jpg", 1, None)
    assert [(v["type"], v["width"], v["height"]) for v in image["variants"]] == [
        ("original", 600, 400),
        ("thumbnail", 256, 171),
    ]
    assert (image["sha256"], image["details"], image["damaged"]) == (None, None, False)
    assert "Retry-After" not in answer.headers
    same = client.get(f"/api/v1/images/{image_id}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    fresh.sql("UPDATE images SET version = version + 1000")
    assert client.get(same.url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 200


def test_the_details_of_an_original(fresh, client):
    details = {
        "frames": 3,
        "has_alpha": True,
        "colour_space": "Display P3",
        "dominant_colour": "#336699",
        "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw",
        "taken_at": "2026-01-31T12:00:00",
        "camera": "A camera",
        "lens": None,
        "gps": {"latitude": 52.5, "longitude": -13.25},
    }
    image_id = fresh.put_row(sha256="ab" * 32, details=json.dumps(details), damaged=True)
    image = client.get(f"/api/v1/images/{image_id}").json()
    assert (image["sha256"], image["details"], image["damaged"]) == ("ab" * 32, details, True)
    assert client.get("/api/v1/images").json()["items"] == [image]


def test_an_image_in_progress_has_a_retry_after(fresh, client):
    image_id = fresh.put_row(status="PROCESSING", attempts=2, next_attempt_at=datetime.now(UTC))
    answer = client.get(f"/api/v1/images/{image_id}")
    assert answer.headers["Retry-After"] == "1"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.json()["next_attempt_at"]


def put_ticket(system, expires_at):
    """Write an image of which the tracker has recorded only the ticket."""
    values = {"object_version": None, "size": None, "generation": 0, "attempts": 0}
    return system.put_row(id=new_image_id(), status="AWAITING_UPLOAD", expires_at=expires_at, **values)


def test_a_ticket_past_its_lifetime_is_expired(fresh, client):
    expired = datetime.now(UTC) - timedelta(hours=1)
    image_id = put_ticket(fresh, expired)
    assert client.get(f"/api/v1/images/{image_id}").json()["status"] == "EXPIRED"
    for status, found in (("EXPIRED", [str(image_id)]), ("AWAITING_UPLOAD", [])):
        listed = client.get("/api/v1/images", params={"status": status}).json()
        assert [item["id"] for item in listed["items"]] == found
    answer = client.delete(f"/api/v1/images/{image_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_not_used")


def test_unknown_ids(fresh, client):
    def ask(image_id):
        answer = client.get(f"/api/v1/images/{image_id}")
        return answer.status_code, answer.json()["code"]

    assert ask(new_image_id()) == (503, "not_caught_up")  # the tracker has not recorded its progress yet
    assert ask(image_id_of(S3_KEY)) == (503, "not_caught_up")
    assert ask(uuid.uuid4()) == (404, "image_not_found")
    fresh.catch_up()
    assert ask(new_image_id()) == (404, "image_not_found")
    assert ask(image_id_of(S3_KEY)) == (404, "image_not_found")
    assert ask("not-an-id") == (422, "invalid_request")


def test_the_timeline(fresh, client):
    image_id = fresh.put_row()
    moment = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for n, kind in enumerate(["image.done", "image.processing", "storage.ObjectCreated:Put"]):
        fresh.sql(
            "INSERT INTO events (id, image_id, type, object_version, occurred, recorded_by, data)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                uuid.uuid4(),
                image_id,
                kind,
                "e/3/1",
                moment - timedelta(seconds=n),
                "/thumbnailer",
                '{"attempt": 1}',
            ],
        )
    items = client.get(f"/api/v1/images/{image_id}/events").json()["items"]
    assert [item["type"] for item in items] == ["storage.ObjectCreated:Put", "image.processing", "image.done"]
    assert items[0]["data"] == {"attempt": 1}


def test_a_thumbnail_can_be_cached_forever_under_the_url_with_its_content_id(fresh, client):
    content = b"\xff\xd8\xff thumbnail"
    image_id = fresh.put_done(content)
    url = client.get(f"/api/v1/images/{image_id}").json()["variants"][1]["url"]
    answer = client.get(url)
    assert answer.content == content
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    bare = client.get(f"/api/v1/images/{image_id}/variants/thumbnail")
    assert bare.content == content
    assert "no-cache" in bare.headers["Cache-Control"]
    assert "no-cache" in client.get(url.replace("0123", "4567")).headers["Cache-Control"]
    assert client.get(bare.url, headers={"If-None-Match": bare.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("size", [40, 3_000_000])
def test_no_browser_executes_an_original(fresh, client, size):
    content = b"<script>alert(1)</script>".ljust(size)
    key = "évil.html"
    fresh.s3.put_object(Bucket=ORIGINALS, Key=key, Body=content, ContentType="text/html")
    [item] = client.get("/api/v1/images", params={"key": key}).json()["items"]
    fresh.put_row(id=item["id"], key=key, status="FAILED", content_type="text/html", file_name="évil.html")
    original = client.get(f"/api/v1/images/{item['id']}").json()["variants"][0]
    assert original["content_type"] == "application/octet-stream"
    answer = client.get(original["url"])
    assert answer.content == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (
        answer.headers["Content-Disposition"]
        == "attachment; filename=\"_vil.html\"; filename*=UTF-8''%C3%A9vil.html"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("row", "type_", "status", "code"),
    [
        ({"status": "PROCESSING"}, "thumbnail", 409, "not_ready"),
        (
            {"status": "AWAITING_UPLOAD", "object_version": None, "expires_at": "2999-01-01T00:00:00Z"},
            "original",
            409,
            "not_ready",
        ),
        ({"status": "DONE"}, "poster", 404, "variant_not_found"),
        ({"status": "DELETED"}, "thumbnail", 410, "gone"),
        ({"status": "DELETED"}, "original", 410, "gone"),
        ({"status": "DONE"}, "original", 410, "gone"),  # the object was deleted, untracked
    ],
)
def test_missing_variants(fresh, client, row, type_, status, code):
    image_id = fresh.put_row(**row)
    answer = client.get(f"/api/v1/images/{image_id}/variants/{type_}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (code == "not_ready")


def test_deleting_removes_the_object(fresh, client, photo):
    accepted = client.post("/api/v1/images", files={"file": photo}).json()
    answer = client.delete(f"/api/v1/images/{accepted['id']}")
    assert (answer.status_code, answer.json()["code"]) == (
        503,
        "not_caught_up",
    )  # it would leave no record
    assert answer.headers["Retry-After"]
    assert fresh.keys() == {accepted["key"]}
    fresh.put_row(id=accepted["id"], status="PENDING")
    assert client.delete(f"/api/v1/images/{accepted['id']}").status_code == 202
    assert not fresh.keys()
    assert client.delete(f"/api/v1/images/{fresh.put_row(status='DELETED')}").status_code == 202


@pytest.mark.parametrize("left", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["awaited", "expired"])
def test_a_ticket_that_was_just_used(fresh, client, photo, left):
    """Its image is PENDING at once, and its ETag changes with every new object."""
    image_id = put_ticket(fresh, datetime.now(UTC) + left)
    url, etags = f"/api/v1/images/{image_id}", []

    def get_image():
        answer = client.get(url, headers={"If-None-Match": ", ".join(etags)})
        assert answer.status_code == 200  # not 304
        etags.append(answer.headers["ETag"])
        assert client.get(url, headers={"If-None-Match": etags[-1]}).status_code == 304
        return answer.json()

    assert get_image()["status"] == ("EXPIRED" if left < timedelta(0) else "AWAITING_UPLOAD")
    for body in (photo, photo + b"another"):
        fresh.s3.put_object(Bucket=ORIGINALS, Key=f"uploads/{image_id}/original", Body=body)
        image = get_image()
        assert (image["status"], image["generation"], image["bytes"]) == ("PENDING", 1, len(body))
        assert [variant["type"] for variant in image["variants"]] == ["original"]
        assert client.get(image["variants"][0]["url"]).content == body
    [listed] = client.get("/api/v1/images", params={"key": image["key"]}).json()["items"]
    assert listed == image
    answer = client.delete(url)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_caught_up")
    fresh.sql(
        "UPDATE images SET status = 'PENDING', object_version = 's/3/1', generation = 1, version = version + 1000"
    )
    assert get_image()["status"] == "PENDING"
    assert client.delete(url).status_code == 202
    assert not fresh.keys()


def test_a_row_that_appears_during_a_request_is_found(fresh, client):
    """A request for an S3 client's id waits until the tracker has recorded it, or everything before the request."""
    image_id = image_id_of(S3_KEY)
    fresh.put_row(id=image_id, key=S3_KEY)
    wait_until(lambda: client.get(f"/api/v1/images/{image_id}").status_code == 200, 5, "the row")
