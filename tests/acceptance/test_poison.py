"""Files that are not images, and images that kill decoders: each is FAILED with its code and affects no other."""

import os
import random
from collections import Counter

from tests.support import hostile
from tests.support.images import faulty_photo, opened, photo, png_header
from tests.support.messages import settled, wait_idle
from tests.support.system import PROCESSED

# What is uploaded, the code it ends with, and whether another try may help. A decoder gets two seconds of CPU time.
POISON = {
    "notes.jpg": (b"Dear diary, this is not an image.\n" * 100, "unsupported_format", False),
    "empty.jpg": (b"", "empty_file", False),
    "truncated.jpg": (photo(1600, 1200)[:9000], "unreadable_image", False),
    "bomb.png": (png_header(30_000, 30_000), "image_too_large", False),
    "bomb.webp": (hostile.webp(13_300), "image_too_large", False),
    "scans.jpg": (hostile.jpeg_of_scans(20_000), "unreadable_image", False),
    "drawing.svg": (hostile.documents()["svg"], "unsupported_format", False),
    "crash.jpg": (faulty_photo("crash"), "decoder_crashed", False),
    "spin.jpg": (faulty_photo("spin"), "decoder_timeout", True),
    "memory.jpg": (faulty_photo("memory"), "decoder_out_of_memory", True),
}
GOOD = 20
KILLERS = {"crash": "decoder_crashed", "spin": "decoder_timeout", "memory": "decoder_out_of_memory"}


def test_poison_among_good_images(system, stack):
    pid, size_before = stack.pid("thumbnailer"), stack.log_path("thumbnailer").stat().st_size
    uploads = {f"poison/{name}": data for name, (data, _, _) in POISON.items()}
    uploads |= {f"poison/good {n}.jpg": photo(seed=n + 1) for n in range(GOOD)}
    keys = random.Random(1).sample(sorted(uploads), len(uploads))
    for key in keys:
        system.put(key, uploads[key])

    for key in keys:
        if key.startswith("poison/good"):
            image = system.wait_key(key)
            assert opened(system.thumbnail(image["id"])).size == (256, 192)
    failed = {name: system.wait_key(f"poison/{name}", "FAILED") for name in POISON}
    wait_idle(system)

    errors = {name: (image["error"]["code"], image["error"]["retryable"]) for name, image in failed.items()}
    assert errors == {name: (code, retryable) for name, (_, code, retryable) in POISON.items()}
    for name, image in failed.items():
        assert image["error"]["detail"], name
        assert image["attempts"] == 1, name
        assert [variant["type"] for variant in image["variants"]] == ["original"], name
        assert system.keys(PROCESSED, f"{image['id']}/") == [], name
        observed = Counter(system.timeline(image["id"]))
        assert (observed["image.processing"], observed["image.failed"], observed["image.done"]) == (1, 1, 0), name

    assert stack.pid("thumbnailer") == pid
    assert stack.is_running("thumbnailer")
    log = stack.log_path("thumbnailer").read_bytes()[size_before:].decode()
    assert log.count("decoder_died") == 6, "each of the three got a second try"
    for trouble in ("starting", "broker_lost", "Traceback"):
        assert trouble not in log
    for queue in ("image_queue", "image_queue.delay.5s", "image_queue.dead", "status_tracker.dead"):
        assert system.message_count(queue) == 0, queue


def test_one_killer_among_twenty_images_with_all_workers_busy(system, stack):
    """All images wait before the first is consumed, so that each killer is processed next to others."""
    with system.stopped("thumbnailer"):
        killers = {fault: f"killers/{fault}.jpg" for fault in KILLERS}
        good = [f"killers/good {n}.jpg" for n in range(20 * len(KILLERS))]
        for turn, (fault, key) in enumerate(killers.items()):
            twenty = good[20 * turn : 20 * turn + 20]
            for place, neighbour in enumerate(twenty):
                system.put(neighbour, photo(seed=1 + 20 * turn + place))
                if place == 7 + turn:
                    system.put(key, faulty_photo(fault))
    stack.wait_ready("thumbnailer")
    pid = stack.pid("thumbnailer")

    assert all(system.wait_key(key)["attempts"] == 1 for key in good)
    failed = {fault: system.wait_key(key, "FAILED") for fault, key in killers.items()}
    wait_idle(system)
    assert {fault: image["error"]["code"] for fault, image in failed.items()} == KILLERS
    assert {fault: image["attempts"] for fault, image in failed.items()} == dict.fromkeys(KILLERS, 1)
    for code in KILLERS.values():
        deaths = system.metric("THUMBNAILER_HEALTH_PORT", f'thumbmill_decoder_deaths_total{{code="{code}"}}')
        assert deaths == 2, f"{code}: one more try in a fresh child, and no third"
    settled_as = settled(system, "THUMBNAILER_HEALTH_PORT")
    rejected = system.metric("THUMBNAILER_HEALTH_PORT", 'thumbmill_events_processed_total{outcome="failed"}')
    assert rejected >= len(KILLERS)
    assert set(settled_as) == {"ack"}, "nothing was requeued or dead-lettered"
    assert stack.pid("thumbnailer") == pid
    assert stack.is_running("thumbnailer")


def test_one_slow_image_delays_no_other(system, stack):
    with system.restarted("thumbnailer", DECODE_TIMEOUT_SECONDS="120", THUMBNAILER_DECODERS="2"):
        slow = system.post_form(faulty_photo("spin"))["id"]
        system.wait_status(slow, "PROCESSING")
        others = [system.post_form(photo(seed=n + 1))["id"] for n in range(30)]
        for image_id in others:
            system.wait_status(image_id)
        assert system.image(slow)["status"] == "PROCESSING"
        stack.kill("thumbnailer")  # as it would wait for its messages in flight
    assert system.wait_status(slow, "FAILED")["error"]["code"] == "decoder_timeout"


def test_children_are_replaced_without_an_effect_on_images(system, stack):
    size_before = stack.log_path("thumbnailer").stat().st_size
    with system.restarted("thumbnailer", DECODER_RETIREMENT="2"):
        keys = [f"retirement/{n}.jpg" for n in range(12)]
        for n, key in enumerate(keys):
            system.put(key, photo(seed=1000 + n))
        assert [system.wait_key(key)["attempts"] for key in keys] == [1] * 12
        retired = system.metric("THUMBNAILER_HEALTH_PORT", "thumbmill_decoder_retirements_total")
        children = len(os.sched_getaffinity(0))
        assert retired >= (12 - 2 * children) / 2, "children are replaced after their share of images"
        log = stack.log_path("thumbnailer").read_bytes()[size_before:].decode()
    assert log.count("decoder_confined") + log.count("decoder_unconfined") == 1, "logged once, not for each child"
    assert "decoder_died" not in log
