import pytest

from gateway.sniff import harmless, sniff


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\r", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypmif1", "image/heif"),
        (b"\0\0\0\x18ftypisom", None),  # a film
        (b"II*\0\x08\0\0\0", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"BM\x36\0\x0c\0\0\0\0\0", "image/bmp"),
        (b"BMW is no picture", None),
        (b"%PDF-1.7", None),
        (b"8BPS\0\x01", None),
        (b"%!PS-Adobe-3.0", None),
        (b"\0\0\x01\0\x01\0", None),  # an icon
        (b"RIFF", None),
        (b"\xff\xd8", None),
        (b"<svg xmlns=", None),
        (b"<!DOCTYPE html>", None),
        (b"", None),
    ],
)
def test_content_decides(start, expected):
    assert sniff(start) == expected


@pytest.mark.parametrize(
    "declared", ["text/html", "image/svg+xml", "application/pdf", None, "image/jpeg; x=<script>"]
)
def test_what_a_browser_might_run_is_not_said(declared):
    assert harmless(declared) == "application/octet-stream"
