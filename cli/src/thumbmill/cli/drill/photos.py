"""Photos that say who they are: a number, painted as black and white fields, that survives becoming a thumbnail."""

import io
import random
import zlib

from PIL import Image

ACROSS, DOWN = 8, 6  # fields: 32 bits of the number, 16 of a check sum
FIELD = 32  # pixels
_BITS = 48
_LEGIBLE = 6  # pixels a field has to have in a thumbnail


def paint(number: int) -> bytes:
    """Make the photo of a number below 2^32, as a JPEG of 5 KB."""
    bits = number << 16 | _check_sum(number)
    fields = Image.frombytes("L", (ACROSS, DOWN), bytes(230 if bits >> at & 1 else 25 for at in range(_BITS)))
    photo = fields.resize((ACROSS * FIELD, DOWN * FIELD), Image.Resampling.NEAREST)
    noise = random.Random(number).randbytes(photo.width * photo.height)  # noqa: S311 - the same for every run
    grain = Image.frombytes("L", photo.size, noise)
    file = io.BytesIO()
    bands = [Image.blend(photo, grain, share) for share in (0.05, 0.1, 0.15)]
    Image.merge("RGB", bands).save(file, "JPEG", quality=60)
    return file.getvalue()


def read(data: bytes) -> int | None:
    """Read the number off a photo or what was made from one; None where there is none, or half of one."""
    try:
        image = Image.open(io.BytesIO(data))
        fields = image.convert("L").resize((ACROSS, DOWN), Image.Resampling.BOX).tobytes()
    except Exception:  # noqa: BLE001 - whatever Pillow thinks of it, it is no photo of ours
        return None
    bits = sum((level > 127) << at for at, level in enumerate(fields))
    number = bits >> 16
    return number if bits & 0xFFFF == _check_sum(number) else None


def hides_number(data: bytes) -> bool:
    """Tell whether a picture has another shape than our photos, or is too small, to show the number on one."""
    try:
        width, height = Image.open(io.BytesIO(data)).size
    except (OSError, ValueError):
        return False
    return width < _LEGIBLE * ACROSS or abs(width * DOWN - height * ACROSS) > ACROSS  # rounding makes a pixel


def spoil(photo: bytes) -> bytes:
    """Cut a photo off in the middle, as a broken upload would."""
    return photo[: len(photo) // 2]


def poison(photo: bytes, fault: str) -> bytes:
    """Have a photo ask the decoder to ``crash``, ``hang`` or eat ``memory``; heard only with DECODER_FAULTS=on."""
    wish = b"thumbmill-fault:" + fault.encode()
    return photo[:2] + b"\xff\xfe" + (len(wish) + 2).to_bytes(2) + wish + photo[2:]


def _check_sum(number: int) -> int:
    return zlib.crc32(number.to_bytes(4)) & 0xFFFF
