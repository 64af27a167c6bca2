"""TIFFs: the main image of a file, rejections and their details, and damaged files."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from tests.support import tiffs
from tests.support.images import ORIENTATION
from tests.support.tiffs import BYTE, LONG, SHORT
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff import reader
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import count_pages
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

UNSUPPORTED, UNREADABLE, LARGE = ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNREADABLE_IMAGE, ErrorCode.IMAGE_TOO_LARGE
FULL_SIZE = Preset("full_size", width=640, height=640, format="png")
REDUCED, MASK, PAGE = 1, 4, 2  # NewSubfileType
SENSOR, CFA_PATTERN, MAKER = 32803, 33422, 271


def flat(level, width=32, height=24, **options):
    """Return a page of one level of grey."""
    return tiffs.page(np.full((height, width), level, "u8"), 8, tiffs.BLACK_IS_ZERO, **options)


def shown(data, **options):
    """Process an image, and return the result with its pixels."""
    result = process_image(data, make_options(FULL_SIZE, **options))
    return result, np.asarray(Image.open(io.BytesIO(result.variants[0].data)).convert("RGBA")).astype(int)


def rejection(data, **options):
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(data, make_options(FULL_SIZE, **options))
    return rejected.value.code, rejected.value.detail


def subfile(subfile_type):
    return {254: (LONG, (subfile_type,))}


# --- the main image --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders_and_bigtiff(order, big):
    result, pixels = shown(tiffs.tiff(flat(90, 31, 7, order=order), order=order, big=big))
    assert (result.width, result.height) == (31, 7)
    assert (pixels[..., :3] == 90).all()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_exif_is_read_in_both_byte_orders_and_from_bigtiff(order, big):
    """EXIF is an IFD of its own, which Pillow reads from three kinds of TIFF in four."""
    tags = {MAKER: (tiffs.ASCII, b"Fairphone\0"), ORIENTATION: (SHORT, (6,))}
    exif = tiffs.Page({36867: (tiffs.ASCII, b"2026:05:04 12:34:56\0")})
    page = flat(90, 40, 20, order=order, tags=tags)
    data = tiffs.tiff(replace(page, exif=exif), order=order, big=big)
    result, _ = shown(data)
    assert (result.width, result.height) == (20, 40), "after orientation"
    assert (result.details.camera, result.details.taken_at) == ("Fairphone", "2026-05-04T12:34:56")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 16])
def test_the_orientation_tag_is_applied(orientation, bits):
    samples = np.arange(12, dtype="u8").reshape(3, 4) * 20 << (bits - 8)
    data = tiffs.one(samples, bits, tiffs.WHITE_IS_ZERO, tags={ORIENTATION: (SHORT, (orientation,))})
    _, pixels = shown(data)
    upright = 255 - (samples >> (bits - 8)).astype(int)
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright[::-1].T,
        7: upright[::-1, ::-1].T,
        8: upright[:, ::-1].T,
    }
    assert pixels[..., 0].tolist() == turns[orientation].tolist()


PAGES = {
    "three pages": ([flat(10), flat(20), flat(30)], 10, 3),
    "a thumbnail after the image": ([flat(10), flat(20, 8, 6, tags=subfile(REDUCED))], 10, 1),
    "a thumbnail before the image": ([flat(20, 8, 6, tags=subfile(REDUCED)), flat(10)], 10, 1),
    "a thumbnail before the image, by SubfileType": ([flat(20, 8, 6, tags={255: (SHORT, (2,))}), flat(10)], 10, 1),
    "a mask before the image": ([flat(20, tags=subfile(MASK)), flat(10)], 10, 1),
    "a thumbnail in a SubIFD": ([flat(10, sub_ifds=[flat(20, 8, 6, tags=subfile(REDUCED))])], 10, 1),
    "the image in a SubIFD of its thumbnail": ([flat(20, 8, 6, tags=subfile(REDUCED), sub_ifds=[flat(10)])], 10, 1),
    "a pyramid": (
        [flat(10), flat(20, 16, 12, tags=subfile(REDUCED)), flat(30, 8, 6, tags=subfile(REDUCED))],
        10,
        1,
    ),
    "pages that are declared as such": ([flat(10, tags=subfile(PAGE)), flat(20, tags=subfile(PAGE))], 10, 2),
    "only a thumbnail": ([flat(10, tags=subfile(REDUCED))], 10, 1),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_first_full_image_is_shown(name):
    pages, level, count = PAGES[name]
    result, pixels = shown(tiffs.tiff(*pages))
    assert (result.width, result.height, result.details.frames) == (32, 24, count)
    assert (pixels[..., 0] == level).all()


# --- colours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.LZW, tiffs.DEFLATE])
@pytest.mark.parametrize("factor", [1, 256, 257], ids=["8 bits", "16 bits without the low ones", "16 bits"])
def test_palettes(bits, compression, factor):
    """If all values are below 256, they have eight bits, by libtiff's rule."""
    colours = np.random.default_rng(bits).integers(0, 256, (2**bits, 3))
    colours[0] = (255, 0, 128)
    index = np.arange(35 * 20).reshape(20, 35) % 2**bits
    palette = {320: (SHORT, tuple(int(value) for value in (colours * factor).T.ravel()))}
    for chunks in ({"rows": 6}, {"tile": (16, 16)}):
        data = tiffs.one(index.astype("u8"), bits, tiffs.PALETTE, tags=palette, compression=compression, **chunks)
        _, pixels = shown(data)
        assert (pixels[..., :3] == colours[index]).all(), chunks


