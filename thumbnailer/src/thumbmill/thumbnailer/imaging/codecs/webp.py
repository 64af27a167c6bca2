"""Lossy WebPs, decoded to YUV planes, which are scaled before they are converted to RGB.

Pillow reads every WebP as an animation: it converts each pixel to RGBA and composes a canvas of them, which takes
twice as long as decoding and ten times the memory. So Pillow's libwebp is called directly here, by a function that
every version has. All other kinds, and files that cannot be decoded, are left to Pillow.
"""

import ctypes
from functools import cache

from PIL import Image, _webp

from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.resize import scale

_ANIMATION, _ALPHA = 0x02, 0x10  # flags of the chunk VP8X (RFC 9649, 2.7)
_MAX_CHUNKS = 100  # before the VP8 chunk: a profile, and unknown ones
# From luma of 16 to 235 and chroma of 16 to 240 to RGB (ITU-R BT.601, for VP8 in RFC 6386, 9.2).
_TO_RGB = (
    *(1.16438, 0.0, 1.59603, -222.921),
    *(1.16438, -0.39176, -0.81297, 135.576),
    *(1.16438, 2.01723, 0.0, -276.836),
)


def decode_yuv_scaled(data: bytes, image: Image.Image, size: Size) -> Image.Image | None:
    """Decode a WebP and scale it. Return None if it is lossless, has alpha, is animated or cannot be decoded."""
    library = _find_library()
    if library is None or not _is_plain_lossy(data):
        return None
    width, height, stride, chroma_stride = (ctypes.c_int() for _ in range(4))
    u, v = ctypes.c_void_p(), ctypes.c_void_p()
    luma = library.WebPDecodeYUV(data, len(data), width, height, u, v, stride, chroma_stride)
    if not luma:
        return None
    try:
        if (width.value, height.value) != image.size:
            return None
        chroma_size = (width.value + 1) // 2, (height.value + 1) // 2
        box = 0, 0, width.value / 2, height.value / 2  # half of the last chroma sample is outside of an odd edge
        planes = (
            scale(_view(luma, image.size, stride.value), size),
            scale(_view(u.value, chroma_size, chroma_stride.value), size, box),
            scale(_view(v.value, chroma_size, chroma_stride.value), size, box),
        )
    finally:
        library.WebPFree(luma)
    scaled = Image.merge("RGB", planes).convert("RGB", _TO_RGB)
    scaled.info = {**image.info}
    return scaled


def _is_plain_lossy(data: bytes) -> bool:
    """Return whether a WebP is a single lossy image without alpha (RFC 9649, 2.5 to 2.7)."""
    if data[12:16] == b"VP8X" and data[20] & (_ANIMATION | _ALPHA):
        return False
    at = 12
    for _ in range(_MAX_CHUNKS):
        fourcc, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if fourcc in {b"VP8 ", b"VP8L", b"ALPH", b"ANMF", b""}:
            return fourcc == b"VP8 "
        at += 8 + length + length % 2
    return False


def _view(address: int | None, size: Size, stride: int) -> Image.Image:
    """Return a view of a plane. It is valid until the plane is freed."""
    pixels = (ctypes.c_ubyte * (stride * size[1])).from_address(address or 0)
    return Image.frombuffer("L", size, pixels, "raw", "L", stride, 1)  # type: ignore[arg-type] # it is a buffer


@cache
def _find_library() -> ctypes.CDLL | None:
    """Return libwebp of Pillow's module, which is loaded, so no file is opened; None if it is not there."""
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
