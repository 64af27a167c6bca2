import pytest

from thumbmill.core.formats import SIGNATURES
from thumbmill.gateway.http.media_types import (
    EXTENSIONS,
    SUPPORTED,
    content_type_of_format,
    normalize_content_type,
    safe_content_type,
    sniff,
)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.content_type)
def test_every_supported_format_has_a_content_type_and_an_extension(signature):
    assert signature.content_type in SUPPORTED
    assert EXTENSIONS[signature.content_type].isalpha()


def test_the_content_type_is_detected_from_the_first_bytes():
    assert sniff(b"\x89PNG\r\n\x1a\n") == "image/png"
    assert sniff(b"<svg xmlns=") is None


@pytest.mark.parametrize(
    "declared",
    ["text/html", "image/svg+xml", "application/pdf", None, "text/html; image/jpeg", "image/jpeg, text/html"],
)
def test_a_type_that_a_browser_may_execute_is_replaced(declared):
    assert safe_content_type(declared) == "application/octet-stream"


@pytest.mark.parametrize(
    ("declared", "meant"),
    [
        ("image/jpeg", "image/jpeg"),
        ("Image/JPEG; charset=binary", "image/jpeg"),
        (" image/jpg ", "image/jpeg"),
        ("IMAGE/PJPEG", "image/jpeg"),
        ("image/x-png", "image/png"),
        ("image/x-ms-bmp", "image/bmp"),
        ("image/tif", "image/tiff"),
        ("image/heif", "image/heif"),
        ("image/heic-sequence", "image/heic"),
        ("image/svg+xml", "image/svg+xml"),
        ("", ""),
        (None, ""),
    ],
)
def test_synonyms_of_content_types_are_normalized(declared, meant):
    assert normalize_content_type(declared) == meant
    assert safe_content_type(declared) == (meant if meant in SUPPORTED else "application/octet-stream")


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.content_type)
def test_a_format_has_the_declared_type_if_it_is_possible(signature):
    assert content_type_of_format(signature.format, signature.content_type) == signature.content_type
    assert content_type_of_format(signature.format, "text/html") in SUPPORTED


def test_a_format_overrides_the_declared_type():
    assert content_type_of_format("JPEG", "image/png") == "image/jpeg"
    assert content_type_of_format("HEIF", "image/heif") == "image/heif"
    assert content_type_of_format("HEIF", None) == "image/heic"
    assert content_type_of_format("SVG", "image/svg+xml") == "application/octet-stream"
