"""TIFFs: checks the tags of every file, and decodes the files that Pillow does not decode correctly.

Pillow supports a fixed list of pixel layouts, decodes some of them wrongly and reports all others as damaged. So
files whose compression is independent of pixels are decoded here (``layout`` lists what is supported, ``samples``
converts it). Pillow, and libtiff below it, decode YCbCr and compressed pixels, such as JPEG and fax. They also
decode plain 8-bit images, correctly and in half the time. They get only IFDs that are written here.
"""

from io import BytesIO

from PIL import Image, TiffImagePlugin

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff import writer
from thumbmill.thumbnailer.imaging.codecs.tiff.canvas import Canvas
from thumbmill.thumbnailer.imaging.codecs.tiff.chunks import BAND_BYTES
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import Ifd, Tiff, choose_main_ifd, find_ifds
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import PixelLayout, read_pixel_layout
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import (
    BYTEWISE,
    CMYK,
    LAB,
    NO_COMPRESSION,
    PALETTE,
    RGB,
    YCBCR,
)
from thumbmill.thumbnailer.imaging.colour import COLOUR_SPACE_KEY, convert_to_srgb, name_colour_space
from thumbmill.thumbnailer.imaging.exif import apply_orientation
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight import camera_raw
from thumbmill.thumbnailer.imaging.preflight.costs import SampleCost

# Memory of a band, as a multiple of its bytes: for samples that are not whole bytes, and for those that are.
_UNALIGNED_FACTOR, _ALIGNED_FACTOR = 48, 8
_CANVAS_BYTES = 6  # per pixel
# CPU time: for each decompressed byte, each sample that is not whole bytes, and each pixel in all that follows.
_NANOSECONDS_PER_BYTE, _NANOSECONDS_UNALIGNED, _NANOSECONDS_PER_PIXEL = 6, 60, 10
_MODES = {RGB: "RGB", PALETTE: "RGB", CMYK: "CMYK", LAB: "LAB"}  # by photometric interpretation; others are grey


def open_tiff(data: bytes) -> Image.Image:
    """Read the header of a TIFF, for its size, its EXIF and its profile. Raise UndecodableImageError.

    The pixels of the returned image may be loaded only if ``decode_tiff`` returns None for it.
    """
    tiff, ifd, layout = _examine(data)
    size = layout.width, layout.height
    file = writer.write_header(tiff, ifd, size) if _is_decoded_here(layout) else writer.write_whole(tiff, ifd)
    try:
        TiffImagePlugin.READ_LIBTIFF = layout.photometric == YCBCR  # Pillow's own reader knows no subsampling
        return TiffImagePlugin.TiffImageFile(BytesIO(file))
    except (SyntaxError, ValueError, OSError) as error:  # which Pillow raises for tags that it does not understand
        detail = "the tags of the TIFF contradict each other"
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, detail, cause=str(error)) from error
    finally:
        TiffImagePlugin.READ_LIBTIFF = False


def read_cost(data: bytes) -> SampleCost:
    """Compute the cost of decoding a TIFF. The peak is a decompressed chunk, a band of it and all pixels.

    Raise UndecodableImageError if it is unsupported or invalid.
    """
    _, _, layout = _examine(data)
    is_compressed = layout.compression != NO_COMPRESSION
    chunk = 2 * max(layout.row_bytes * layout.chunk_height, BAND_BYTES) if is_compressed else 0
    is_unaligned, pixels = layout.bits % 8 != 0, layout.width * layout.height
    band = (_UNALIGNED_FACTOR if is_unaligned else _ALIGNED_FACTOR) * max(layout.row_bytes, BAND_BYTES)
    per_sample = _NANOSECONDS_UNALIGNED if is_unaligned else _NANOSECONDS_PER_BYTE * layout.bits / 8
    nanoseconds = pixels * layout.samples * per_sample + pixels * _NANOSECONDS_PER_PIXEL
    return SampleCost(chunk + band + _CANVAS_BYTES * pixels, nanoseconds)


def decode_tiff(data: bytes, header: Image.Image, *, keep_damaged: bool) -> tuple[Image.Image, bool] | None:
    """Decode an opened TIFF, and return whether it is damaged; None for what is left to Pillow.

    Raise UndecodableImageError if it is damaged and ``keep_damaged`` is not set, or if no pixels are left.
    """
    _, _, layout = _examine(data)
    if not _is_decoded_here(layout):
        return None
    canvas = Canvas(layout)
    is_damaged = canvas.fill(data, keep_damaged=keep_damaged)
    image = _make_image(layout, canvas, header)
    return apply_orientation(image, header.getexif().get(writer.ORIENTATION, 1)), is_damaged


def _examine(data: bytes) -> tuple[Tiff, Ifd, PixelLayout]:
    if name := camera_raw.name_by_signature(data):
        raise _reject_raw(name)
    tiff = Tiff(data)
    ifds = find_ifds(tiff)
    if name := camera_raw.name_by_ifds(ifds):
        raise _reject_raw(name)
    ifd = choose_main_ifd(ifds)
    return tiff, ifd, read_pixel_layout(ifd, tiff.byte_order)


def _reject_raw(name: str) -> UndecodableImageError:
    return UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, camera_raw.explain(name))


def _is_decoded_here(layout: PixelLayout) -> bool:
    """Return whether the pixels are read here, and not by Pillow."""
    has_only_colours = layout.samples == layout.colours and not layout.is_planar and layout.palette is None
    is_plain = layout.bits == 8 and has_only_colours
    if layout.compression == NO_COMPRESSION:
        return layout.photometric != YCBCR
    return layout.compression in BYTEWISE and not (is_plain and layout.photometric != LAB)


def _make_image(layout: PixelLayout, canvas: Canvas, header: Image.Image) -> Image.Image:
    """Create an image of the levels, in a mode that Pillow can convert and scale."""
    size, opaque_mode = (layout.width, layout.height), _MODES.get(layout.photometric, "L")
    mode = {"RGB": "RGBX"}.get(opaque_mode, opaque_mode)
    if layout.alpha and opaque_mode != "CMYK":
        mode = opaque_mode + ("a" if layout.alpha == "associated" else "A")
    image = Image.frombuffer(mode, size, canvas.pixels, "raw", mode, 0, 1)
    if mode in {"La", "RGBa"}:
        image = image.convert(mode.upper())
    image.info = {**header.info}
    if opaque_mode == "CMYK" and canvas.alpha is not None:
        colour_space = name_colour_space(image)
        image = convert_to_srgb(image).convert("RGB")
        image.putalpha(Image.frombuffer("L", size, canvas.alpha, "raw", "L", 0, 1))
        image.info = {COLOUR_SPACE_KEY: colour_space}
    return image
