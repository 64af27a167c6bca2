"""Images that are deleted or replaced at every stage of processing."""

import pytest

from tests.support.fault_injection.launch import crashing
from tests.support.images import photo, red_quarter
from tests.support.messages import wait_tracker
from tests.support.system import PRESETS, PROCESSED, problem
from tests.support.waiting import wait_until

IMAGES = "/api/v1/images"


def delete(system, image_id):
    answer = system.http.delete(f"{IMAGES}/{image_id}")
    assert answer.status_code == 202, answer.text


def in_flight(system):
    """Return the number of messages that the thumbnailer is processing."""
    return system.metric("THUMBNAILER_HEALTH_PORT", 'thumbmill_messages_in_progress{queue="image_queue"}')


def assert_deleted(system, image):
    """Check the API's representation of a deleted image."""
    observed = system.image(image["id"])
    assert (observed["status"], observed["variants"], observed["error"]) == ("DELETED", [], None)
    for variant in ("original", "thumbnail", "poster"):
        assert problem(system.http.get(f"{IMAGES}/{image['id']}/variants/{variant}"), 410) == "gone"
    assert system.keys("images-original", image["key"]) == []


def test_deleted_after_processing(system):
    image = system.wait_status(system.post_form(photo())["id"])
    delete(system, image["id"])
    system.wait_status(image["id"], "DELETED", timeout=10)
    timeline = system.wait_removed(image["id"])
    assert "storage.ObjectRemoved:Delete" in timeline
    assert_deleted(system, image)
    for variant in image["variants"]:
        assert system.http.get(variant["url"]).status_code == 410
    delete(system, image["id"])  # repeating it is no error


def test_deleted_by_an_s3_client(system):
    system.put("deleted/by-s3.jpg", photo())
    image = system.wait_key("deleted/by-s3.jpg")
    system.s3.delete_object(Bucket="images-original", Key=image["key"])
    system.wait_removed(image["id"])
    assert_deleted(system, image)


def test_deleted_before_processing(system):
    with system.stopped("thumbnailer"):
        image = system.post_form(photo())
        system.wait_status(image["id"], "PENDING")
        delete(system, image["id"])
        system.wait_status(image["id"], "DELETED")
    timeline = system.wait_removed(image["id"])
    assert not {"image.processing", "image.done", "image.failed"} & set(timeline)
    assert_deleted(system, image)


def test_deleted_while_it_is_decoded(system):
    image = system.post_form(photo(7000, 7000, kind="PNG"), name="large.png")  # takes long to decode
    wait_until(lambda: (system.image(image["id"]) or {}).get("status") == "PROCESSING")
    with system.frozen("thumbnailer"):
        wait_tracker(system)
        assert system.image(image["id"])["status"] == "PROCESSING", "too late: it is done already"
        delete(system, image["id"])
        system.wait_status(image["id"], "DELETED")
    wait_until(lambda: in_flight(system) == 0, what="the thumbnailer to finish it")
    wait_tracker(system)
    timeline = system.wait_removed(image["id"])
    assert "image.processing" in timeline
    assert not {"image.done", "image.failed"} & set(timeline)
    assert_deleted(system, image)


@pytest.mark.parametrize("point", ["after_fetch", "after_put", "before_publish", "after_publish"])
def test_deleted_while_a_killed_thumbnailer_is_down(system, point):
    system.stack.restart("thumbnailer", command=crashing(system.stack, "thumbnailer", point))
    image = system.post_form(photo())
    assert system.stack.wait_exit("thumbnailer", 20) == -9
    stored = system.keys(PROCESSED, f"{image['id']}/")
    assert len(stored) == (0 if point == "after_fetch" else len(PRESETS))
    delete(system, image["id"])
    system.wait_status(image["id"], "DELETED")
    system.stack.start("thumbnailer")
    system.wait_removed(image["id"])
    assert_deleted(system, image)


def test_replaced_while_a_killed_thumbnailer_is_down(system):
    system.stack.restart("thumbnailer", command=crashing(system.stack, "thumbnailer", "before_publish"))
    system.put("replaced/while.jpg", photo(seed=1))
    assert system.stack.wait_exit("thumbnailer", 20) == -9
    system.put("replaced/while.jpg", photo(seed=2, orientation=3))
    system.stack.start("thumbnailer")
    image = system.wait_generation(system.image_of("replaced/while.jpg")["id"], 2)
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert system.timeline(image["id"]).count("image.done") == 1


def test_replaced_after_processing(system):
    system.put("replaced/after.jpg", photo())
    first = system.wait_key("replaced/after.jpg")
    system.put("replaced/after.jpg", photo(orientation=3))
    second = system.wait_generation(first["id"], 2)
    assert red_quarter(system.thumbnail(first["id"])) == "right lower"
    assert second["variants"][1]["url"] != first["variants"][1]["url"]
    assert second["created_at"] == first["created_at"]


def test_replaced_by_a_text_file_and_back(system):
    system.put("replaced/by-text.jpg", photo())
    image = system.wait_key("replaced/by-text.jpg")
    system.put("replaced/by-text.jpg", b"hello, I am text")
    failed = wait_until(lambda: [i for i in [system.image(image["id"])] if i["status"] == "FAILED"])[0]
    assert (failed["generation"], failed["error"]["code"]) == (2, "unsupported_format")
    assert system.http.get(f"{IMAGES}/{image['id']}/variants/thumbnail").status_code == 404
    system.put("replaced/by-text.jpg", photo(seed=5))
    repaired = system.wait_generation(image["id"], 3)
    assert repaired["error"] is None


def test_deleted_and_uploaded_again(system):
    system.put("again.jpg", photo())
    image = system.wait_key("again.jpg")
    delete(system, image["id"])
    system.wait_removed(image["id"])
    system.put("again.jpg", photo())
    again = system.wait_generation(image["id"], 2)
    assert red_quarter(system.thumbnail(image["id"])) == "left upper"
    assert len(system.keys(PROCESSED, f"{again['id']}/")) == len(PRESETS)
