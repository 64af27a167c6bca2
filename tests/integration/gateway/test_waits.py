"""Waits for changes, and batches, with a real Postgres: the tests write the changes."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.live import SECONDS, Stream, metric
from tests.support.waiting import wait_until


def test_a_list_waits_for_the_first_change(fresh, client):
    with ThreadPoolExecutor() as pool:
        start = client.get("/api/v1/changes").json()["next"]
        waiting = pool.submit(client.get, "/api/v1/changes", params={"after": start, "wait": 25})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
        image_id = fresh.put_changes("PENDING")
        answer = waiting.result(SECONDS)
    assert [item["data"]["id"] for item in answer.json()["items"]] == [str(image_id)]
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert answer.headers["Vary"] == "Prefer"
    empty = client.get("/api/v1/changes", params={"after": answer.json()["next"]}, headers={"Prefer": "wait=1"})
    assert (empty.json()["items"], empty.headers["Preference-Applied"]) == ([], "wait=1")


def test_an_image_is_waited_for(fresh, client):
    image_id = fresh.put_changes("PENDING")
    path = f"/api/v1/images/{image_id}"
    etag = client.get(path).headers["ETag"]
    with ThreadPoolExecutor() as pool:
        final = pool.submit(client.get, path, headers={"Prefer": "wait=25"})
        changed = pool.submit(client.get, path, headers={"Prefer": "wait=25", "If-None-Match": etag})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 2, what="waiting clients")
        fresh.put_changes("PROCESSING", image_id=image_id)
        assert changed.result(SECONDS).json()["status"] == "PROCESSING"
        fresh.put_changes("FAILED", image_id=image_id)
        assert final.result(SECONDS).json()["status"] == "FAILED"
    answer = client.get(path, headers={"Prefer": "wait=1", "If-None-Match": final.result().headers["ETag"]})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, "wait=1")


def test_a_client_that_leaves_ends_its_wait(fresh, client, port):
    waiting = Stream(port, "/api/v1/changes?wait=30")
    wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
    waiting.close()
    wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 0, 10, "the wait to end")


def test_a_batch_is_finished_when_the_tracker_has_caught_up(fresh, client):
    path = "/api/v1/batches/trip-7"
    assert client.get(path).json() == {
        "batch": "trip-7",
        "total": 0,
        "counts": {},
        "finished": False,
        "event_id": None,
    }
    first, second = fresh.put_changes("DONE", batch="trip-7"), fresh.put_changes("PENDING", batch="trip-7")
    fresh.put_changes("DONE", batch="other")
    pending = client.get(path)
    assert (pending.json()["counts"], pending.json()["finished"]) == ({"DONE": 1, "PENDING": 1}, False)
    assert pending.headers["Retry-After"] == "1"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, path, headers={"Prefer": "wait=25"})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
        fresh.put_changes("FAILED", image_id=second, batch="trip-7")
        unsure = client.get(path)  # a later upload may be stored and not yet recorded
        assert (unsure.json()["counts"], unsure.json()["finished"]) == ({"DONE": 1, "FAILED": 1}, False)
        fresh.catch_up()
        finished = waiting.result(SECONDS)
    assert finished.json()["finished"]
    assert "Retry-After" not in finished.headers
    last = client.get(f"/api/v1/images/{second}").json()["event_id"]
    assert finished.json()["event_id"] == last
    same = client.get(path, headers={"If-None-Match": finished.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    for parameters, found in (({}, [second, first]), ({"status": "FAILED"}, [second])):
        listed = client.get("/api/v1/images", params={"batch": "trip-7", **parameters}).json()
        assert [item["id"] for item in listed["items"]] == [str(image_id) for image_id in found]
    assert client.get("/api/v1/batches/not a label").status_code == 422
