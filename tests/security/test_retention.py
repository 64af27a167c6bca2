"""Retention: unused tickets, rows of deleted images, and personal data."""

from contextlib import ExitStack

from tests.support.images import photo
from tests.support.system import problem
from tests.support.waiting import wait_until

IMAGES, TICKETS = "/api/v1/images", "/api/v1/uploads"
LIMIT = 20
NAME = "Jane Doe's passport.jpg"


def ask_for_ticket(system, **headers):
    return system.http.post(TICKETS, json={"content_type": "image/jpeg", "file_name": NAME}, headers=headers)


def rows_of(system, ids):
    """Return the number of rows and timeline events of these images."""
    tables = ("images WHERE id", "events WHERE image_id")
    return [system.query(f"SELECT count(*) FROM {table} = ANY(%s::uuid[])", ids)[0][0] for table in tables]  # noqa: S608


def test_unused_tickets_do_not_grow_the_database_forever(system):
    with ExitStack() as stack:
        settings = {"MAX_TICKETS_PER_MINUTE": str(LIMIT), "TICKET_LIFETIME_SECONDS": "1", "API_KEYS": "a-key,b-key"}
        stack.enter_context(system.restarted("gateway", **settings))
        stack.enter_context(system.restarted("status-tracker", EXPIRED_RETENTION_SECONDS="1"))
        answers = [ask_for_ticket(system, **{"X-API-Key": "a-key"}) for _ in range(LIMIT + 15)]
        given = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code != 201]
        assert len(given) >= LIMIT
        assert refused, "more tickets than the limit allows, with those that it regained during the requests"
        assert {problem(answer, 429) for answer in refused} == {"rate_limited"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert ask_for_ticket(system, **{"X-API-Key": "b-key"}).status_code == 201, (
            "another client has its own limit"
        )
        wait_until(lambda: rows_of(system, given) == [0, 0], 60, "unused tickets to be purged")
        response = system.http.get(f"{IMAGES}/{given[0]}", headers={"X-API-Key": "a-key"})
        assert problem(response, 404) == "image_not_found"


def test_without_keys_all_clients_share_one_limit(system):
    with system.restarted("gateway", MAX_TICKETS_PER_MINUTE=str(LIMIT)):
        answers = [ask_for_ticket(system) for _ in range(LIMIT + 15)]
        assert 429 in {answer.status_code for answer in answers}


def test_a_deletion_removes_all_personal_data(system):
    key = "clients/Jane Doe/passport.jpg"
    system.put(key, photo(), Metadata={"file-name": NAME.replace(" ", "%20").replace("'", "%27")})
    by_s3 = system.wait_key(key)
    assert by_s3["file_name"] == NAME
    posted = system.post_form(photo(seed=2), name=NAME)
    ids = [by_s3["id"], posted["id"]]
    digests = [by_s3["sha256"][:16], system.wait_status(posted["id"])["sha256"][:16]]
    for image_id in ids:
        system.http.delete(f"{IMAGES}/{image_id}")
        system.wait_removed(image_id)
    wait_until(lambda: system.image(by_s3["id"])["key"] is None, 30, "the key to be forgotten")
    found = system.query("SELECT to_jsonb(images)::text FROM images WHERE id = ANY(%s::uuid[])", ids)
    found += system.query("SELECT to_jsonb(events)::text FROM events WHERE image_id = ANY(%s::uuid[])", ids)
    assert len(found) > len(ids)
    for (text,) in found:
        for personal in ("Jane", "passport", "thumbhash", "#", *digests):
            assert personal not in text, text
    assert system.image_of(key)["status"] == "DELETED", "found by its key all the same"
    for event in system.events(posted["id"]):
        assert "file_name" not in event["data"]


def test_a_deleted_image_is_unknown_after_its_retention_and_late_events_change_nothing(system):
    image = system.wait_status(system.post_form(photo())["id"])
    observed = [event for event in system.events(image["id"]) if event["type"] == "storage.ObjectCreated:Put"]
    system.http.delete(f"{IMAGES}/{image['id']}")
    system.wait_removed(image["id"])
    with system.restarted("status-tracker", DELETED_RETENTION_SECONDS="1"):
        wait_until(lambda: system.image(image["id"]) is None, 60, "the id to be unknown")
        assert rows_of(system, [image["id"]]) == [0, 0]
        system.publish_storage_event(storage_event(image["key"], observed[0]), key="durable")
        wait_until(lambda: "DELETED" not in str(system.image(image["id"])), 5, "no row")
        assert rows_of(system, [image["id"]])[0] == 0


def storage_event(key, event):
    """Publish the event of an object once more."""
    etag, size, _ = event["object_version"].split("/")
    stored_object = {
        "key": key.replace("/", "%2F"),
        "size": int(size),
        "eTag": etag,
        "sequencer": event["data"]["sequencer"],
    }
    s3 = {"bucket": {"name": "images-original"}, "object": stored_object}
    record = {"eventName": "s3:ObjectCreated:Put", "s3": s3}
    return {"EventName": "s3:ObjectCreated:Put", "Key": f"images-original/{key}", "Records": [record]}
