"""Decoding a GIF: each frame by Pillow, and drawn over the ones before as browsers draw it.

Pillow's own drawing fills with a colour what the first frame leaves free and what is disposed of; browsers leave
both clear. Here Pillow decodes a frame to its indices, as a file of its own. No frame is too
large for that: ``structure`` has looked at each.
"""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from thumbmill.thumbnailer.imaging.codecs.gif_blocks import KEEP, RESTORE, Frame, Gif, read_gif
from thumbmill.thumbnailer.imaging.formats import map_decode_errors

_CLEAR = (0, 0, 0, 0)


def decode_first_frame(data: bytes) -> Image.Image:
    """Decode the first frame and lay it on the canvas. Raises UndecodableImageError for a damaged one."""
    gif = read_gif(data)
    with map_decode_errors():
        frame = _decode_frame(data, gif.frames[0])
    if gif.frames[0].box == (0, 0, *gif.size):
        return frame
    free = frame.info.get("transparency")
    if free is None and 0 in frame.histogram():
        free = frame.histogram().index(0)
    if free is None:  # every index is in use
        return _draw(Image.new("RGBA", gif.size, _CLEAR), frame, gif.frames[0])
    canvas = Image.new("P", gif.size, free)
    canvas.putpalette(gif.frames[0].palette)
    canvas.paste(frame, gif.frames[0].box)
    canvas.info["transparency"] = free
    return canvas


def decode_frames(data: bytes, gif: Gif) -> Iterator[tuple[Image.Image, int]]:
    """Give each frame as it is seen, in RGBA, and how many milliseconds. Raises UndecodableImageError."""
    canvas = Image.new("RGBA", gif.size, _CLEAR)
    for frame in gif.frames:
        before = canvas.crop(frame.box) if frame.disposal == RESTORE else None
        with map_decode_errors():
            _draw(canvas, _decode_frame(data, frame), frame)
        yield canvas.copy(), frame.milliseconds
        if frame.disposal != KEEP:
            canvas.paste(before or _CLEAR, frame.box)


def _draw(canvas: Image.Image, picture: Image.Image, frame: Frame) -> Image.Image:
    colours = picture.convert("RGBA")
    canvas.paste(colours, frame.box[:2], colours)
    return canvas


def _decode_frame(data: bytes, frame: Frame) -> Image.Image:
    """Decode a frame alone, to a picture of its indices, palette and clear index."""
    width, height = frame.size
    if 0 in frame.size:
        return Image.new("P", frame.size)
    edges = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    screen = b"GIF89a" + edges + bytes(3)
    descriptor = b"," + bytes(4) + edges + bytes((frame.is_interlaced << 6,))
    image = Image.open(BytesIO(screen + descriptor + data[frame.start : frame.end] + b";"), formats=["GIF"])
    image.load()
    image.putpalette(frame.palette)
    image.info = {} if frame.clear is None else {"transparency": frame.clear}
    return image
