import json
import uuid
from datetime import UTC, datetime, timedelta

from tests.integration.gateway.conftest import ORIGINALS
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.gateway.images.repository import _page

S3_KEY = "listed/ä b+c 100%.jpg"


def test_pages_are_newest_first_and_complete(fresh, client):
    moment = datetime(2026, 11, 22, 12, tzinfo=UTC)
    ids = [fresh.put_row(created_at=moment + timedelta(seconds=n // 2)) for n in range(7)]  # two of each second
    expected = sorted(map(str, ids), key=lambda i: (ids.index(uuid.UUID(i)) // 2, i), reverse=True)
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/images", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == expected


def test_lists_by_status(fresh, client):
    failed = {"code": "unsupported_format", "detail": "text", "retryable": False}
    fresh.put_row()
    image_id = fresh.put_row(status="FAILED", error=json.dumps(failed))
    [item] = client.get("/api/v1/images", params={"status": "FAILED"}).json()["items"]
    assert (item["id"], item["error"]) == (str(image_id), failed)


def walk(client, **params):
    """Return the ids on all pages of a list, in order."""
    ids, cursor = [], {}
    while True:
        page = client.get("/api/v1/images", params={"limit": 2} | params | cursor).json()
        ids += [item["id"] for item in page["items"]]
        if not page["next"]:
            return ids
        assert len(page["items"]) == 2
        cursor = {"cursor": page["next"]}


def test_lists_of_several_states_and_without_deleted_images(fresh, client):
    now = datetime.now(UTC)
    kinds = [
        {"status": "DONE"},
        {"status": "DELETED"},
        {"status": "AWAITING_UPLOAD", "object_version": None, "expires_at": now + timedelta(hours=1)},
        {"status": "FAILED"},
        {"status": "AWAITING_UPLOAD", "object_version": None, "expires_at": now - timedelta(hours=1)},
        {"status": "EXPIRED", "object_version": None, "expires_at": now - timedelta(hours=2)},
    ]
    shown = ["DONE", "DELETED", "AWAITING_UPLOAD", "FAILED", "EXPIRED", "EXPIRED"]
    ids = [
        str(fresh.put_row(created_at=now - timedelta(minutes=number), **kinds[number % 6])) for number in range(18)
    ]

    def of(*states):
        return [image_id for number, image_id in enumerate(ids) if shown[number % 6] in states]

    assert walk(client) == walk(client, deleted=True) == ids
    assert walk(client, deleted=False) == of("DONE", "AWAITING_UPLOAD", "FAILED", "EXPIRED")
    assert walk(client, status=["DONE", "FAILED"]) == of("DONE", "FAILED")
    assert walk(client, status=["FAILED", "EXPIRED", "FAILED"]) == of("FAILED", "EXPIRED")
    assert walk(client, status=["AWAITING_UPLOAD", "EXPIRED"]) == of("AWAITING_UPLOAD", "EXPIRED")
    assert walk(client, status=["DELETED", "DONE"], deleted=False) == of("DONE")
    assert walk(client, status="DELETED", deleted=False) == []


def test_a_key_whose_image_is_deleted(fresh, client):
    fresh.put_row(id=image_id_of(S3_KEY), key=S3_KEY, status="DELETED")
    for params, number in (({}, 1), ({"deleted": True}, 1), ({"deleted": False}, 0), ({"status": "DONE"}, 0)):
        assert len(client.get("/api/v1/images", params={"key": S3_KEY, **params}).json()["items"]) == number


def test_a_list_without_deleted_images_does_not_read_them(fresh):
    fresh.sql(
        "INSERT INTO images (id, key, status, object_version, size, generation, run_id, attempts, variants,"
        " variants_removed, created_at, updated_at, version) SELECT gen_random_uuid(), number::text,"
        " CASE WHEN number < 20000 THEN 'DONE' ELSE 'DELETED' END, 'e/3/1', 3, 1, '', 1, '[]', true,"
        " now() - interval '1 day' + number * interval '1 second', now(), number"
        " FROM generate_series(1, 40000) AS number"
    )
    fresh.sql("ANALYZE images")
    states = [("DONE", None), ("FAILED", None), ("PENDING", None), ("PROCESSING", None), ("AWAITING_UPLOAD", None)]
    values = {
        "stored": [stored for stored, _ in states],
        "shown": [shown for _, shown in states],
        "limit": 50,
        "tenant": "",
    }
    plan = fresh.sql("EXPLAIN (ANALYZE, FORMAT JSON) " + _page(by_state=True, later=False), values)[0][0][0]["Plan"]

    def read(node):
        below = sum(map(read, node.get("Plans", [])))
        return below + (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]

    assert read(plan) < 2000


def test_the_upload_of_an_s3_client_is_found_by_its_key(fresh, client):
    def ask(**params):
        return client.get("/api/v1/images", params={"key": S3_KEY, **params}).json()["items"]

    assert ask() == []
    fresh.s3.put_object(Bucket=ORIGINALS, Key=S3_KEY, Body=b"x")
    [item] = ask()
    assert (item["id"], item["status"], item["bytes"]) == (str(image_id_of(S3_KEY)), "PENDING", 1)
    fresh.put_row(id=image_id_of(S3_KEY), key=S3_KEY)
    assert [item["status"] for item in ask()] == ["DONE"]
    assert ask(status="PENDING") == []
    assert client.get("/api/v1/images", params={"key": "a//b"}).json()["items"] == []
