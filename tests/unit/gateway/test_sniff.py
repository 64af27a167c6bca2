import pytest

from gateway.sniff import EXTENSIONS, SUPPORTED, harmless, sniff
from pipeline.signatures import SIGNATURES


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.content_type)
def test_every_format_that_is_taken_has_its_content_type_and_extension(signature):
    assert signature.content_type in SUPPORTED
    assert EXTENSIONS[signature.content_type].isalpha()


def test_content_decides():
    assert sniff(b"\x89PNG\r\n\x1a\n") == "image/png"
    assert sniff(b"<svg xmlns=") is None


@pytest.mark.parametrize(
    "declared", ["text/html", "image/svg+xml", "application/pdf", None, "image/jpeg; x=<script>"]
)
def test_what_a_browser_might_run_is_not_said(declared):
    assert harmless(declared) == "application/octet-stream"
