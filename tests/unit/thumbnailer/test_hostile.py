"""Small files that cost much: each ends soon, with a code that says why, and costs its neighbours nothing."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support import hostile
from tests.support.pictures import faulty_photo, photo, png_header
from tests.unit.thumbnailer.children import children, read_status, started_since
from tests.unit.thumbnailer.options import LIMITS, make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

LARGE, UNREADABLE, UNSUPPORTED = ErrorCode.IMAGE_TOO_LARGE, ErrorCode.UNREADABLE_IMAGE, ErrorCode.UNSUPPORTED_FORMAT
MEBIBYTE = 2**20
SECONDS = 30  # on a machine that is busy with other tests, too, no picture within the limits may take so long

# What a header tells is refused before a pixel is decoded.
AT_THE_DOOR = {
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
    "png of 200,000 chunks of no pixels": (lambda: hostile.png_of_chunks(200_000, b"IDAT"), LARGE),
    "jpeg of 50,000 segments": (lambda: hostile.jpeg_of_segments(50_000), LARGE),
    "tiff of 100,000 pages": (lambda: hostile.tiff_of_pages(100_000), LARGE),
    "tiff of 100,000 pages, the other way round": (lambda: hostile.tiff_of_pages(100_000, ">"), LARGE),
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
# Likewise, but the file itself is large.
LARGE_FILES = {
    "jpeg with 30 MB of filler in its header": (lambda: hostile.jpeg_with_filler(30 * MEBIBYTE), UNREADABLE),
    "jpeg with 30 MB of junk in its header": (lambda: hostile.jpeg_with_filler(30 * MEBIBYTE, b"x"), UNREADABLE),
    "jpeg of 30 MB of filler": (lambda: hostile.jpeg_of_filler(30 * MEBIBYTE), UNREADABLE),
    "jpeg of 5,000,000 segments": (lambda: hostile.jpeg_of_segments(5_000_000), LARGE),
    "png of 1,000,000 chunks": (lambda: hostile.png_of_chunks(1_000_000), LARGE),
    "jpeg of 50 MP in 100 scans": (lambda: hostile.jpeg_of_scans(90, edge=7000), UNREADABLE),
}
# What shows only in the data.
ON_THE_WAY = {
    "jpeg that lacks a half": (lambda: photo(4000, 3000)[: len(photo(4000, 3000)) // 2], UNREADABLE),
    "jpeg that lacks its last 2 KB": (lambda: photo(4000, 3000)[:-2048], UNREADABLE),
    "jpeg of 640 x 480 that claims to be 640 x 4800": (lambda: hostile.jpeg_that_claims(640, 4800), UNREADABLE),
    "gif that has no data": (lambda: hostile.gif_that_claims(6000, 6000), UNREADABLE),
    "tiff that has no data": (lambda: hostile.tiff_that_claims(6000, 6000), UNREADABLE),
    "bmp that has no data": (lambda: hostile.bmp_that_claims(6000, 6000), UNREADABLE),
    "png that has no data": (lambda: png_header(6000, 6000), UNREADABLE),
    "jpeg of 90 scans that refine nothing": (lambda: hostile.jpeg_of_scans(80), UNREADABLE),
    # What is large and yet within the limits is done.
    "png of 50,000 chunks": (lambda: hostile.png_of_chunks(50_000), (640, 480)),
    "png of 50,000 chunks behind its pixels": (lambda: hostile.png_of_chunks(50_000, behind=True), (640, 480)),
    "webp of 44 MP": (lambda: hostile.webp(6600), (6600, 6600)),
    "png of 49 MP": (lambda: hostile.png(7000, 7000, colour=2), (7000, 7000)),
    "gif of 151 frames of 9 MP": (lambda: hostile.gif(151, edge=3000), (3000, 3000)),
    "gif of 1000 frames": (lambda: hostile.gif(1000), (1, 1)),
}


@contextmanager
def watched(seconds=SECONDS, **limits):
    """A decoder of one child, and that child."""
    earlier = children()
    with Decoder(make_options(seconds=seconds, **limits), children=1) as decoder:
        yield decoder, started_since(earlier)[0]


@pytest.fixture(scope="module")
def doorkeeper():
    with watched() as pair:
        yield pair


@pytest.fixture(scope="module")
def worker():
    with watched() as pair:
        yield pair


def judge(decoder, data, seconds=SECONDS):
    """Decode within two tries and a little, and give the code of the failure or the picture's size."""
    with ThreadPoolExecutor(1) as thread:
        verdict = thread.submit(decoder.decode, data)
        result = verdict.result(2.4 * seconds)
        return result.code if isinstance(result, Rejected) else (result.image.width, result.image.height)


