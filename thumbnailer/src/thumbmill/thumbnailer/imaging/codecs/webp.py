"""Lossy WebP, decoded to the planes that it consists of and scaled before they become colours.

Pillow reads every WebP as an animation: it converts each pixel to RGBA and composes a canvas of them, which takes
twice as long as decoding and ten times the memory. So here its own libwebp is called directly, by a function that
is as old as the library. Whatever is not plain, or fails, is left to Pillow.
"""

import ctypes
from functools import cache

from PIL import Image, _webp

from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.resize import scale

_ANIMATION, _ALPHA = 0x02, 0x10  # flags of the chunk VP8X (RFC 9649, 2.7)
_MOST_CHUNKS = 100  # before the picture's own: a profile, and what nobody knows
# From luma of 16 to 235 and chroma of 16 to 240 to RGB (ITU-R BT.601, as VP8 has it: RFC 6386, 9.2).
_TO_RGB = (
    *(1.16438, 0.0, 1.59603, -222.921),
    *(1.16438, -0.39176, -0.81297, 135.576),
    *(1.16438, 2.01723, 0.0, -276.836),
)


def decode_yuv_scaled(data: bytes, image: Image.Image, size: Size) -> Image.Image | None:
    """Decode a WebP and scale it; None for what is not lossy, has alpha, moves, or can't be decoded."""
    library = _library()
    if library is None or not _is_plain(data):
        return None
    width, height, stride, chroma_stride = (ctypes.c_int() for _ in range(4))
    blue, red = ctypes.c_void_p(), ctypes.c_void_p()
    luma = library.WebPDecodeYUV(data, len(data), width, height, blue, red, stride, chroma_stride)
    if not luma:
        return None
    try:
        if (width.value, height.value) != image.size:
            return None
        halves = (width.value + 1) // 2, (height.value + 1) // 2
        box = 0, 0, width.value / 2, height.value / 2  # of an odd edge, half of the last chroma pixel lies outside
        planes = (
            scale(_view(luma, image.size, stride.value), size),
            scale(_view(blue.value, halves, chroma_stride.value), size, box),
            scale(_view(red.value, halves, chroma_stride.value), size, box),
        )
    finally:
        library.WebPFree(luma)
    scaled = Image.merge("RGB", planes).convert("RGB", _TO_RGB)
    scaled.info = {**image.info}
    return scaled


def _is_plain(data: bytes) -> bool:
    """Tell whether a WebP is one lossy picture without alpha (RFC 9649, 2.5 to 2.7)."""
    if data[12:16] == b"VP8X" and data[20] & (_ANIMATION | _ALPHA):
        return False
    at = 12
    for _ in range(_MOST_CHUNKS):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in {b"VP8 ", b"VP8L", b"ALPH", b"ANMF", b""}:
            return kind == b"VP8 "
        at += 8 + length + length % 2
    return False


def _view(address: int | None, size: Size, stride: int) -> Image.Image:
    """Look at a plane where it lies; to be scaled before it is freed."""
    pixels = (ctypes.c_ubyte * (stride * size[1])).from_address(address or 0)
    return Image.frombuffer("L", size, pixels, "raw", "L", stride, 1)  # type: ignore[arg-type] # a buffer it is


@cache
def _library() -> ctypes.CDLL | None:
    """Find libwebp behind Pillow's module, which is loaded, so no file is opened; None if it is not there."""
    try:
        library = ctypes.CDLL(_webp.__file__)
        decode, free = library.WebPDecodeYUV, library.WebPFree
    except (OSError, AttributeError):
        return None
    integer, pointer = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_void_p)
    decode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, integer, integer, pointer, pointer, integer, integer]
    decode.restype = ctypes.c_void_p
    free.argtypes = [ctypes.c_void_p]
    free.restype = None
    return library
