"""Variants as defined by a presets file; an invalid file is rejected with its lines."""

import re

import pytest

from tests.support.images import opened, photo, red_quarter
from tests.support.system import PROCESSED

OWN = """\
version: 2026-11-22
presets:
  - {name: square, width: 100, height: 100, fit: cover, gravity: northwest}
  - {name: card, width: 300, height: 300, fit: contain, background: "#0000ff", format: png}
  - {name: wide, width: 400, quality: 60, format: webp}
  - {name: modern, height: 60, format: avif}
  - {name: big, width: 1000, enlarge: true, format: jpeg}
"""
MADE = {
    "square": ("image/jpeg", (100, 100), "JPEG", "jpg"),
    "card": ("image/png", (300, 300), "PNG", "png"),
    "wide": ("image/webp", (400, 300), "WEBP", "webp"),
    "modern": ("image/avif", (80, 60), "AVIF", "avif"),
    "big": ("image/jpeg", (1000, 750), "JPEG", "jpg"),
}


@pytest.fixture
def presets(tmp_path):
    return tmp_path / "presets.yaml"


def test_a_file_defines_the_variants(system, presets):
    presets.write_text(OWN)
    with system.restarted("thumbnailer", PRESETS_FILE=str(presets)):
        image = system.wait_status(system.post_form(photo(800, 600))["id"])
    original, *variants = image["variants"]
    assert original["type"] == "original"
    assert [variant["type"] for variant in variants] == list(MADE)
    thumbnails = {}
    for variant in variants:
        content_type, size, kind, extension = MADE[variant["type"]]
        answer = system.http.get(variant["url"])
        thumbnails[variant["type"]] = opened(answer.content)
        assert (answer.headers["content-type"], variant["content_type"]) == (content_type, content_type)
        assert (variant["width"], variant["height"]) == thumbnails[variant["type"]].size == size
        assert thumbnails[variant["type"]].format == kind
        assert "immutable" in answer.headers["cache-control"]
        assert re.search(r"\?v=[0-9a-f]{16}-2026-11-22\.\w+$", variant["url"])
        [key] = [key for key in system.keys(PROCESSED, f"{image['id']}/") if f"/{variant['type']}." in key]
        assert key.endswith(f".{extension}")
    assert red_quarter(system.thumbnail(image["id"], "wide")) == "left upper"
    card = thumbnails["card"].convert("RGB")
    assert (card.getpixel((150, 2)), card.getpixel((150, 297))) == ((0, 0, 255), (0, 0, 255))
    assert card.getpixel((40, 60))[0] > 150  # the photo lies in the middle, its red quarter left of it
    red, green, _ = thumbnails["square"].getpixel((45, 45))  # cut from the left, where the red is
    assert red > 150 > green


def test_other_presets_have_other_urls(system, presets):
    presets.write_text("version: 7\npresets: [{name: thumbnail, width: 32}]")
    before = system.wait_status(system.post_form(photo())["id"])
    with system.restarted("thumbnailer", PRESETS_FILE=str(presets)):
        after = system.wait_status(system.post_form(photo())["id"])
    _, old, *_ = before["variants"]
    _, new = after["variants"]
    assert new["width"] == 32
    assert old["url"].partition("?v=")[2].partition("-")[0] == new["url"].partition("?v=")[2].partition("-")[0]
    assert old["url"].rpartition("?v=")[2] != new["url"].rpartition("?v=")[2]
    assert opened(system.http.get(old["url"]).content).width == 256  # what is done stays


def test_an_invalid_file_is_rejected_with_every_line(system, presets):
    presets.write_text(OWN.replace("width: 400", "width: 0").replace("height: 60", "heigth: 60"))
    code, output = system.run_to_end("thumbnailer", PRESETS_FILE=str(presets))
    assert code == 2, output
    assert f"PRESETS_FILE: {presets}:5: presets[2].width: must be 1 to 16383, is 0" in output
    assert f"{presets}:6: presets[3].heigth: is not a known field" in output
    assert "Traceback" not in output


def test_a_missing_file_is_named(system, presets):
    code, output = system.run_to_end("thumbnailer", PRESETS_FILE=str(presets))
    assert (code, f"PRESETS_FILE: cannot read {presets}" in output) == (2, True), output