# What is not the picture is passed over, and not unpacked, or only as far as is looked at.
BESIDE_THE_PICTURE = {
    "png with 200 MB of text": (lambda: hostile.png_with_text(200 * MEBIBYTE), (1, 1)),
    "png with 100 texts of 1 MB": (lambda: hostile.png_with_text(1_000_000, times=100), (1, 1)),
    "png with 200 MB of profile": (lambda: hostile.png_with_profile(200 * MEBIBYTE), (1, 1)),
    "png of 50,000 chunks": (lambda: hostile.png_of_chunks(50_000), (640, 480)),
    "png of 50,000 chunks behind its pixels": (lambda: hostile.png_of_chunks(50_000, behind=True), (640, 480)),
    "png of 50,000 texts": (lambda: hostile.png_of_chunks(50_000, b"tEXt"), (640, 480)),
}


@pytest.mark.parametrize("name", BESIDE_THE_PICTURE)
def test_what_is_packed_beside_a_picture_costs_nothing(doorkeeper, name):
    decoder, child = doorkeeper
    make, size = BESIDE_THE_PICTURE[name]
    assert judge(decoder, make()) == size
    assert read_status(child, "VmHWM") < 90 * MEBIBYTE
    assert child.is_running()


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_what_a_header_tells_is_refused_before_it_costs_anything(doorkeeper, name):
    decoder, child = doorkeeper
    make, code = AT_THE_DOOR[name]
    assert judge(decoder, make()) is code
    assert read_status(child, "VmHWM") < 80 * MEBIBYTE
    assert judge(decoder, photo()) == (640, 480)
    assert child.is_running(), "no picture cost it its life"


@pytest.mark.parametrize("name", LARGE_FILES)
def test_what_a_large_file_s_structure_tells_is_refused_before_it_costs_anything(doorkeeper, name):
    """None needs as much as a second of CPU time."""
    decoder, child = doorkeeper
    make, code = LARGE_FILES[name]
    data, before = make(), sum(child.cpu_times()[:2])
    assert judge(decoder, data) is code
    assert sum(child.cpu_times()[:2]) - before < 1
    assert judge(decoder, photo()) == (640, 480)
    assert child.is_running(), "no picture cost it its life"


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_what_the_data_tell_costs_the_picture_and_not_the_child(worker, name):
    decoder, child = worker
    make, verdict = ON_THE_WAY[name]
    assert judge(decoder, make()) == verdict
    assert read_status(child, "VmPeak") <= LIMITS.memory_bytes
    assert judge(decoder, photo()) == (640, 480)
    assert child.is_running()


def test_a_smaller_memory_refuses_smaller_pictures():
    with watched(memory_bytes=512 * MEBIBYTE) as (decoder, child):
        assert judge(decoder, hostile.webp(7000)) is LARGE
        assert judge(decoder, photo()) == (640, 480)
        assert read_status(child, "VmPeak") <= 512 * MEBIBYTE


def test_what_no_limit_foresees_ends_with_its_cpu_time(faulty_decoders):
    with watched(seconds=1) as (decoder, _):
        assert judge(decoder, faulty_photo("spin")) is ErrorCode.DECODER_TIMEOUT
        assert judge(decoder, photo()) == (640, 480)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_flipped_bytes_end_in_a_verdict(worker, kind):
    decoder, child = worker
    chance = random.Random(kind)
    for _ in range(10):
        data = bytearray(photo(400, 300, kind=kind))
        for _ in range(chance.choice((1, 5, 200))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        judge(decoder, bytes(data))
    assert judge(decoder, photo()) == (640, 480)
    assert child.is_running()
