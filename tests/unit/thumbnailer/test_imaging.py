import io
from functools import cache

import pytest
from PIL import Image, ImageChops, ImageStat, PngImagePlugin

from tests.support.images import ORIENTATION, grain, opened, photo, png_header
from tests.unit.thumbnailer.options import THUMBNAIL, make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.jpeg import FULL_SCALE, decode, scaled_size
from thumbmill.thumbnailer.imaging.context import EIGHTHS, ProcessingContext
from thumbmill.thumbnailer.imaging.formats import open_image
from thumbmill.thumbnailer.imaging.geometry import compute_geometry
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import STEPS, process_image
from thumbmill.thumbnailer.imaging.preflight.costs import FORMATS
from thumbmill.thumbnailer.presets.model import Preset

MAX_PIXELS = 50_000_000
RED, GREEN, BLUE, WHITE = (230, 20, 20), (20, 200, 20), (20, 20, 230), (250, 250, 250)


def process(data):
    return process_image(data, make_options())


def thumbnail_of(data):
    (variant,) = process(data).variants
    image = opened(variant.data)
    assert image.size == (variant.width, variant.height)
    assert Image.MIME[image.format] == variant.content_type
    return image


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(width=600, height=400):
    """Return the quarters red, green / blue, white: all rotations and mirrorings of them differ."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def corners(image):
    image = image.convert("RGB")
    places = [
        (x, y) for y in (image.height // 4, 3 * image.height // 4) for x in (image.width // 4, 3 * image.width // 4)
    ]
    return "".join(name_of(image.getpixel(place)) for place in places)


def name_of(pixel):
    names = {"r": RED, "g": GREEN, "b": BLUE, "w": WHITE}
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(names[name], pixel, strict=True)))


def error_code_of(data, max_pixels=MAX_PIXELS):
    with pytest.raises(UndecodableImageError) as raised:
        process_image(data, make_options(pixels=max_pixels))
    return raised.value.code


# --- size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (256, 192)),
        ((3000, 4000), (192, 256)),
        ((1025, 1025), (256, 256)),
        ((256, 256), (256, 256)),
        ((100, 50), (100, 50)),  # never enlarged
        ((1, 1), (1, 1)),
        ((10_000, 1), (256, 1)),
        ((1, 10_000), (1, 256)),
        ((4031, 2999), (256, 190)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_is_fitted_into_its_box(size, expected, kind):
    assert compute_geometry(size, THUMBNAIL).final == expected
    assert thumbnail_of(written(Image.new("RGB", size, RED), kind)).size == expected


def test_the_result_has_the_size_after_orientation():
    result = process(photo(640, 480, orientation=6))
    assert (result.format, result.width, result.height) == ("JPEG", 480, 640)


# --- orientation -----------------------------------------------------------------------------------------------

SHOWN = {1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb"}


@pytest.mark.parametrize(("orientation", "shown"), SHOWN.items())
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_exif_orientation_is_applied(orientation, shown, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    thumbnail = thumbnail_of(written(quarters(), kind, exif=exif.tobytes()))
    assert corners(thumbnail) == shown
    assert thumbnail.size == ((256, 171) if orientation < 5 else (171, 256))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"garbage" * 9])
def test_damaged_exif_does_not_fail_an_image(exif):
    assert corners(thumbnail_of(written(quarters(), "JPEG", exif=exif))) == "rgbw"


def test_an_invalid_orientation_is_ignored():
    exif = Image.Exif()
    exif[ORIENTATION] = 99
    assert corners(thumbnail_of(written(quarters(), "JPEG", exif=exif))) == "rgbw"


# --- modes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg_becomes_rgb(mode):
    thumbnail = thumbnail_of(written(quarters().convert(mode), "JPEG"))
    assert (thumbnail.format, thumbnail.mode) == ("JPEG", "RGB")
    assert mode == "L" or corners(thumbnail) == "rgbw"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_opaque_mode_of_png_becomes_rgb(mode):
    thumbnail = thumbnail_of(written(quarters().convert(mode), "PNG"))
    assert thumbnail.mode == "RGB"
    assert mode in {"1", "L"} or corners(thumbnail) == "rgbw"


@pytest.mark.parametrize("mode", ["1", "P"])
def test_resizing_averages_pixels(mode):
    chess = Image.new("1", (1024, 1024))
    chess.putdata([255 * ((x ^ y) & 1) for y in range(1024) for x in range(1024)])
    data = written(chess.convert(mode), "PNG")
    assert thumbnail_of(data).getpixel((100, 100)) == pytest.approx((128, 128, 128), abs=6)


def test_16_bit_grey_is_scaled_and_not_clipped():
    grey = Image.new("I;16", (400, 400), 128 * 256)
    assert thumbnail_of(written(grey, "PNG")).getpixel((100, 100)) == pytest.approx((128, 128, 128), abs=2)


def half_transparent(mode):
    image = quarters().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 300, 400))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("RGBA", "AVIF"), ("RGBA", "HEIF")],
)
def test_alpha_is_preserved(mode, kind):
    thumbnail = thumbnail_of(written(half_transparent(mode), kind))
    assert (thumbnail.format, thumbnail.mode) == ("WEBP", "RGBA")
    assert [thumbnail.getpixel((x, 80))[3] for x in (40, 200)] == [0, 255]


def test_a_palette_with_a_transparent_entry_gets_alpha():
    palette = Image.new("P", (600, 400), 0)
    palette.putpalette([*RED, *BLUE])
    palette.paste(1, (300, 0, 600, 400))
    for kind in ("PNG", "GIF"):
        thumbnail = thumbnail_of(written(palette, kind, transparency=0))
        assert [thumbnail.getpixel((x, 80))[3] for x in (40, 200)] == [0, 255], kind


def test_a_single_transparent_colour_gets_alpha():
    image = quarters()
    image.paste((1, 2, 3), (0, 0, 300, 400))
    thumbnail = thumbnail_of(written(image, "PNG", transparency=(1, 2, 3)))
    assert [thumbnail.getpixel((x, 80))[3] for x in (40, 200)] == [0, 255]


def test_opaque_alpha_is_dropped():
    assert thumbnail_of(written(quarters().convert("RGBA"), "PNG")).mode == "RGB"


def test_transparent_pixels_do_not_bleed_into_their_neighbours():
    image = Image.new("RGBA", (1024, 1024), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 1024, 512))
    thumbnail = thumbnail_of(written(image, "PNG"))
    edge = [thumbnail.getpixel((128, y)) for y in range(122, 134)]
    assert all(red < 60 for red, _, _, alpha in edge if alpha > 100)


# --- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_every_supported_format_is_decoded(kind):
    result = process(written(quarters(), kind))
    assert result.format == kind
    assert corners(opened(result.variants[0].data)) == "rgbw"


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("major", [b"MiHB", b"mif1", b"miaf"])
def test_the_brand_of_the_codec_may_be_a_compatible_one(kind, major):
    data = written(quarters(), kind)
    assert data[16:24].startswith({"AVIF": b"avif", "HEIF": b"mif1heic"}[kind])
    result = process(data[:8] + major + data[12:])
    assert result.format == kind
    assert corners(opened(result.variants[0].data)) == "rgbw"


def test_a_bmp_may_have_a_hot_spot():
    data = bytearray(written(quarters(), "BMP"))
    data[6:10] = b"\x1d\0\x27\0"
    assert process(bytes(data)).format == "BMP"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_used(kind):
    others = [Image.new("RGB", (600, 400), BLUE), Image.new("RGB", (600, 400), GREEN)]
    moving = written(quarters(), kind, save_all=True, append_images=others, duration=100, loop=0)
    assert corners(thumbnail_of(moving)) == "rgbw"


def test_an_mpo_of_a_camera_is_a_jpeg():
    result = process(written(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (600, 400), BLUE)]))
    assert result.format == "JPEG"
    assert corners(opened(result.variants[0].data)) == "rgbw"


def test_a_progressive_jpeg_is_decoded():
    assert corners(thumbnail_of(written(quarters(2400, 1600), "JPEG", progressive=True))) == "rgbw"


@pytest.mark.parametrize(
    "kind", ["DIB", "PPM", "ICO", "TGA", "EPS", "JPEG2000", "ICNS", "PDF", "DDS", "SGI", "PCX"]
)
def test_other_formats_of_pillow_are_unsupported(kind):
    assert error_code_of(written(quarters(64, 64), kind)) is ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "data", [b"just a text\n" * 50, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 99, b"%!PS"]
)
def test_files_that_are_not_images_are_unsupported(data):
    assert error_code_of(data) is ErrorCode.UNSUPPORTED_FORMAT


# --- damage and limits -----------------------------------------------------------------------------------------


@cache
def coarse(kind):
    return written(grain((350, 250), 80).convert("RGB"), kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_unreadable(kind, part):
    data = coarse(kind)
    assert error_code_of(data[: int(len(data) * part)]) is ErrorCode.UNREADABLE_IMAGE


@pytest.mark.parametrize(
    "start",
    [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x10\0\0\0WEBP", b"\0\0\0\x18ftypheic", b"MM\0*"],
)
def test_a_signature_without_data_is_unreadable(start):
    assert error_code_of(start + b"\x01" * 40) is ErrorCode.UNREADABLE_IMAGE


def test_a_header_that_declares_too_many_pixels_is_rejected():
    assert error_code_of(png_header(30_000, 30_000)) is ErrorCode.IMAGE_TOO_LARGE
    assert error_code_of(png_header(400_000, 400_000)) is ErrorCode.IMAGE_TOO_LARGE


def test_the_pixel_limit_is_exact():
    assert error_code_of(photo(100, 100), max_pixels=9_999) is ErrorCode.IMAGE_TOO_LARGE
    assert process_image(photo(100, 100), make_options(pixels=10_000)).width == 100


def test_formats_that_need_more_memory_have_a_lower_limit():
    memory = 208 * 2**20 + 10 * 1000 * 1000
    for kind, fits in (("JPEG", True), ("BMP", False), ("WEBP", False)):
        data = written(Image.new("RGB", (1000, 1000), RED), kind)
        if fits:
            process_image(data, make_options(memory_bytes=memory))
            continue
        with pytest.raises(
            UndecodableImageError, match=rf"1000 x 1000 pixels of {kind} need \d+ MiB to decode"
        ) as raised:
            process_image(data, make_options(memory_bytes=memory))
        assert raised.value.code is ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("edge", "progressive", "fits"), [(200, False, True), (2000, False, False), (200, True, False)]
)
def test_the_memory_of_a_jpeg_depends_on_its_decoding_scale(edge, progressive, fits):
    data = written(Image.new("RGB", (2000, 2000), RED), "JPEG", progressive=progressive, subsampling=0)
    wanted = make_options(Preset("p", edge, edge), memory_bytes=208 * 2**20 + 20_000_000)
    if fits:
        process_image(data, wanted)
        return
    with pytest.raises(UndecodableImageError, match="MiB to decode"):
        process_image(data, wanted)


def test_only_the_first_page_of_a_tiff_is_decoded():
    pages = [Image.new("RGB", (600, 400), BLUE)] * 3
    assert corners(thumbnail_of(written(quarters(), "TIFF", save_all=True, append_images=pages))) == "rgbw"


# --- the variants ----------------------------------------------------------------------------------------------


def test_variants_contain_no_metadata():
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "secret author")
    small, large = quarters(60, 40), quarters()
    for image in (small, large):
        transparent = image.convert("RGBA")
        transparent.putpixel((0, 0), (0, 0, 0, 0))
        for data in (
            written(
                image, "JPEG", exif=exif, comment=b"secret comment", icc_profile=b"secret profile", dpi=(99, 99)
            ),
            written(image, "PNG", exif=exif, pnginfo=text),
            written(image, "WEBP", exif=exif, xmp=b"<x:xmpmeta>secret</x:xmpmeta>"),
            written(transparent, "WEBP", exif=exif, xmp=b"<x:xmpmeta>secret</x:xmpmeta>"),
        ):
            (variant,) = process(data).variants
            assert b"secret" not in variant.data
            left = opened(variant.data).info.keys() - {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
            assert left <= {"loop", "background", "timestamp", "duration"}  # Pillow's entries for any WebP


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_same_original_gives_the_same_bytes(mode):
    data = written(half_transparent(mode), "PNG")
    assert process(data).variants == process(data).variants


@cache
def clouds():
    """Return an image of 12 megapixels without sharp edges, and its JPEG."""
    image = grain((64, 48), 90).resize((4032, 3024), Image.Resampling.BICUBIC).convert("RGB")
    return image, written(image, "JPEG", quality=95)


@pytest.mark.parametrize(
    ("edge", "eighths"), [(256, 1), (600, 2), (900, 3), (1200, 4), (1600, 5), (1900, 6), (2200, 8)]
)
def test_a_jpeg_is_decoded_at_the_smallest_sufficient_scale(edge, eighths):
    noise, data = clouds()
    wanted = make_options(Preset("p", edge, edge, quality=95))
    image = open_image(data)
    assert ProcessingContext(data, wanted, image, "JPEG", image.size).eighths == eighths
    decoded = opened(process_image(data, wanted).variants[0].data)
    full = noise.resize(decoded.size, Image.Resampling.LANCZOS)
    [rms] = ImageStat.Stat(ImageChops.difference(decoded.convert("L"), full.convert("L"))).rms
    assert rms**2 < 5  # 41 dB, including JPEG's own losses


@pytest.mark.parametrize("eighths", [*EIGHTHS, FULL_SCALE])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (17, 33), (101, 55), (640, 481)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_scaled_jpeg_has_the_computed_size(size, eighths, mode):
    data = written(Image.new(mode, size, 200 if mode == "L" else None), "JPEG")
    small = scaled_size(size, eighths)
    decoded = decode(open_image(data), data, small, eighths)
    assert (decoded.warning, decoded.image.size) == ("", small)


def test_steps_that_shrink_come_before_expensive_ones():
    names = [step.__name__ for step in STEPS]
    assert (
        names.index("shrink_on_load")
        < names.index("decode_first_frame")
        < names.index("resize")
        < names.index("apply_exif_orientation")
    )
