"""GIFs: Pillow decodes each frame, and the frames are drawn as browsers do it.

Pillow fills the area around the first frame, and the area of a disposed frame, with a colour; browsers leave both
transparent. So Pillow decodes each frame to its indices here, as a file of its own. ``structure`` has checked that
no frame is too large for that.
"""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from thumbmill.thumbnailer.imaging.codecs.gif_blocks import Disposal, Frame, Gif, read_gif
from thumbmill.thumbnailer.imaging.formats import map_decode_errors

_TRANSPARENT = (0, 0, 0, 0)


def decode_first_frame(data: bytes) -> Image.Image:
    """Decode the first frame and draw it on the canvas. Raise UndecodableImageError if it is damaged."""
    gif = read_gif(data)
    with map_decode_errors():
        frame = _decode_frame(data, gif.frames[0])
    if gif.frames[0].box == (0, 0, *gif.size):
        return frame
    free = frame.info.get("transparency")
    if free is None and 0 in frame.histogram():
        free = frame.histogram().index(0)
    if free is None:  # every index is in use
        return _draw(Image.new("RGBA", gif.size, _TRANSPARENT), frame, gif.frames[0])
    canvas = Image.new("P", gif.size, free)
    canvas.putpalette(gif.frames[0].palette)
    canvas.paste(frame, gif.frames[0].box)
    canvas.info["transparency"] = free
    return canvas


def decode_frames(data: bytes, gif: Gif) -> Iterator[tuple[Image.Image, int]]:
    """Yield the canvas after each frame, in RGBA, and its milliseconds. Raise UndecodableImageError."""
    canvas = Image.new("RGBA", gif.size, _TRANSPARENT)
    for frame in gif.frames:
        before = canvas.crop(frame.box) if frame.disposal is Disposal.RESTORE_PREVIOUS else None
        with map_decode_errors():
            _draw(canvas, _decode_frame(data, frame), frame)
        yield canvas.copy(), frame.milliseconds
        if frame.disposal is not Disposal.KEEP:
            canvas.paste(before or _TRANSPARENT, frame.box)


def _draw(canvas: Image.Image, image: Image.Image, frame: Frame) -> Image.Image:
    colours = image.convert("RGBA")
    canvas.paste(colours, frame.box[:2], colours)
    return canvas


def _decode_frame(data: bytes, frame: Frame) -> Image.Image:
    """Decode a single frame to an image of its indices, with its palette and transparent index."""
    width, height = frame.size
    if 0 in frame.size:
        return Image.new("P", frame.size)
    edges = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    screen = b"GIF89a" + edges + bytes(3)
    descriptor = b"," + bytes(4) + edges + bytes((frame.is_interlaced << 6,))
    image = Image.open(BytesIO(screen + descriptor + data[frame.start : frame.end] + b";"), formats=["GIF"])
    image.load()
    image.putpalette(frame.palette)
    image.info = {} if frame.transparent_index is None else {"transparency": frame.transparent_index}
    return image
