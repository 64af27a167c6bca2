"""Small hostile files, made by hand to cost memory, time or a decoder process."""

import functools
import io
import struct
import zlib

from PIL import Image

from tests.support.images import photo
from tests.support.pngs import SIGNATURE, chunk

_BLOCK = 1 << 20


def webp(edge: int) -> bytes:
    """Return a lossless WebP of one colour: 34 bytes for any size, since a code for one value takes no bits."""
    sizes = (edge - 1) | (edge - 1) << 14
    stream = b"\x2f" + struct.pack("<I", sizes | 1 << 28) + bytes.fromhex("071011118888fe07")
    return _riff((b"VP8L", stream))


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_that_claims(width: int, height: int) -> bytes:
    """Return a lossy WebP of 640 x 480 whose header has another size."""
    data = bytearray(photo(kind="WEBP"))
    data[26:30] = struct.pack("<HH", width, height)
    return bytes(data)


def animated_webp_that_claims(width: int, height: int) -> bytes:
    """Return an animated WebP without a frame."""
    canvas = b"\2\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return _riff((b"VP8X", canvas), (b"ANIM", bytes(6)))


def png(width: int, height: int, colour: int = 6) -> bytes:
    """Return a complete PNG of zeros: a megabyte of them takes a kilobyte."""
    size = height * (1 + width * (4 if colour == 6 else 3))
    return _png(width, height, colour, [(b"IDAT", deflate_zeros(size))])


def _png(width: int, height: int, colour: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return SIGNATURE + b"".join(chunk(*each) for each in (head, *chunks, (b"IEND", b"")))


def deflate_zeros(size: int) -> bytes:
    """Return compressed zeros: one compressed block, repeated, so that they need no memory."""
    block = _deflate(_BLOCK)
    adler = (size % 65521) << 16 | 1
    return b"\x78\x9c" + block * (size // _BLOCK) + _deflate(size % _BLOCK) + b"\x03\x00" + struct.pack(">I", adler)


@functools.cache
def _deflate(size: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=-15)
    return squeeze.compress(bytes(size)) + squeeze.flush(zlib.Z_FULL_FLUSH)


def png_with_text(size: int, times: int = 1) -> bytes:
    """Return a PNG of one pixel with compressed texts of this size."""
    text = (b"zTXt", b"Comment\0\0" + deflate_zeros(size))
    return _png(1, 1, 2, [text] * times + [(b"IDAT", zlib.compress(bytes(4)))])


def png_with_profile(size: int) -> bytes:
    """Return a PNG of one pixel with a colour profile of this size."""
    return _png(1, 1, 2, [(b"iCCP", b"sRGB\0\0" + deflate_zeros(size)), (b"IDAT", zlib.compress(bytes(4)))])


def jpeg_that_claims(width: int, height: int) -> bytes:
    """Return a JPEG of 640 x 480 whose header has another size."""
    data = bytearray(photo())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_scans(scans: int, edge: int = 2048) -> bytes:
    """Return a progressive JPEG that repeats its last scan."""
    file = io.BytesIO()
    Image.new("L", (edge, edge), 90).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def gif(frames: int, edge: int = 1) -> bytes:
    """Return a GIF whose frames are all alike."""
    file = io.BytesIO()
    Image.new("P", (edge, edge)).save(file, "GIF")
    data = file.getvalue()
    first = data.index(b",\0\0\0\0")
    return data[:first] + data[first:-1] * frames + b";"


def gif_that_claims(width: int, height: int, top: int = 0) -> bytes:
    """Return a GIF with few bytes of data; ``top`` moves its frame down, out of the logical screen."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, top, width, height, 0) + b"\x02\x02\x44\x01\0;"


def tiff_that_claims(width: int, height: int) -> bytes:
    """Return an 8-bit grey TIFF with one strip of eight bytes."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 8}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x10\0\0\0" + bytes(8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def bmp_that_claims(width: int, height: int) -> bytes:
    """Return the two headers of a BMP, without pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def heif_that_claims(width: int, height: int, kind: str) -> bytes:
    """Return an AVIF or HEIF of 64 x 64 whose ``ispe`` box has another size."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind)
    box = b"ispe" + bytes(4)
    return file.getvalue().replace(box + struct.pack(">II", 64, 64), box + struct.pack(">II", width, height))


def documents() -> dict[str, bytes]:
    """Return documents that other programs would accept as images, and execute."""
    return {
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "psd": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 64, 64, 8, 3) + bytes(64),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(/etc/passwd) run\n",
        "html": b"<!doctype html><img src=x onerror=alert(1)>",
        "zip": b"PK\3\4" + bytes(26),
    }


# --- files of very many parts, and frames larger than in their file's header -------------------------------------


def jpeg_with_filler(count: int, filler: bytes = b"\xff") -> bytes:
    """Return a JPEG with fill bytes after its first segment, where a decoder looks for the next."""
    data = photo()
    first = 4 + int.from_bytes(data[4:6])
    return data[:first] + filler * count + data[first:]


def jpeg_of_filler(count: int) -> bytes:
    """Return a JPEG's first marker and fill bytes."""
    return b"\xff\xd8" + b"\xff" * count


def jpeg_of_segments(count: int) -> bytes:
    """Return a JPEG with this many empty APP5 segments in its header."""
    data = photo()
    return data[:2] + b"\xff\xe5\0\2" * count + data[2:]


def png_of_chunks(count: int, name: bytes = b"abCd", *, behind: bool = False) -> bytes:
    """Return a PNG with this many empty chunks before its image data, or ``behind`` it."""
    data = photo(kind="PNG")
    at = len(data) - 12 if behind else 33
    return data[:at] + chunk(name, b"") * count + data[at:]


def apng_that_claims(width: int, height: int) -> bytes:
    """Return a PNG of 640 x 480 with a frame of another size."""
    data = photo(kind="PNG")
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0))
    return data[:33] + control + frame + data[33:]


