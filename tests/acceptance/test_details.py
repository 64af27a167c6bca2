"""Details of an original in the API."""

import base64
import hashlib
import io

from PIL import Image, ImageDraw

from tests.support.images import opened, photo, travel_photo
from tests.support.system import PRESETS


def test_a_photo_s_camera_is_shown_and_its_location_is_not(system):
    data = travel_photo()
    image = system.wait_status(system.post_form(data)["id"])
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert (image["format"], image["width"], image["height"], image["damaged"]) == ("JPEG", 600, 800, False)
    details = image["details"]
    red, green, blue = bytes.fromhex(details["dominant_colour"].removeprefix("#"))
    assert red == green == blue or red > 150 > green + blue  # one of the gradient's greys, or the red quarter
    assert 20 <= len(base64.b64decode(details["thumbhash"], validate=True)) <= 30
    assert details == {
        "frames": 1,
        "has_alpha": False,
        "colour_space": "sRGB",
        "dominant_colour": details["dominant_colour"],
        "thumbhash": details["thumbhash"],
        "taken_at": "2026-05-04T12:34:56+02:00",
        "camera": "Fairphone FP4",
        "lens": "28 mm f/1.8",
        "gps": None,
    }
    assert system.http.get("/api/v1/images", params={"key": image["key"]}).json()["items"] == [image]
    [done] = [event["data"] for event in system.events(image["id"]) if event["type"] == "image.done"]
    assert done["details"] == {name: value for name, value in details.items() if value is not None}
    for preset in PRESETS:
        variant = system.thumbnail(image["id"], preset)
        assert not opened(variant).getexif()
        for text in (b"Exif", b"Fairphone", b"28 mm"):
            assert text not in variant


def test_the_location_is_shown_if_a_setting_allows_it(system):
    with system.restarted("thumbnailer", EXPOSE_GPS="true"):
        observed = system.wait_status(system.post_form(travel_photo())["id"])
    assert (
        round(observed["details"]["gps"]["latitude"], 4),
        round(observed["details"]["gps"]["longitude"], 4),
    ) == (
        51.4778,
        -0.0015,
    )


def test_a_transparent_animation(system):
    frames = [Image.new("RGBA", (60, 40), (0, 0, 0, 0)) for _ in range(3)]
    for number, frame in enumerate(frames):
        ImageDraw.Draw(frame).rectangle((10 * number, 0, 10 * number + 30, 40), (30, 160, 60, 255))
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    details = system.wait_status(system.post_form(file.getvalue(), name="moving.webp")["id"])["details"]
    assert (details["frames"], details["has_alpha"], details["camera"]) == (3, True, None)
    red, green, blue = bytes.fromhex(details["dominant_colour"].removeprefix("#"))
    assert green > red
    assert green > blue


def test_a_damaged_photo_is_accepted_if_a_setting_allows_it(system):
    data = photo(800, 600)
    broken = data[: len(data) * 2 // 3]
    with system.restarted("thumbnailer", ACCEPT_DAMAGED="true"):
        image = system.wait_status(system.post_form(broken)["id"])
        whole = system.wait_status(system.post_form(data)["id"])
    assert (image["damaged"], whole["damaged"]) == (True, False)
    assert opened(system.thumbnail(image["id"])).size == (256, 192)
    refused = system.wait_status(system.post_form(broken)["id"], "FAILED")
    assert (refused["error"]["code"], refused["damaged"]) == ("unreadable_image", False)
    assert (refused["details"], refused["sha256"]) == (None, None)
