"""The DC-only decoder leaves unusual files to libjpeg, and all files that libjpeg warns about."""

import random

import pytest

from tests.unit.thumbnailer.jpegs import SAMPLINGS, decode_by_libjpeg, decode_dc_only, jpeg
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging import pipeline
from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

pytestmark = pytest.mark.slow


def renamed(data):
    """Name the components R, G and B, and remove what identifies them as Y, Cb and Cr."""
    frame = data.index(b"\xff\xc0") + 10
    scan = data.index(b"\xff\xda") + 5
    changed = bytearray(data)
    for number, name in enumerate(b"RGB"):
        changed[frame + 3 * number] = changed[scan + 2 * number] = name
    return bytes(changed).replace(b"JFIF", b"JFXX")


def with_adobe(data, transform):
    return data[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,)) + data[2:]


LEFT_TO_LIBJPEG = {
    "CMYK": jpeg("CMYK"),
    "RGB by component identifiers": renamed(jpeg()),
    "RGB by Adobe's segment": with_adobe(jpeg().replace(b"JFIF", b"JFXX"), 0),
    "12 bits": jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "arithmetic coding": jpeg().replace(b"\xff\xc0", b"\xff\xc9"),
    "JFIF 2.01": jpeg().replace(b"JFIF\0\1", b"JFIF\0\2"),
    "no scan": jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9",
    "no end": jpeg()[:-2],
    "empty": b"",
}


@pytest.mark.parametrize("name", LEFT_TO_LIBJPEG)
def test_other_kinds_are_left_to_libjpeg(name):
    for room in (38 * 51, 38 * 51 * 4):
        assert not jpeg_dc_only.decode(LEFT_TO_LIBJPEG[name], bytearray(room))


@pytest.mark.parametrize("name", ["CMYK", "RGB by component identifiers", "RGB by Adobe's segment"])
def test_files_that_are_left_to_libjpeg_have_thumbnails(name):
    big = {"CMYK": jpeg("CMYK", (3200, 2400)), "RGB by component identifiers": renamed(jpeg(size=(3200, 2400)))}
    data = big.get(name) or with_adobe(jpeg(size=(3200, 2400)).replace(b"JFIF", b"JFXX"), 0)
    assert pipeline.process_image(data, make_options()).variants[0].width == 256


def test_the_buffer_must_have_the_exact_size():
    data = jpeg()
    assert jpeg_dc_only.decode(data, bytearray(51 * 38 * 4))
    assert not jpeg_dc_only.decode(data, bytearray(51 * 38 * 4 - 1))
    assert not jpeg_dc_only.decode(data, bytearray(51 * 38 * 4 + 1))


@pytest.mark.parametrize("restarts", [{}, {"restart_marker_blocks": 5}], ids=["", "restarts"])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("seed", range(20))
def test_files_that_libjpeg_warns_about_are_left_to_it(seed, subsampling, restarts):
    chance = random.Random(f"{seed} {subsampling} {restarts}")
    data = bytearray(jpeg(subsampling=subsampling, **restarts))
    start = data.index(b"\xff\xda")
    for _ in range(chance.choice([1, 1, 3, 100])):
        data[chance.randrange(start, len(data) - 2)] ^= 1 << chance.randrange(8)
    pixels = decode_dc_only(bytes(data))
    assert pixels is None or pixels == decode_by_libjpeg(bytes(data))


def with_one_more_code(data, bits, symbol):
    """Add a code to the first Huffman table for DC coefficients."""
    start = data.index(b"\xff\xc4\x00\x1f\x00")
    counts = bytearray(data[start + 5 : start + 21])
    end = start + 21 + sum(counts)
    counts[bits - 1] += 1
    symbols = data[start + 21 : end] + bytes((symbol,))
    return data[:start] + b"\xff\xc4\x00\x20\x00" + counts + symbols + data[end:]


