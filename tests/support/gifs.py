"""GIFs built block by block (GIF89a specification), of kinds that no library writes."""

from dataclasses import dataclass

_BITS = 3  # of an index: the LZW minimum code size


@dataclass(frozen=True)
class Frame:
    """A frame of one colour, unless its indices are given; with its position and disposal."""

    index: int = 1
    box: tuple[int, int, int, int] = (0, 0, 8, 8)  # left, upper, width, height
    disposal: int = 0
    transparent: int | None = None  # index
    palette: tuple = ()
    hundredths: int = 10  # of a second
    indices: bytes = b""
    interlaced: bool = False


def gif(*frames, size=(8, 8), palette=(), background=0, loops=None, end=b";"):
    """Build a GIF. Palettes are tuples of colours; an empty one is not written."""
    flags, table = _colour_table(palette)
    data = b"GIF89a" + _numbers(*size) + bytes((flags, background, 0)) + table
    if loops is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + _numbers(loops) + b"\0"
    for frame in frames:
        control = frame.disposal << 2 | (frame.transparent is not None)
        data += (
            b"\x21\xf9\x04" + bytes((control,)) + _numbers(frame.hundredths) + bytes((frame.transparent or 0, 0))
        )
        flags, table = _colour_table(frame.palette)
        data += b"," + _numbers(*frame.box) + bytes((flags | frame.interlaced << 6,)) + table
        indices = frame.indices or bytes((frame.index,)) * (frame.box[2] * frame.box[3])
        data += bytes((_BITS,)) + _sub_blocks(_codes(indices))
    return data + end


def _numbers(*numbers):
    return b"".join(number.to_bytes(2, "little") for number in numbers)


def _colour_table(colours):
    if not colours:
        return 0, b""
    bits = max(1, (len(colours) - 1).bit_length())
    return 0x80 | bits - 1, bytes(level for colour in colours for level in colour).ljust(3 << bits, b"\0")


def _codes(indices):
    """Encode indices as codes of one width. A clear code precedes the point where codes would grow."""
    clear, end, width = 1 << _BITS, (1 << _BITS) + 1, _BITS + 1
    codes = []
    for at, index in enumerate(indices):
        codes += [clear, index] if at % ((1 << _BITS) - 2) == 0 else [index]
    number = 0
    for position, code in enumerate([*(codes or [clear]), end]):
        number |= code << (position * width)
    return number.to_bytes((len(codes) + 2) * width // 8 + 1, "little")


def _sub_blocks(data):
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"
