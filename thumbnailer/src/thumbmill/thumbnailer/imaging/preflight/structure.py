"""The look at a file's structure that comes before any library's: how much of everything its headers claim.

Libraries believe headers, and some walk through a file in time that no limit on pixels bounds, or take the memory
of a frame before anybody can ask how large it is. So here the claims are added up, in one walk that gives up early.
A file that makes no sense is left to the libraries, whose business that is.
"""

import struct
from collections.abc import Iterator

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import MARKER, SOS, STANDALONE
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import count_pages
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight import iso_items
from thumbmill.thumbnailer.imaging.preflight.costs import check_size
from thumbmill.thumbnailer.imaging.preflight.tiff_claims import check_claims

_MOST_SEGMENTS = 5_000  # of a JPEG's header: one of 64 KB each for 50 MB of them is a sixth of that
_MOST_FILLER = 1 << 20  # bytes between them; cameras align thumbnails so, by kilobytes
_MOST_CHUNKS = 10_000  # of a PNG or WebP beside those of its pixels
_MOST_PIXEL_CHUNKS = 100_000  # of 8 KB each, as many programs write them, that is more than any upload
_PIXELS = {b"IDAT", b"fdAT"}
_IMAGE, _EXTENSION = 0x2C, 0x21  # a GIF's blocks (GIF89a, appendix A)
_ANIMATION = 0x02  # VP8X's flag (RFC 9649, 2.7)


def check_structure(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Refuse what claims too much. Raises UndecodableImageError, SlowImageError unless it may be ``slow``."""
    match name:
        case "JPEG":
            _check_jpeg(data)
        case "PNG":
            _check_png(data, limits, slow=slow)
        case "GIF":
            _check_gif(data, limits, slow=slow)
        case "WEBP":
            _check_webp(data, limits, slow=slow)
        case "TIFF":
            if count_pages(data, limits.frames) > limits.frames:
                raise too_many(limits.frames, "pages")
            check_claims(data, limits, slow=slow)
        case "AVIF" | "HEIF":
            iso_items.check_items(data, name, limits, slow=slow)
        case "BMP":
            pass  # a fixed header


def too_many(count: int, what: str) -> UndecodableImageError:
    """Say that there are too many of something."""
    return UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {count} {what}")


def _check_jpeg(data: bytes) -> None:
    """Walk to the first scan as Pillow does, which takes 0.5 µs for each byte of filler and 5 for a segment."""
    at, filler, segments = 2, 0, 0
    while found := MARKER.search(data, at):
        filler += found.end() - 2 - at
        if filler > _MOST_FILLER:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "its header lies in filler")
        marker, at = found[1][0], found.end()
        if marker == SOS:
            return
        segments += 1
        if segments > _MOST_SEGMENTS:
            raise too_many(_MOST_SEGMENTS, "segments")
        at += 0 if marker in STANDALONE else int.from_bytes(data[at : at + 2])
    if len(data) - at > _MOST_FILLER:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "it has no scan")


def _check_png(data: bytes, limits: Limits, *, slow: bool) -> None:
    others, pixels = 0, 0
    for kind, at in _read_chunks(data):
        if kind in _PIXELS:
            pixels += 1
        else:
            others += 1
        if others > _MOST_CHUNKS:
            raise too_many(_MOST_CHUNKS, "chunks beside those of its pixels")
        if pixels > _MOST_PIXEL_CHUNKS:
            raise too_many(_MOST_PIXEL_CHUNKS, "chunks of pixels")
        if kind in {b"IHDR", b"fcTL"} and at + 12 <= len(data):  # an animation's frame has its number first
            width, height = struct.unpack_from(">II", data, at if kind == b"IHDR" else at + 4)
            check_size((width, height), "PNG", limits, slow=slow)
        if kind == b"acTL" and at + 4 <= len(data) and int.from_bytes(data[at : at + 4]) > limits.frames:
            raise too_many(limits.frames, "frames")


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Give each chunk's type, and where its contents begin (PNG specification, 5.3)."""
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        yield kind, at + 8
        if kind == b"IEND":
            return
        at += 12 + length


def _check_gif(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Check the screen and every frame: a frame's own memory is taken whatever the screen's size is.

    The first makes the screen larger if it lies beyond it; of any other, what lies beyond is not drawn.
    """
    if len(data) < 13:
        return
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    frames, at = 0, 13 + _count_colours(flags)
    while at < len(data) and data[at] in (_IMAGE, _EXTENSION):
        if data[at] == _EXTENSION:
            at = _skip_blocks(data, at + 2)
            continue
        if at + 10 > len(data):
            return
        left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
        size = across, down
        if frames == 0:
            size = max(width, left + across), max(height, top + down)
        check_size(size, "GIF", limits, slow=slow)
        frames += 1
        if frames > limits.frames:
            raise too_many(limits.frames, "frames")
        at = _skip_blocks(data, at + 11 + _count_colours(flags))


def _count_colours(flags: int) -> int:
    """Give the bytes of a colour table (GIF89a, 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _check_webp(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Check the canvas and every frame: libwebp takes the memory of two canvases as soon as it opens a file."""
    at, chunks, frames = 12, 0, 0
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if size := _read_webp_size(kind, data[at + 8 : at + 8 + 16]):
            check_size(size, "WEBP", limits, slow=slow)
        frames += kind == b"ANMF"
        chunks += kind != b"ANMF"
        if frames > limits.frames:
            raise too_many(limits.frames, "frames")
        if chunks > _MOST_CHUNKS:
            raise too_many(_MOST_CHUNKS, "chunks")
        if kind in {b"VP8 ", b"VP8L"}:
            return
        at += 8 + length + length % 2


def _read_webp_size(kind: bytes, head: bytes) -> tuple[int, int] | None:
    """Read the size that a chunk claims (RFC 9649, 2.5 to 2.7; RFC 6386, 9.1); None if it claims none."""
    match kind:
        case b"VP8X":
            return _number(head[4:7]) + 1, _number(head[7:10]) + 1
        case b"ANMF":
            return _number(head[6:9]) + 1, _number(head[9:12]) + 1
        case b"VP8L":
            return _number(head[1:3]) % 2**14 + 1, (_number(head[1:5]) >> 14) % 2**14 + 1
        case b"VP8 ":
            return _number(head[6:8]) % 2**14, _number(head[8:10]) % 2**14
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
