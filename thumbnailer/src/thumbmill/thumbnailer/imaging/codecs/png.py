"""PNGs: a decoder written in Rust, which reverses the filters with vector instructions, twice as fast as Pillow.

It decodes the common kinds: a bit depth of 8, not interlaced, no tRNS chunk, a single frame. Pillow decodes all
other kinds, and everything that this decoder rejects, so only Pillow decides which files are damaged.
"""

from kornia_rs.io import decode_image_png_u8
from PIL import Image, PngImagePlugin

from thumbmill.thumbnailer.imaging.codecs.png_chunks import read_chunks
from thumbmill.thumbnailer.imaging.geometry import Size

_MODES = {0: ("mono", "L"), 2: ("rgb", "RGB"), 6: ("rgba", "RGBA")}  # by colour type (PNG specification, 11.2.1)
_AFTER_FIRST_IDAT = {b"IDAT", b"IEND"}
_UNSUPPORTED = {b"tRNS", b"acTL"}  # a transparent colour, an animation


def decode(data: bytes, header: Image.Image) -> Image.Image | None:
    """Decode a PNG that Pillow has opened. Return None if it is not of a common kind or is damaged."""
    mode = _MODES.get(data[25])
    if mode is None or data[24] != 8 or data[28] or not _is_common(data):
        return None
    width, height = header.size
    try:
        pixels = decode_image_png_u8(data, (height, width), mode[0])
    except MemoryError:
        raise
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return None  # also after a panic in Rust, which is not an Exception
    image = Image.frombuffer(mode[1], header.size, pixels, "raw", mode[1], 0, 1)
    image.info = {**header.info}
    return image


class AlphaCanvas:
    """The drawn area of an animation without alpha. The rest of the canvas is transparent (third edition, 4.9)."""

    def __init__(self, size: Size) -> None:
        self.drawn = Image.new("L", size)

    def compose(self, frame: Image.Image) -> Image.Image:
        """Return the next frame, as Pillow has composed it, with an alpha channel if an area is not drawn."""
        box, disposal = frame.info.get("bbox"), frame.info.get("disposal")
        if box is None or frame.has_transparency_data or frame.mode not in {"1", "L", "P", "RGB"}:
            return frame
        previous = self.drawn.copy()
        self.drawn.paste(255, box)
        lowest, _ = self.drawn.getextrema()
        if lowest != 255:
            info, alpha = frame.info, self.drawn.copy()
            frame = frame.convert("RGB")
            frame.putalpha(alpha)
            frame.info = {**info}
        if disposal == PngImagePlugin.Disposal.OP_BACKGROUND:
            self.drawn.paste(0, box)
        elif disposal == PngImagePlugin.Disposal.OP_PREVIOUS:
            self.drawn = previous
        return frame


def _is_common(data: bytes) -> bool:
    """Return whether the chunks are those of a single, complete image, with only IEND after IDAT."""
    has_idat = False
    for chunk in read_chunks(data):
        if chunk.type in _UNSUPPORTED or (has_idat and chunk.type not in _AFTER_FIRST_IDAT):
            return False
        if chunk.type == b"IEND":
            return has_idat
        has_idat = has_idat or chunk.type == b"IDAT"
    return False
