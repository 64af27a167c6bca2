"""Hostile files: each fails soon, with the right code, and does not affect other images."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support import hostile
from tests.support.images import photo, png_header
from tests.unit.thumbnailer.children import children, read_status, started_since
from tests.unit.thumbnailer.options import LIMITS, make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

pytestmark = pytest.mark.slow

LARGE, UNREADABLE, UNSUPPORTED = ErrorCode.IMAGE_TOO_LARGE, ErrorCode.UNREADABLE_IMAGE, ErrorCode.UNSUPPORTED_FORMAT
MEBIBYTE = 2**20
SECONDS = 30  # no image within the limits may take this long, even on a machine that is busy with other tests

# Rejected by their headers, before a pixel is decoded.
EXCESSIVE_HEADERS = {
    "webp of 177 MP": (lambda: hostile.webp(13300), LARGE),
    "webp of 268 MP, lossy": (lambda: hostile.webp_that_claims(16383, 16383), LARGE),
    "webp of 281 million MP, animated": (lambda: hostile.animated_webp_that_claims(2**24, 2**24), LARGE),
    "png of 177 MP": (lambda: hostile.png(13300, 13300), LARGE),
    "png of 400 MP": (lambda: hostile.png(20000, 20000, colour=2), LARGE),
    "png of 2^62 pixels": (lambda: png_header(2**31 - 1, 2**31 - 1), LARGE),
    "jpeg of 4290 MP": (lambda: hostile.jpeg_that_claims(65500, 65500), LARGE),
    "gif of 4364 MP": (lambda: hostile.gif_that_claims(65535, 65535, top=1066), LARGE),
    "tiff of 3600 MP": (lambda: hostile.tiff_that_claims(60000, 60000), LARGE),
    "bmp of 3600 MP": (lambda: hostile.bmp_that_claims(60000, 60000), LARGE),
    "avif of 81 MP": (lambda: hostile.heif_that_claims(9000, 9000, "AVIF"), LARGE),
    "heif of 200 MP": (lambda: hostile.heif_that_claims(20000, 10000, "HEIF"), LARGE),
    "gif of 10,000 frames": (lambda: hostile.gif(10_000), LARGE),
    "jpeg of 20,000 scans": (lambda: hostile.jpeg_of_scans(20_000), UNREADABLE),
    "gif of 10 x 10 with a frame of 4295 MP": (lambda: hostile.gif_with_frame(65535, 65535), LARGE),
    "webp of 10 x 10 with a frame of 281 million MP": (lambda: hostile.webp_with_frame(2**24, 2**24), LARGE),
    "png with a frame of 2^62 pixels": (lambda: hostile.apng_that_claims(2**31 - 1, 2**31 - 1), LARGE),
    "png of 200,000 empty data chunks": (lambda: hostile.png_of_chunks(200_000, b"IDAT"), LARGE),
    "jpeg of 50,000 segments": (lambda: hostile.jpeg_of_segments(50_000), LARGE),
    "tiff of 100,000 pages": (lambda: hostile.tiff_of_pages(100_000), LARGE),
    "tiff of 100,000 pages, in reverse order": (lambda: hostile.tiff_of_pages(100_000, ">"), LARGE),
    "tiff of tiles of 4 million MP": (lambda: hostile.tiff_with({322: (1, 2**21), 323: (1, 2**21)}), LARGE),
    "tiff of a billion strips": (lambda: hostile.tiff_with({273: (10**9, 8)}), LARGE),
    "tiff of many tags of the same bytes": (
        lambda: hostile.tiff_with({60_000 + n: (900_000, 8) for n in range(1000)}) + bytes(4 * MEBIBYTE),
        UNREADABLE,
    ),
    "heif of 50,000 items": (lambda: hostile.heif_of_items(50_000), LARGE),
    "avif of 50,000 items": (lambda: hostile.heif_of_items(50_000, b"avif"), LARGE),
    "heif of 50,000 properties": (lambda: hostile.heif_of_properties(50_000), LARGE),
    "avif of a grid of 4 million MP": (lambda: hostile.heif_of_grid(2**21, 2**21), LARGE),
    "heif of a grid of 400 MP": (lambda: hostile.heif_of_grid(20_000, 20_000, b"heic"), LARGE),
    **{name: (lambda data=data: data, UNSUPPORTED) for name, data in hostile.documents().items()},
}
# Likewise, but the files themselves are large.
LARGE_FILES = {
    "jpeg with 30 MB of fill bytes in its header": (lambda: hostile.jpeg_with_filler(30 * MEBIBYTE), UNREADABLE),
    "jpeg with 30 MB of junk in its header": (lambda: hostile.jpeg_with_filler(30 * MEBIBYTE, b"x"), UNREADABLE),
    "jpeg of 30 MB of fill bytes": (lambda: hostile.jpeg_of_filler(30 * MEBIBYTE), UNREADABLE),
    "jpeg of 5,000,000 segments": (lambda: hostile.jpeg_of_segments(5_000_000), LARGE),
    "png of 1,000,000 chunks": (lambda: hostile.png_of_chunks(1_000_000), LARGE),
    "jpeg of 50 MP in 100 scans": (lambda: hostile.jpeg_of_scans(90, edge=7000), UNREADABLE),
}
# Only the data show the cost.
EXCESSIVE_DATA = {
    "jpeg without its second half": (lambda: photo(4000, 3000)[: len(photo(4000, 3000)) // 2], UNREADABLE),
    "jpeg without its last 2 KB": (lambda: photo(4000, 3000)[:-2048], UNREADABLE),
    "jpeg of 640 x 480 that declares 640 x 4800": (lambda: hostile.jpeg_that_claims(640, 4800), UNREADABLE),
    "gif without data": (lambda: hostile.gif_that_claims(6000, 6000), UNREADABLE),
    "tiff without data": (lambda: hostile.tiff_that_claims(6000, 6000), UNREADABLE),
    "bmp without data": (lambda: hostile.bmp_that_claims(6000, 6000), UNREADABLE),
    "png without data": (lambda: png_header(6000, 6000), UNREADABLE),
    "jpeg of 90 scans that refine nothing": (lambda: hostile.jpeg_of_scans(80), UNREADABLE),
    # Large images within the limits are done.
    "png of 50,000 chunks": (lambda: hostile.png_of_chunks(50_000), (640, 480)),
    "png of 50,000 chunks behind its pixels": (lambda: hostile.png_of_chunks(50_000, behind=True), (640, 480)),
    "webp of 44 MP": (lambda: hostile.webp(6600), (6600, 6600)),
    "png of 49 MP": (lambda: hostile.png(7000, 7000, colour=2), (7000, 7000)),
    "gif of 151 frames of 9 MP": (lambda: hostile.gif(151, edge=3000), (3000, 3000)),
    "gif of 1000 frames": (lambda: hostile.gif(1000), (1, 1)),
}


@contextmanager
def start_decoder(seconds=SECONDS, **limits):
    """Start a decoder of one process. Yield both."""
    earlier = children()
    with Decoder(make_options(seconds=seconds, **limits), children=1) as decoder:
        yield decoder, started_since(earlier)[0]


@pytest.fixture(scope="module")
def header_decoder():
    with start_decoder() as pair:
        yield pair


@pytest.fixture(scope="module")
def data_decoder():
    with start_decoder() as pair:
        yield pair


def outcome_of(decoder, data, seconds=SECONDS):
    """Decode within the time of two attempts and a little. Return the error code or the size of the image."""
    with ThreadPoolExecutor(1) as thread:
        expected = thread.submit(decoder.decode, data)
        result = expected.result(2.4 * seconds)
        return result.code if isinstance(result, Rejected) else (result.image.width, result.image.height)


# Metadata are skipped, and not decompressed, or only up to a limit.
COMPRESSED_METADATA = {
    "png with 200 MB of text": (lambda: hostile.png_with_text(200 * MEBIBYTE), (1, 1)),
    "png with 100 texts of 1 MB": (lambda: hostile.png_with_text(1_000_000, times=100), (1, 1)),
    "png with 200 MB of profile": (lambda: hostile.png_with_profile(200 * MEBIBYTE), (1, 1)),
    "png of 50,000 chunks": (lambda: hostile.png_of_chunks(50_000), (640, 480)),
    "png of 50,000 chunks behind its pixels": (lambda: hostile.png_of_chunks(50_000, behind=True), (640, 480)),
    "png of 50,000 texts": (lambda: hostile.png_of_chunks(50_000, b"tEXt"), (640, 480)),
}


@pytest.mark.parametrize("name", COMPRESSED_METADATA)
def test_compressed_metadata_cost_nothing(header_decoder, name):
    decoder, child = header_decoder
    make, size = COMPRESSED_METADATA[name]
    assert outcome_of(decoder, make()) == size
    assert read_status(child, "VmHWM") < 90 * MEBIBYTE
    assert child.is_running()


@pytest.mark.parametrize("name", EXCESSIVE_HEADERS)
def test_excessive_headers_are_rejected_before_they_cost_anything(header_decoder, name):
    decoder, child = header_decoder
    make, code = EXCESSIVE_HEADERS[name]
    assert outcome_of(decoder, make()) is code
    assert read_status(child, "VmHWM") < 80 * MEBIBYTE
    assert outcome_of(decoder, photo()) == (640, 480)
    assert child.is_running(), "no image ended the process"


@pytest.mark.parametrize("name", LARGE_FILES)
def test_the_excessive_structure_of_a_large_file_is_rejected_before_it_costs_anything(header_decoder, name):
    """Check that none needs a second of CPU time."""
    decoder, child = header_decoder
    make, code = LARGE_FILES[name]
    data, before = make(), sum(child.cpu_times()[:2])
    assert outcome_of(decoder, data) is code
    assert sum(child.cpu_times()[:2]) - before < 1
    assert outcome_of(decoder, photo()) == (640, 480)
    assert child.is_running(), "no image ended the process"


@pytest.mark.parametrize("name", EXCESSIVE_DATA)
def test_excessive_data_fail_the_image_and_not_the_decoder_process(data_decoder, name):
    decoder, child = data_decoder
    make, expected = EXCESSIVE_DATA[name]
    assert outcome_of(decoder, make()) == expected
    assert read_status(child, "VmPeak") <= LIMITS.memory_bytes
    assert outcome_of(decoder, photo()) == (640, 480)
    assert child.is_running()


def test_a_lower_memory_limit_rejects_smaller_images():
    with start_decoder(memory_bytes=512 * MEBIBYTE) as (decoder, child):
        assert outcome_of(decoder, hostile.webp(7000)) is LARGE
        assert outcome_of(decoder, photo()) == (640, 480)
        assert read_status(child, "VmPeak") <= 512 * MEBIBYTE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_flipped_bytes_have_an_outcome(data_decoder, kind):
    decoder, child = data_decoder
    chance = random.Random(kind)
    for _ in range(10):
        data = bytearray(photo(400, 300, kind=kind))
        for _ in range(chance.choice((1, 5, 200))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        outcome_of(decoder, bytes(data))
    assert outcome_of(decoder, photo()) == (640, 480)
    assert child.is_running()