@pytest.mark.parametrize("planar", [False, True])
def test_a_palette_with_alpha(planar):
    samples = np.dstack([np.full((8, 8), 1), np.full((8, 8), 100)]).astype("u8")
    palette = {320: (SHORT, (0, 50000) + (0,) * 254 + (0, 25600) + (0,) * 254 + (0, 256) + (0,) * 254)}
    data = tiffs.one(samples, 8, tiffs.PALETTE, extra=(tiffs.UNASSOCIATED,), planar=planar, tags=palette)
    assert shown(data)[1][3, 3].tolist() == [195, 100, 1, 100]


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.DEFLATE])
def test_ycbcr_without_jpeg(subsampling, compression):
    across, down = subsampling
    unit = bytes([100] * (across * down) + [90, 180])
    samples = np.zeros((16, 16, 3), "u8")
    tags = {530: (SHORT, subsampling), 532: (5, struct.pack("<12I", 0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1))}
    page = tiffs.page(samples, 8, tiffs.YCBCR, compression=compression, tags=tags)
    page.chunks = [tiffs.compress(unit * (16 * 16 // across // down), compression)]
    _, pixels = shown(tiffs.tiff(page))
    want = Image.new("YCbCr", (1, 1), (100, 90, 180)).convert("RGB").getpixel((0, 0))
    assert np.abs(pixels[..., :3] - want).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_lab_of_both_depths(bits):
    """The expected values are CIE's formulas for TIFF's white point D50, adapted to sRGB's D65."""
    for lab, rgb in (
        ((128, 0, 0), (120, 120, 120)),
        ((121, 56, 39), (200, 60, 50)),
        ((96, 21, 195), (60, 80, 190)),
    ):
        data = tiffs.one(np.full((8, 8, 3), lab, "u8") << np.uint64(bits - 8), bits, tiffs.LAB)
        assert shown(data)[1][0, 0].tolist()[:3] == pytest.approx(rgb, abs=6)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_jpeg_inside(mode):
    colour = {"L": 90, "RGB": (200, 90, 40), "YCbCr": (120, 100, 170), "CMYK": (20, 90, 200, 10)}[mode]
    file = io.BytesIO()
    Image.new(mode, (64, 48), colour).save(file, "TIFF", compression="jpeg")
    want = Image.new(mode, (1, 1), colour).convert("RGB").getpixel((0, 0))
    assert np.abs(shown(file.getvalue())[1][..., :3] - want).max() <= 3


def test_cmyk_with_alpha_is_reported_as_cmyk():
    samples = np.full((8, 8, 5), (255, 0, 0, 0, 128), "u8")
    result, pixels = shown(tiffs.one(samples, 8, tiffs.CMYK, extra=(tiffs.UNASSOCIATED,)))
    assert pixels[0, 0].tolist() == [0, 255, 255, 128]
    assert (result.details.colour_space, result.details.has_alpha) == ("CMYK", True)


@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.LZW])
def test_reversed_fill_order(compression):
    samples = (np.arange(64).reshape(8, 8) * 4).astype("u8")
    page = tiffs.page(samples, 8, tiffs.WHITE_IS_ZERO, compression=compression, tags={266: (SHORT, (2,))})
    page.chunks = [bytes(int(f"{byte:08b}"[::-1], 2) for byte in chunk) for chunk in page.chunks]
    assert (shown(tiffs.tiff(page))[1][..., 0] == 255 - samples.astype(int)).all()


# --- rejections ------------------------------------------------------------------------------------------------


def grey(bits=8, **options):
    return tiffs.one(np.zeros((8, 8), "u8"), bits, tiffs.BLACK_IS_ZERO, **options)


def floats(values, **options):
    return tiffs.one(np.array(values, "f4").reshape(2, -1), 32, tiffs.BLACK_IS_ZERO, sample_format=3, **options)


def of(photometric, samples, **options):
    return tiffs.one(np.zeros((8, 8, samples), "u8"), options.pop("bits", 8), photometric, **options)


UNSUPPORTED_KINDS = {
    "signed": (grey(16, sample_format=2), "grey TIFF with 1 signed sample of 16 bits"),
    "signed in planes": (
        of(2, 3, planar=True, sample_format=2),
        "RGB TIFF with 3 signed samples of 8 bits in separate",
    ),
    "odd depth": (of(2, 5, planar=True, bits=20), "RGB TIFF with 5 samples of 20 bits in separate planes"),
    "floats of RGB": (
        tiffs.one(np.zeros((8, 8, 3), "f4"), 32, 2, sample_format=3),
        "3 floating point samples of 32",
    ),
    "floats to 255": (floats(range(8)), "from 0 (black) to 1 (white); 75 % are not"),
    "floats below 0": (floats([-1, 0.5] * 4), "50 % are not"),
    "floats that are NaN": (floats([float("nan")] * 8), "100 % are not"),
    "complex": (grey(32, sample_format=6), "1 complex sample of 32 bits"),
    "samples of several depths": (of(2, 3, tags={258: (SHORT, (5, 6, 5))}), "have different bit depths (5, 6, 5)"),
    "transparency mask": (of(4, 1), "transparency mask"),
    "LogLuv": (of(32845, 3, bits=16), "the photometric interpretation LogLuv"),
    "unknown photometric interpretation": (of(777, 1), "photometric interpretation 777"),
    "JPEG 2000": (grey(tags={259: (SHORT, (34712,))}), "compression JPEG 2000"),
    "WebP": (grey(tags={259: (SHORT, (50001,))}), "compression WebP"),
    "unknown compression": (grey(tags={259: (SHORT, (777,))}), "compression 777"),
    "fax of eight bits": (grey(tags={259: (SHORT, (4,))}), "compression Group 4"),
    "JPEG of twelve bits": (grey(12, tags={259: (SHORT, (7,))}), "sample of 12 bits and compression JPEG"),
    "other inks": (of(5, 4, tags={332: (SHORT, (2,))}), "inks other than CMYK"),
    "ICC Lab": (of(9, 3), "ICC Lab"),
    "horizontal differencing of four bits": (
        of(1, 1, bits=4, compression=8, tags={317: (SHORT, (2,))}),
        "predictor 2",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED_KINDS)
def test_an_unsupported_tiff_is_rejected_by_name(name):
    data, text = UNSUPPORTED_KINDS[name]
    code, detail = rejection(data)
    assert code is UNSUPPORTED
    assert text in detail


def raw(maker, tags=None, compression=1):
    """Return a TIFF of a thumbnail with sensor data in a SubIFD."""
    sensor = flat(
        7, tags={262: (SHORT, (SENSOR,)), 259: (SHORT, (compression,)), CFA_PATTERN: (BYTE, (0, 1, 1, 2))}
    )
    make = {MAKER: (tiffs.ASCII, maker.encode() + b"\0")} if maker else {}
    return tiffs.tiff(flat(200, 8, 6, tags=subfile(REDUCED) | make | (tags or {}), sub_ifds=[sensor]))


def cr2():
    data = bytearray(tiffs.tiff(flat(3)))
    ifd = data[struct.unpack_from("<I", data, 4)[0] :]
    return b"II*\0\x10\0\0\0CR\x02\0" + bytes(4) + bytes(ifd)


RAW = {
    "DNG": raw("Fairphone", {50706: (BYTE, (1, 4, 0, 0))}),
    "DNG with sensor data in the first IFD": tiffs.tiff(flat(3, tags={50706: (BYTE, (1, 4, 0, 0))})),
    "NEF": raw("NIKON CORPORATION", compression=34713),
    "ARW": raw("SONY", compression=32767),
    "SRW": raw("SAMSUNG", compression=32770),
    "PEF": tiffs.tiff(flat(3, tags={259: (SHORT, (65535,)), MAKER: (tiffs.ASCII, b"PENTAX Corporation\0")})),
    "RAW of an unknown make": raw(None),
    "RAW in the second IFD": tiffs.tiff(flat(9, 8, 6), flat(3, tags={262: (SHORT, (34892,))})),
    "CR2": cr2(),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "CRW": b"II\x1a\0\0\0HEAPCCDR",
    "RAF": b"FUJIFILMCCD-RAW 0201",
    "ORF": b"IIRO\x08\0\0\0",
    "RW2": b"IIU\0\x18\0\0\0",
    "IIQ": b"II*\0\x08\0\0\0IIIITwaR",
    "X3F": b"FOVb" + bytes(60),
    "MRW": b"\0MRM" + bytes(60),
}


@pytest.mark.parametrize("name", RAW)
def test_a_raw_file_is_rejected_and_not_shown_as_its_preview(name):
    code, detail = rejection(RAW[name])
    assert code is UNSUPPORTED
    kind = name.split()[0]
    assert detail.startswith("a camera RAW file" + (f" ({kind})" if kind != "RAW" else "") + " is not supported")


def test_pixels_that_look_like_a_raw_signature_are_pixels():
    data = bytearray(tiffs.tiff(flat(0x49)))
    assert data[8:12] == b"IIII"
    assert shown(bytes(data))[0].width == 32


# --- damaged and costly files ----------------------------------------------------------------------------------


def declares(**tags):
    """Return tags that do not match the pixels."""
    numbers = {"width": 256, "height": 257, "bits": 258, "compression": 259, "samples": 277, "rows": 278}
    numbers |= {"tile_width": 322, "tile_height": 323}
    return {numbers[name]: (LONG, (value,)) for name, value in tags.items()}


COSTLY = {
    "tiles of 2^62 bytes": (flat(3, tile=(16, 16), tags=declares(tile_width=2**31, tile_height=2**31)), LARGE),
    "compressed tiles of a gigabyte": (
        flat(3, tile=(16, 16), compression=8, tags=declares(tile_width=2**15, tile_height=2**15)),
        LARGE,
    ),
    "JPEG tiles of a gigabyte": (
        flat(3, tile=(16, 16), tags=declares(compression=7, tile_width=2**15, tile_height=2**15)),
        LARGE,
    ),
    "2^31 samples": (flat(3, compression=8, tags={**declares(samples=2**31), 258: (SHORT, (8,))}), LARGE),
    "strips of nothing": (flat(3, tags=declares(width=10**6, height=10**6, rows=10**6)), LARGE),
    "tiles of a pixel": (
        flat(3, tile=(16, 16), tags=declares(width=7000, height=7000, tile_width=1, tile_height=1)),
        LARGE,
    ),
    "no width": (flat(3, tags=declares(width=0)), UNREADABLE),
    "tiles of no width": (flat(3, tile=(16, 16), tags=declares(tile_width=0)), UNREADABLE),
    "fewer strips than rows": (flat(3, tags=declares(rows=1)), UNREADABLE),
    "fewer samples than colours": (flat(3, tags={262: (SHORT, (2,))}), UNREADABLE),
    "fewer colours than indices": (flat(3, tags={262: (SHORT, (3,)), 320: (SHORT, (1, 2, 3))}), UNREADABLE),
    "more rows than there are bytes": (flat(3, tags=declares(height=2000, rows=2000)), UNREADABLE),
}


@pytest.mark.parametrize("name", COSTLY)
def test_costly_or_invalid_tags_are_rejected_before_decoding(name, monkeypatch):
    page, code = COSTLY[name]
    if code is LARGE:
        monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", lambda _: pytest.fail("it was decoded"))
        monkeypatch.setattr(reader, "Canvas", lambda _: pytest.fail("memory was allocated"))
    assert rejection(tiffs.tiff(page))[0] is code


def test_a_long_chain_of_ifds_is_read_up_to_the_limit():
    ifd = struct.pack("<HHHII", 1, 256, 3, 1, 8)
    count, size = 200_000, len(ifd) + 4
    chain = b"".join(ifd + struct.pack("<I", 8 + (at + 1) * size) for at in range(count))
    first = tiffs.tiff(flat(3))
    at = struct.unpack_from("<I", first, 4)[0]
    data = bytearray(first + chain)
    next_link = at + 2 + 12 * struct.unpack_from("<H", data, at)[0]
    begin = len(first)
    struct.pack_into("<I", data, next_link, begin)
    for number in range(count):
        struct.pack_into("<I", data, begin + number * size + len(ifd), begin + (number + 1) * size)
    assert rejection(bytes(data)) == (LARGE, "more than 1000 pages")


def test_overlapping_ifds_are_not_all_read():
    """A file of 45 KB has room for 2,000 IFDs of 1,000 tags, 24 MB, if they overlap."""
    data = bytearray(b"II*\0\x10\0\0\0" + bytes(45_000))
    for at in range(16, 16 + 16 * 2000, 16):
        struct.pack_into("<H", data, at, 1000)
        struct.pack_into("<I", data, at + 2 + 12 * 1000, at + 16)
    assert count_pages(bytes(data), most=10_000) <= 45_000 // 12_000


def test_a_chain_with_a_loop_ends_there():
    data = bytearray(tiffs.tiff(flat(3), flat(4)))
    first = struct.unpack_from("<I", data, 4)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0])[0]
    struct.pack_into("<I", data, second + 2 + 12 * struct.unpack_from("<H", data, second)[0], first)
    assert shown(bytes(data))[0].details.frames == 2