@pytest.mark.parametrize(("bits", "symbol"), [(9, 12), (10, 16)], ids=["a code of ones", "a value of 16 bits"])
def test_a_huffman_table_that_libjpeg_rejects_is_left_to_it(bits, symbol):
    valid, invalid = with_one_more_code(jpeg(), 10, 12), with_one_more_code(jpeg(), bits, symbol)
    assert decode_dc_only(valid) == decode_by_libjpeg(valid)
    assert "Bogus Huffman table" in decode_by_libjpeg(invalid)
    assert decode_dc_only(invalid) is None


def with_segment(data, marker, body):
    return data[:2] + b"\xff" + bytes((marker,)) + (len(body) + 2).to_bytes(2) + body + data[2:]


def with_longer_header(data, marker, more):
    """Append bytes to the first segment with a marker."""
    at = data.index(bytes((0xFF, marker))) + 2
    length = int.from_bytes(data[at : at + 2])
    return data[:at] + (length + more).to_bytes(2) + data[at + 2 : at + length] + bytes(more) + data[at + length :]


def with_large_mcus():
    """Return a grey JPEG with MCUs of twelve blocks, each of which has a DC difference of 0 and an end of block."""
    data = bytearray(jpeg(size=(16, 16), subsampling="4:4:4", quality=75))
    for number in range(3):
        data[data.index(b"\xff\xc0") + 11 + 3 * number] = 0x22
    bits = 4 * "001010" + 8 * "0000"
    return bytes(data[: data.index(b"\xff\xda") + 14]) + int(bits, 2).to_bytes(len(bits) // 8) + b"\xff\xd9"


REJECTED = {
    "a fifth quantization table": with_segment(jpeg(), 0xDB, b"\4" + 64 * b"\1"),
    "a fifth Huffman table": with_segment(jpeg(), 0xC4, b"\4" + 16 * b"\0"),
    "a restart interval of three bytes": with_segment(jpeg(), 0xDD, b"\0\0\0"),
    "a frame header with surplus bytes": with_longer_header(jpeg(), 0xC0, 3),
    "a scan header with surplus bytes": with_longer_header(jpeg(), 0xDA, 1),
    "more than ten blocks in an MCU": with_large_mcus(),
}


@pytest.mark.parametrize("name", REJECTED)
def test_headers_that_libjpeg_rejects_are_left_to_it(name):
    assert isinstance(decode_by_libjpeg(REJECTED[name]), str)
    assert decode_dc_only(REJECTED[name]) is None


def test_a_truncated_jfif_segment_does_not_determine_the_colour_space():
    data = with_segment(renamed(jpeg()), 0xE0, b"JFIF\0\1\1")
    assert isinstance(decode_by_libjpeg(data), bytes)
    assert decode_dc_only(data) is None


def test_a_scan_without_a_frame_is_left_to_libjpeg():
    data = jpeg()
    assert not jpeg_dc_only.decode(data[:2] + data[data.index(b"\xff\xda") :], bytearray())


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("table", [0, 1], ids=["luma", "chroma"])
def test_values_far_out_of_range_are_left_to_libjpeg(table, progressive):
    data = bytearray(jpeg(quality=100, subsampling="4:2:0", progressive=progressive))
    data[data.index(b"\xff\xdb\x00C" + bytes((table,))) + 5] = 255  # the quantization of DC coefficients
    assert isinstance(decode_by_libjpeg(bytes(data)), bytes)
    assert decode_dc_only(bytes(data)) is None


@pytest.mark.parametrize(
    ("progressive", "part"), [(False, 0.1), (False, 0.5), (False, 0.9), (False, 0.98), (True, 0.1), (True, 0.4)]
)
def test_a_truncated_file_is_left_to_libjpeg_and_rejected(part, progressive):
    data = jpeg(size=(3208, 2400), progressive=progressive)
    truncated = data[: int(len(data) * part)]
    assert decode_dc_only(truncated) is None
    with pytest.raises(UndecodableImageError) as rejected:
        pipeline.process_image(truncated, make_options())
    assert rejected.value.code is ErrorCode.UNREADABLE_IMAGE


def test_a_progressive_file_without_its_last_scan_is_left_to_libjpeg():
    data = jpeg(progressive=True)
    assert decode_dc_only(data)
    assert decode_dc_only(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9") is None
