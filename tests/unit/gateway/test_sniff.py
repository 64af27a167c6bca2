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
