"""Hostile images: what they may delay, kill, read and consume."""

import os
import signal

import psutil
import pytest

from tests.support import hostile
from tests.support.images import faulty_photo, photo
from tests.support.messages import settled
from tests.support.waiting import wait_until

PORT = "THUMBNAILER_HEALTH_PORT"
# Small or simple files that would cost seconds, gigabytes or a decoder process, each with its code.
COSTLY = {
    "first-frame.gif": (hostile.gif_with_frame(65535, 65535), "image_too_large"),
    "frame.webp": (hostile.webp_with_frame(2**24, 2**24), "image_too_large"),
    "frame.png": (hostile.apng_that_claims(2**31 - 1, 2**31 - 1), "image_too_large"),
    "pages.tif": (hostile.tiff_of_pages(100_000), "image_too_large"),
    "chunks.png": (hostile.png_of_chunks(1_000_000), "image_too_large"),
    "segments.jpg": (hostile.jpeg_of_segments(1_000_000), "image_too_large"),
    "filler.jpg": (hostile.jpeg_with_filler(30 * 2**20), "unreadable_image"),
    "nothing-but-filler.jpg": (hostile.jpeg_of_filler(30 * 2**20), "unreadable_image"),
    "scans.jpg": (hostile.jpeg_of_scans(90, edge=7100), "unreadable_image"),
    "items.heic": (hostile.heif_of_items(50_000), "image_too_large"),
    "grid.avif": (hostile.heif_of_grid(2**21, 2**21), "image_too_large"),
}
SLOW = hostile.png(4500, 4500)  # by its header, with four seconds for an image


def children(stack):
    return psutil.Process(stack.pid("thumbnailer")).children()


def slow_children(stack):
    """Return the children of lower priority."""
    usual = psutil.Process(stack.pid("thumbnailer")).nice()
    return [child for child in children(stack) if child.nice() > usual]


def deaths(system):
    codes = ("decoder_crashed", "decoder_timeout", "decoder_out_of_memory")
    died = [f'thumbmill_decoder_deaths_total{{code="{code}"}}' for code in codes]
    return sum(system.metric(PORT, name) for name in (*died, "thumbmill_decoder_interruptions_total"))


@pytest.fixture
def default_limits(system):
    """Yield a thumbnailer with the CPU time of the defaults, not the two seconds of the tests."""
    with system.restarted("thumbnailer", DECODE_TIMEOUT_SECONDS=""):
        yield


def test_an_expensive_image_is_rejected_at_no_cost(system, default_limits):
    before = deaths(system)
    for name, (data, _) in COSTLY.items():
        system.put(f"costly/{name}", data)
    failed = {name: system.wait_key(f"costly/{name}", "FAILED", timeout=120) for name in COSTLY}
    assert {name: image["error"]["code"] for name, image in failed.items()} == {
        name: code for name, (_, code) in COSTLY.items()
    }
    assert {image["attempts"] for image in failed.values()} == {1}
    assert deaths(system) == before


def test_slow_images_delay_no_others_and_are_done_in_turn(system, stack):
    """One decoder, and the one for slow images is frozen, as if each of them took forever."""
    settings = {"THUMBNAILER_DECODERS": "1", "DECODE_TIMEOUT_SECONDS": "4", "DECODE_SILENCE_SECONDS": "3000"}
    with system.restarted("thumbnailer", **settings):
        system.put("slow/first.png", SLOW)
        assert system.wait_key("slow/first.png", timeout=120)["attempts"] == 1
        (child,) = slow_children(stack)
        child.send_signal(signal.SIGSTOP)
        try:
            for n in range(6):
                system.put(f"slow/{n}.png", SLOW + bytes(n))
            wait_until(lambda: settled(system, PORT).get("delay", 0) >= 4, 120, "images without a free decoder")
            for n in range(10):
                system.put(f"slow/good {n}.jpg", photo(seed=n))
            assert {system.wait_key(f"slow/good {n}.jpg", timeout=120)["attempts"] for n in range(10)} == {1}
            states = {system.wait_key(f"slow/{n}.png", "PROCESSING")["status"] for n in range(6)}
            assert states == {"PROCESSING"}
        finally:
            child.send_signal(signal.SIGCONT)
        assert {system.wait_key(f"slow/{n}.png", timeout=300)["attempts"] for n in range(6)} == {1}


def test_a_stalled_decoder_does_not_fail_an_image(system, stack):
    with system.restarted("thumbnailer", THUMBNAILER_DECODERS="1", DECODE_SILENCE_SECONDS="1"):
        usual = [child for child in children(stack) if child.cpu_times().user > 0]
        for child in usual:  # with the spare
            child.send_signal(signal.SIGSTOP)
        image_id = system.post_form(photo(seed=77))["id"]
        image = system.wait_status(image_id, timeout=120)
        assert image["attempts"] >= 2
        assert "image.retrying" in system.timeline(image_id)
        assert "image.failed" not in system.timeline(image_id)


def test_an_image_that_stalls_is_tried_again_later(system):
    with system.restarted("thumbnailer", DECODE_SILENCE_SECONDS="1"):
        image_id = system.post_form(faulty_photo("hang"))["id"]
        wait_until(lambda: "image.retrying" in system.timeline(image_id), 60, "another attempt")
        assert system.image(image_id)["status"] == "PROCESSING"
        assert system.http.delete(f"/api/v1/images/{image_id}").is_success


def test_decoders_of_root_run_as_other_users(stack):
    if os.getuid() == 0:
        pair = children(stack)
        assert pair
        wait_until(lambda: all(0 not in child.uids() for child in children(stack)), 30, "users without rights")
