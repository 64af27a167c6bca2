"""The blocks of a GIF, by the GIF89a specification; where that leaves a choice, Chromium's rules apply."""

from dataclasses import dataclass
from enum import Enum, auto

_SCREEN_END = 13  # the header and the logical screen descriptor
EXTENSION_INTRODUCER, IMAGE_SEPARATOR = 0x21, 0x2C
_GRAPHIC_CONTROL, _APPLICATION = 0xF9, 0xFF  # extension labels
_HAS_COLOUR_TABLE, _COLOUR_TABLE_SIZE, _INTERLACED = 0x80, 0x07, 0x40  # flags
_TRANSPARENT = 0x01  # a flag of the graphic control extension
_COLOURS = 256


class Disposal(Enum):
    """What happens to a frame before the next one is drawn."""

    KEEP = auto()
    RESTORE_BACKGROUND = auto()
    RESTORE_PREVIOUS = auto()


_DISPOSAL_METHODS = {  # all others keep the frame
    2: Disposal.RESTORE_BACKGROUND,
    3: Disposal.RESTORE_PREVIOUS,
    4: Disposal.RESTORE_PREVIOUS,  # old encoders took the method for a set of bits
}


@dataclass(frozen=True)
class Frame:
    """An image with its graphic control extension, before it is decoded."""

    box: tuple[int, int, int, int]  # left, upper, right, lower; may exceed the logical screen
    is_interlaced: bool
    palette: bytes  # RGB of 256 colours
    transparent_index: int | None
    disposal: Disposal
    milliseconds: int  # of delay; 0: none is given
    start: int  # of the image data: the LZW minimum code size, and sub-blocks up to the terminator
    end: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        left, upper, right, lower = self.box
        return right - left, lower - upper


@dataclass(frozen=True)
class Gif:
    """The frames of a file, as far as they can be read."""

    size: tuple[int, int]  # of the logical screen, enlarged if the first frame does not fit
    frames: tuple[Frame, ...]
    num_plays: int  # 0: infinite


def read_gif(data: bytes) -> Gif:
    """Read all blocks up to the trailer, to an invalid block, or to the end of a truncated file."""
    width, height = _number(data, 6), _number(data, 8)
    global_table, at = _read_colour_table(data, _SCREEN_END, data[10] if len(data) >= _SCREEN_END else 0)
    frames, control, num_plays = list[Frame](), b"", 1
    while at < len(data):
        if data[at] == EXTENSION_INTRODUCER:
            body = data[at + 3 : at + 3 + data[at + 2]] if at + 2 < len(data) else b""
            label = data[at + 1 : at + 2]
            if label == bytes((_GRAPHIC_CONTROL,)) and len(body) >= 4:
                control = body
            if label == bytes((_APPLICATION,)) and body in {b"NETSCAPE2.0", b"ANIMEXTS1.0"}:
                repeats = _number(data, at + 16) if data[at + 14 : at + 16] == b"\3\1" else 0
                num_plays = repeats + 1 if repeats else 0
            at = skip_sub_blocks(data, at + 2)
        elif data[at] == IMAGE_SEPARATOR and at + 10 <= len(data):
            left, upper, *edges = (_number(data, at + offset) for offset in (1, 3, 5, 7))
            local_table, start = _read_colour_table(data, at + 10, data[at + 9])
            flags, end = control[0] if control else 0, skip_sub_blocks(data, start + 1)
            frames.append(
                Frame(
                    box=(left, upper, left + edges[0], upper + edges[1]),
                    is_interlaced=bool(data[at + 9] & _INTERLACED),
                    palette=(local_table or global_table).ljust(3 * _COLOURS, b"\0"),  # missing colours are black
                    transparent_index=control[3] if flags & _TRANSPARENT else None,
                    disposal=_DISPOSAL_METHODS.get(flags >> 2 & 7, Disposal.KEEP),
                    milliseconds=10 * _number(control, 1),
                    start=start,
                    end=end,
                )
            )
            at = end
            control = b""
        else:
            break
    if frames:
        width, height = max(width, frames[0].box[2]), max(height, frames[0].box[3])
    return Gif((width, height), tuple(frames), num_plays)


def _read_colour_table(data: bytes, at: int, flags: int) -> tuple[bytes, int]:
    """Return a colour table, empty if there is none, and the offset after it."""
    end = at + colour_table_bytes(flags)
    return data[at:end], end


def colour_table_bytes(flags: int) -> int:
    """Return the size of the colour table that a descriptor's flags declare (GIF89a, 18 and 20)."""
    return 6 << (flags & _COLOUR_TABLE_SIZE) if flags & _HAS_COLOUR_TABLE else 0


def skip_sub_blocks(data: bytes, at: int) -> int:
    """Return the offset after the block terminator, which is an empty sub-block."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return min(at + 1, len(data))


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
