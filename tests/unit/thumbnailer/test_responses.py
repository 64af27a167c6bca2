"""The responses of a child, and how the parent rejects malformed ones."""

import pytest

from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import Cost, SlowImageError, UndecodableImageError
from thumbmill.thumbnailer.presets.model import Preset
from thumbmill.thumbnailer.sandbox.responses import ChildError, parse_response

OPTIONS = make_options(Preset("small", 64), Preset("large", 640))
DETAILS = {"frames": 1, "has_alpha": False, "colour_space": "sRGB", "dominant_colour": "#808080", "thumbhash": ""}
JPEG, WEBP = b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP"


def variant(preset="small", **changed):
    return {"preset": preset, "content_type": "image/jpeg", "width": 64, "height": 48} | changed


def image(**changed):
    fields = {"format": "JPEG", "width": 640, "height": 480, "details": DETAILS}
    return {"image": fields | {"variants": [variant(), variant("large", width=640)]} | changed}


def with_details(**changed):
    return image(details=DETAILS | changed)


def with_first(**changed):
    return image(variants=[variant(**changed), variant("large")])


def read(answer, parts=(JPEG, JPEG)):
    return parse_response(answer, list(parts), OPTIONS)


def test_a_valid_response_is_parsed():
    image = read(with_details(gps={"latitude": 51.5, "longitude": 0}))
    assert image.details.gps.latitude == 51.5
    assert [each.preset for each in image.variants] == ["small", "large"]
    assert read(with_first(content_type="image/webp"), (WEBP, JPEG)).variants[0].extension == "webp"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            {"rejected": "unreadable_image", "detail": "no end"},
            UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "no end"),
        ),
        ({"slow": {"seconds": 5, "memory_bytes": 7}}, SlowImageError(Cost(5, 7))),
        ({"out_of_memory": True}, ChildError(ErrorCode.DECODER_OUT_OF_MEMORY, "it reached its memory limit")),
        ({"error": "KeyError"}, ChildError(ErrorCode.DECODER_CRASHED, "KeyError")),
    ],
)
def test_reported_errors_are_raised(answer, error):
    with pytest.raises(type(error)) as raised:
        read(answer, ())
    assert raised.value.args == error.args


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"image": {}},
        {"image": []},
        {"image": "x"},
        {"image": None},
        image(format="EXE"),
        image(width="wide"),
        image(width=0),
        image(height=-1),
        image(width=2**63),
        image(details=None),
        image(details=[]),
        image(variants=None),
        image(variants={}),
        image(variants="ab"),
        image(variants=[]),
        image(variants=[variant()]),
        image(variants=[variant(), variant()]),
        image(variants=[variant("large"), variant()]),
        image(variants=[1, 2]),
        image(variants=[variant(), {}]),
        with_first(preset="../../other"),
        with_first(preset=["small"]),
        with_first(width=0),
        with_first(height=10**9),
        with_first(content_type="text/html"),
        with_first(content_type="image/svg+xml"),
        with_first(content_type="image/png"),
        with_details(frames=0),
        with_details(frames="many"),
        with_details(gps={"latitude": 999, "longitude": 0}),
        with_details(gps={"latitude": float("nan"), "longitude": 0}),
        {"rejected": "no such code", "detail": ""},
        {"rejected": "attempts_exhausted", "detail": ""},
        {"rejected": "empty_file", "detail": ""},
        {"rejected": ["unreadable_image"], "detail": ""},
        {"rejected": "unreadable_image", "detail": 7},
        {"slow": {}},
        {"slow": {"seconds": "long", "memory_bytes": 1}},
        {"slow": 1},
        {"out_of_memory": 1.5},
        {"error": {"a": 1}},
    ],
    ids=str,
)
def test_a_malformed_response_raises_value_error(answer):
    with pytest.raises(ValueError):  # noqa: PT011 - with any text
        read(answer)


@pytest.mark.parametrize("parts", [(), (JPEG,), (JPEG, JPEG, JPEG), (JPEG, b""), (b"<html>", JPEG), (JPEG, WEBP)])
def test_a_variant_has_the_signature_of_its_content_type(parts):
    with pytest.raises(ValueError):  # noqa: PT011 - with any text
        read(image(), parts)


def test_text_of_a_child_is_short_and_printable():
    with pytest.raises(UndecodableImageError) as raised:
        read({"rejected": "unreadable_image", "detail": "\x1b[2J" + "x" * 9999})
    assert raised.value.detail.startswith("\N{REPLACEMENT CHARACTER}[2Jx")
    assert len(raised.value.detail) == 200
    with pytest.raises(ChildError) as raised:
        read({"error": "\x1b" * 99_999})
    assert raised.value.detail == "\N{REPLACEMENT CHARACTER}" * 2000