def gif_with_frame(width: int, height: int, disposal: int = 2) -> bytes:
    """Return a GIF of 10 x 10 whose frame has another size, which is allocated when the file is opened."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    control = b"!\xf9\4" + bytes((disposal << 2, 0, 0, 0)) + b"\0"
    return screen + control + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0;"


def webp_with_frame(width: int, height: int) -> bytes:
    """Return an animated WebP of 10 x 10 with a frame of another size."""
    frame = bytes(6) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3] + bytes(4)
    return _riff((b"VP8X", b"\2\0\0\0\x09\0\0\x09\0\0"), (b"ANIM", bytes(6)), (b"ANMF", frame))


def tiff_of_pages(count: int, order: str = "<") -> bytes:
    """Return a TIFF of this many pages, which share one pixel."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    page = struct.pack(order + "H", len(tags)) + entries
    size = len(page) + 4
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 16) + bytes(8)
    nexts = (0 if number == count - 1 else 16 + size * (number + 1) for number in range(count))
    return head + b"".join(page + struct.pack(order + "I", at) for at in nexts)


def tiff_with(tags: dict[int, tuple[int, int]]) -> bytes:
    """Return a TIFF of one grey pixel with further tags: their counts, and values or offsets."""
    plain = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    all_tags = sorted(({tag: (1, value) for tag, value in plain.items()} | tags).items())
    entries = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, (count, value) in all_tags)
    return b"II*\0\x10\0\0\0" + bytes(8) + struct.pack("<H", len(all_tags)) + entries + bytes(4)


def heif_of_items(count: int, brand: bytes = b"heic") -> bytes:
    """Return an AVIF or HEIF with this many items."""
    entry = _box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + b"hvc1\0")
    return _heif(brand, _box(b"iinf", b"\1\0\0\0" + struct.pack(">I", count) + entry * count))


def heif_of_properties(count: int, brand: bytes = b"heic") -> bytes:
    """Return an AVIF or HEIF with this many properties."""
    return _heif(brand, _box(b"iprp", _box(b"ipco", _box(b"free", b"") * count)))


def heif_of_grid(width: int, height: int, brand: bytes = b"avif") -> bytes:
    """Return an AVIF or HEIF with a grid of tiles that claims this size."""
    entry = _box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + b"grid\0")
    info = _box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 1) + entry)
    return _heif(brand, info, _box(b"idat", b"\0\1\xff\xff" + struct.pack(">II", width, height)))


def _heif(brand: bytes, *boxes: bytes) -> bytes:
    handler = _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    return _box(b"ftyp", brand + bytes(4) + brand) + _box(b"meta", bytes(4) + handler + b"".join(boxes))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body