@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.LZW, tiffs.DEFLATE, tiffs.PACKBITS])
@pytest.mark.parametrize("chunks", [{"rows": 4}, {"tile": (16, 16)}], ids=str)
def test_a_truncated_chunk_is_damage_and_the_others_can_be_kept(compression, chunks):
    level = np.full((32, 32), 50000, "u8")
    page = tiffs.page(level, 16, tiffs.BLACK_IS_ZERO, compression=compression, **chunks)
    page.chunks[-1] = page.chunks[-1][: len(page.chunks[-1]) // 2]
    data = tiffs.tiff(page)
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(data, make_options(FULL_SIZE))
    assert rejected.value.code is UNREADABLE
    assert "of the TIFF" in rejected.value.cause
    result = process_image(data, make_options(FULL_SIZE, keep_damaged=True))
    pixels = np.asarray(Image.open(io.BytesIO(result.variants[0].data)).convert("L"))
    assert result.damaged
    assert (pixels[:16] == 50000 >> 8).all()
    assert pixels[-1, -1] == 0, "black where data are missing"


def test_a_file_without_decodable_pixels_is_not_kept():
    page = tiffs.page(np.full((8, 8), 9, "u8"), 16, tiffs.BLACK_IS_ZERO, compression=tiffs.DEFLATE)
    page.chunks = [b"nothing"]
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(tiffs.tiff(page), make_options(FULL_SIZE, keep_damaged=True))
    assert rejected.value.code is UNREADABLE
