"""Uploads that wait for their thumbnails, and streams that show how they come to be."""

import httpx

from tests.support.images import photo
from tests.support.sse import read_events


def test_an_upload_that_waits_gets_its_thumbnails(system):
    answer = upload(system, photo(), batch="waits-1")
    image = answer.json()
    assert (answer.status_code, image["status"], image["batch"]) == (201, "DONE", "waits-1")
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert answer.headers["Location"].endswith(image["id"])
    assert system.http.get(image["variants"][-1]["url"]).status_code == 200
    assert system.image(image["id"]) == image
    with system.http.stream("GET", f"/api/v1/images/{image['id']}/stream") as stream:
        events = list(read_events(stream.iter_lines()))
    assert [event.type for event in events] == ["hello", "image.done"]
    assert events[1].data["data"] == image
    batch = system.http.get("/api/v1/batches/waits-1", headers={"Prefer": "wait=30"}).json()
    assert (batch["counts"], batch["finished"], batch["event_id"]) == ({"DONE": 1}, True, image["event_id"])


def test_an_upload_that_waits_gets_the_reason_of_a_failure(system):
    answer = upload(system, photo()[:3000])
    assert (answer.status_code, answer.json()["status"]) == (201, "FAILED")
    assert answer.json()["error"]["code"] == "unreadable_image"


def test_an_upload_does_not_wait_longer_than_its_client(system):
    with system.frozen("thumbnailer"):
        answer = upload(system, photo(), wait=1)
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        assert answer.headers["Preference-Applied"] == "wait=1"
        assert answer.headers["Retry-After"] == "1"
        image_id = answer.json()["id"]
    done = system.http.get(f"/api/v1/images/{image_id}", params={"wait": 30}, timeout=60).json()
    assert done["status"] == "DONE"
    deleted = system.http.delete(f"/api/v1/images/{image_id}", headers={"Prefer": "wait=30"}, timeout=60)
    assert (deleted.status_code, deleted.json()["status"]) == (200, "DELETED")


def upload(system, data, *, wait=30, **parameters) -> httpx.Response:
    return system.http.post(
        "/api/v1/images",
        params=parameters,
        files={"file": ("photo.jpg", data, "image/jpeg")},
        headers={"Prefer": f"wait={wait}"},
        timeout=60,
    )
