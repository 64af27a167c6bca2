"""A format is detected by a file's first bytes, in the gateway and in the thumbnailer."""

import pytest

from thumbmill.core.formats import SIGNATURE_BYTES, detect_format


def ftyp(*brands, length=None):
    major, *compatible = brands
    body = major + bytes(4) + b"".join(compatible)
    return (len(body) + 8 if length is None else length).to_bytes(4) + b"ftyp" + body


def bmp(header_bytes, reserved=b"\0\0\0\0"):
    return b"BM\x36\x48\0\0" + reserved + b"\x36\0\0\0" + header_bytes.to_bytes(4, "little") + b"\x60\0\0\0"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\r", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (ftyp(b"avif", b"mif1", b"miaf"), "image/avif"),
        (ftyp(b"avis", b"msf1", b"iso8"), "image/avif"),
        (ftyp(b"mif1", b"miaf", b"MA1B", b"avif"), "image/avif"),  # the codec's brand is not the first
        (ftyp(b"MA1B", b"mif1"), "image/avif"),
        (ftyp(b"heic"), "image/heic"),
        (ftyp(b"mif1", b"miaf", b"MiHB", b"heic"), "image/heic"),
        (ftyp(b"MiHB", b"heic"), "image/heic"),
        (ftyp(b"msf1", b"hevc"), "image/heic"),
        (ftyp(b"mif1"), "image/heif"),
        (ftyp(b"isom", b"mp42"), None),  # a video
        (ftyp(b"isom", length=16) + b"heicheic", None),  # after the box there are no brands
        (ftyp(b"isom", *[b"mp42"] * 20, b"heic"), None),  # nor beyond the signature's length
        (b"II*\0\x08\0\0\0", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"MM\0+\0\x08\0\0", "image/tiff"),
        (b"MM*\0\0\0\0\x08", "image/tiff"),
        *((bmp(length), "image/bmp") for length in (12, 16, 40, 52, 56, 64, 108, 124)),
        (bmp(40, reserved=b"\x1d\0\x27\0"), "image/bmp"),  # a hot spot
        (bmp(41_000), None),
        (b"BMW is a company, and no image", None),
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
def test_the_first_bytes_decide_the_format(start, expected):
    signature = detect_format(start)
    assert (signature.content_type if signature else None) == expected
    assert detect_format(start[:SIGNATURE_BYTES] + bytes(1000)) == signature
