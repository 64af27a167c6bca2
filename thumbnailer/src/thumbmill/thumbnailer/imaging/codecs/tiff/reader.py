"""TIFF: what its tags say is judged by ourselves, and so are its pixels where Pillow does not do that well.

Pillow knows a table of kinds, shows some of them wrong and calls all others damaged. So what compresses bytes is
read here (``tiff_layout`` says what is shown, ``tiff_samples`` how). What compresses pixels, such as JPEG and fax,
and YCbCr are libtiff's by way of Pillow, and so are plain 8-bit pictures, which it reads in half the time: those
kinds alone of which its pictures are known to be right. It never sees a stranger's directory, but one of ours.
"""

from io import BytesIO

from PIL import Image, TiffImagePlugin

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff import writer
from thumbmill.thumbnailer.imaging.codecs.tiff.canvas import Canvas
from thumbmill.thumbnailer.imaging.codecs.tiff.chunks import BAND_BYTES
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import Ifd, Tiff, choose_main_ifd, find_ifds
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import (
    BYTEWISE,
    CMYK,
    LAB,
    NONE,
    PALETTE,
    RGB,
    YCBCR,
    PixelLayout,
    read_pixel_layout,
)
from thumbmill.thumbnailer.imaging.colour import COLOUR_SPACE_KEY, convert_to_srgb, name_colour_space
from thumbmill.thumbnailer.imaging.exif import apply_orientation
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight import camera_raw
from thumbmill.thumbnailer.imaging.preflight.costs import SampleCost

_UNPACKED = 48  # times its bytes is what a band of samples takes that are no whole bytes,
_WHOLE_BYTES = 8  # and of those that are
_CANVAS_BYTES = 6  # a pixel
_NANOSECONDS_PER_BYTE, _NANOSECONDS_ODD = 6, 60  # of unpacked samples; for each sample that is no whole bytes
_NANOSECONDS_PER_PIXEL = 10  # for all that follows
_MODES = {RGB: "RGB", PALETTE: "RGB", CMYK: "CMYK", LAB: "LAB"}  # by photometric interpretation; others are grey


def open_tiff(data: bytes) -> Image.Image:
    """Read the header of a TIFF, for its size, its EXIF and its profile. Raises UndecodableImageError.

    Of what is returned only that may be loaded which ``decode_tiff`` leaves alone.
    """
    tiff, directory, layout = _examine(data)
    ours = _is_ours(layout)
    size = layout.width, layout.height
    file = writer.write_header(tiff, directory, size) if ours else writer.write_whole(tiff, directory)
    try:
        TiffImagePlugin.READ_LIBTIFF = layout.photometric == YCBCR  # Pillow's own reader knows no subsampling
        return TiffImagePlugin.TiffImageFile(BytesIO(file))
    except (SyntaxError, ValueError, OSError) as fault:  # as Pillow says that it can't understand tags
        detail = "the tags of the TIFF make no sense together"
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, detail, cause=str(fault)) from fault
    finally:
        TiffImagePlugin.READ_LIBTIFF = False


def read_cost(data: bytes) -> SampleCost:
    """Read what decoding a TIFF takes; at its peak a chunk unpacked, a band of it and all pixels.

    Raises UndecodableImageError.
    """
    _, _, layout = _examine(data)
    held = 0 if layout.compression == NONE else 2 * max(layout.row_bytes * layout.chunk_height, BAND_BYTES)
    odd, pixels = layout.bits % 8 != 0, layout.width * layout.height
    band = (_UNPACKED if odd else _WHOLE_BYTES) * max(layout.row_bytes, BAND_BYTES)
    samples = pixels * layout.samples
    nanoseconds = samples * (_NANOSECONDS_ODD if odd else _NANOSECONDS_PER_BYTE * layout.bits / 8)
    return SampleCost(held + band + _CANVAS_BYTES * pixels, nanoseconds + pixels * _NANOSECONDS_PER_PIXEL)


def decode_tiff(data: bytes, header: Image.Image, *, keep_damaged: bool) -> tuple[Image.Image, bool] | None:
    """Decode a TIFF that was opened, and tell whether it is damaged; None for what is left to Pillow.

    Raises UndecodableImageError if it is damaged and shall not be kept, or if nothing is left of it.
    """
    _, _, layout = _examine(data)
    if not _is_ours(layout):
        return None
    canvas = Canvas(layout)
    damaged = canvas.fill(data, keep_damaged=keep_damaged)
    image = _make_image(layout, canvas, header)
    return apply_orientation(image, header.getexif().get(writer.ORIENTATION, 1)), damaged


def _examine(data: bytes) -> tuple[Tiff, Ifd, PixelLayout]:
    if name := camera_raw.name_by_signature(data):
        raise _refuse_raw(name)
    tiff = Tiff(data)
    directories = find_ifds(tiff)
    if name := camera_raw.name_by_ifds(directories):
        raise _refuse_raw(name)
    directory = choose_main_ifd(directories)
    return tiff, directory, read_pixel_layout(directory, tiff.order)


def _refuse_raw(name: str) -> UndecodableImageError:
    return UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, camera_raw.explain(name))


def _is_ours(layout: PixelLayout) -> bool:
    """Tell what is read here from what is left to Pillow."""
    plain = layout.bits == 8 and layout.samples == layout.colours and not layout.planar and layout.palette is None
    if layout.compression == NONE:
        return layout.photometric != YCBCR
    return layout.compression in BYTEWISE and not (plain and layout.photometric != LAB)


def _make_image(layout: PixelLayout, canvas: Canvas, header: Image.Image) -> Image.Image:
    """Make a picture of levels, in a mode that Pillow can convert and scale."""
    size, bare = (layout.width, layout.height), _MODES.get(layout.photometric, "L")
    mode = {"RGB": "RGBX"}.get(bare, bare)
    if layout.alpha and bare != "CMYK":
        mode = bare + ("a" if layout.alpha == "associated" else "A")
    image = Image.frombuffer(mode, size, canvas.pixels, "raw", mode, 0, 1)
    if mode in {"La", "RGBa"}:
        image = image.convert(mode.upper())
    image.info = {**header.info}
    if bare == "CMYK" and canvas.alpha is not None:
        named = name_colour_space(image)
        image = convert_to_srgb(image).convert("RGB")
        image.putalpha(Image.frombuffer("L", size, canvas.alpha, "raw", "L", 0, 1))
        image.info = {COLOUR_SPACE_KEY: named}
    return image
