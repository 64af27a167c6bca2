"""Images that show their own number as black and white fields, large enough to be read from a thumbnail."""

import io
import random
import zlib

from PIL import Image

COLUMNS, ROWS = 8, 6  # fields: 32 bits of the number, 16 of a checksum
FIELD = 32  # pixels
_BITS = 48
_LEGIBLE = 6  # pixels that a field needs in a thumbnail


def render(number: int) -> bytes:
    """Return a number below 2^32 as a JPEG of 5 KB."""
    bits = number << 16 | _checksum(number)
    fields = Image.frombytes("L", (COLUMNS, ROWS), bytes(230 if bits >> at & 1 else 25 for at in range(_BITS)))
    enlarged = fields.resize((COLUMNS * FIELD, ROWS * FIELD), Image.Resampling.NEAREST)
    noise = random.Random(number).randbytes(enlarged.width * enlarged.height)  # noqa: S311 - the same in every run
    grain = Image.frombytes("L", enlarged.size, noise)
    file = io.BytesIO()
    bands = [Image.blend(enlarged, grain, share) for share in (0.05, 0.1, 0.15)]
    Image.merge("RGB", bands).save(file, "JPEG", quality=60)
    return file.getvalue()


def read_number(data: bytes) -> int | None:
    """Return the number that an image or its thumbnail shows; None if there is none, or only half of it."""
    try:
        image = Image.open(io.BytesIO(data))
        fields = image.convert("L").resize((COLUMNS, ROWS), Image.Resampling.BOX).tobytes()
    except Exception:  # noqa: BLE001 - Pillow may raise anything for another file
        return None
    bits = sum((level > 127) << at for at, level in enumerate(fields))
    number = bits >> 16
    return number if bits & 0xFFFF == _checksum(number) else None


def cannot_show_number(data: bytes) -> bool:
    """Return whether an image is too small to show the number, or cropped to another aspect ratio."""
    try:
        width, height = Image.open(io.BytesIO(data)).size
    except (OSError, ValueError):
        return False
    return width < _LEGIBLE * COLUMNS or abs(width * ROWS - height * COLUMNS) > COLUMNS  # a rounded pixel


def truncate(image: bytes) -> bytes:
    """Return the first half of a file, as an interrupted upload leaves it."""
    return image[: len(image) // 2]


def inject_fault(image: bytes, fault: str) -> bytes:
    """Return a JPEG with a comment that makes a decoder ``crash``, ``spin`` or exhaust its ``memory``.

    Only a thumbnailer with injected faults reacts to it.
    """
    comment = b"thumbmill-fault:" + fault.encode()
    return image[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + image[2:]


def _checksum(number: int) -> int:
    return zlib.crc32(number.to_bytes(4)) & 0xFFFF
