"""GIFs built block by block, as no library writes them (GIF89a specification)."""

from dataclasses import dataclass

_BITS = 3  # of an index: the least size of a code


@dataclass(frozen=True)
class Frame:
    """A frame of one colour, unless its indices are given; with its position and disposal."""

    index: int = 1
    box: tuple[int, int, int, int] = (0, 0, 8, 8)  # left, upper, width, height
    disposal: int = 0
    clear: int | None = None  # the index that is transparent
    palette: tuple = ()
    hundredths: int = 10  # of a second
    indices: bytes = b""
    interlaced: bool = False


def gif(*frames, size=(8, 8), palette=(), background=0, loops=None, end=b";"):
    """Build a GIF whose palettes are tuples of colours; without one, none is written."""
    flags, table = _palette(palette)
    data = b"GIF89a" + _words(*size) + bytes((flags, background, 0)) + table
    if loops is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + _words(loops) + b"\0"
    for frame in frames:
        control = frame.disposal << 2 | (frame.clear is not None)
        data += b"\x21\xf9\x04" + bytes((control,)) + _words(frame.hundredths) + bytes((frame.clear or 0, 0))
        flags, table = _palette(frame.palette)
        data += b"," + _words(*frame.box) + bytes((flags | frame.interlaced << 6,)) + table
        indices = frame.indices or bytes((frame.index,)) * (frame.box[2] * frame.box[3])
        data += bytes((_BITS,)) + _blocks(_codes(indices))
    return data + end


def _words(*numbers):
    return b"".join(number.to_bytes(2, "little") for number in numbers)


def _palette(colours):
    if not colours:
        return 0, b""
    bits = max(1, (len(colours) - 1).bit_length())
    return 0x80 | bits - 1, bytes(level for colour in colours for level in colour).ljust(3 << bits, b"\0")


def _codes(indices):
    """Write indices as codes of one width: the table is cleared before it would grow beyond it."""
    clear, end, width = 1 << _BITS, (1 << _BITS) + 1, _BITS + 1
    codes = []
    for at, index in enumerate(indices):
        codes += [clear, index] if at % ((1 << _BITS) - 2) == 0 else [index]
    number = 0
    for place, code in enumerate([*(codes or [clear]), end]):
        number |= code << (place * width)
    return number.to_bytes((len(codes) + 2) * width // 8 + 1, "little")


def _blocks(data):
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"
