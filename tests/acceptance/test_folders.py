"""Folders, as consoles and file managers create them in a bucket: not images, and no obstacle to images inside."""

from tests.support.images import photo
from tests.support.messages import wait_idle, wait_tracker
from tests.support.operator_cli import thumbmill


def ids(system, folder):
    """Return the ids that the timeline may have for a key, if it became an image."""
    return system.query("SELECT id FROM images WHERE key = %s", folder)


def test_a_folder_is_not_an_image_but_its_content_is(system):
    dead = [system.message_count(queue) for queue in ("image_queue.dead", "status_tracker.dead")]
    for folder in ("folder/", "folder/with ä/", "/".join(["deep"] * 20) + "/"):
        system.put(folder, b"")
        image = system.put(f"{folder}photo.jpg", photo()) and system.wait_key(f"{folder}photo.jpg")
        assert image["status"] == "DONE"
        assert ids(system, folder) == []
        assert system.image_of(folder) is None
    wait_idle(system)
    thumbmill(system, "reconcile")
    wait_idle(system)
    assert ids(system, "folder/") == []
    assert [system.message_count(queue) for queue in ("image_queue.dead", "status_tracker.dead")] == dead
    system.s3.delete_object(Bucket="images-original", Key="folder/")
    wait_tracker(system)
    wait_idle(system)
    assert ids(system, "folder/") == []
    assert system.image_of("folder/photo.jpg")["status"] == "DONE"


def test_an_image_whose_key_ends_in_a_slash_is_deleted_when_a_folder_replaces_it(system):
    system.put("album/", photo())
    image = system.wait_key("album/")
    system.put("album/", b"")
    system.wait_removed(image["id"])
    system.put("album/", photo(seed=2))
    system.wait_generation(image["id"], 2)


def test_an_empty_file_is_still_a_failed_image(system):
    system.put("empty.jpg", b"")
    assert system.wait_key("empty.jpg", "FAILED")["error"]["code"] == "empty_file"
