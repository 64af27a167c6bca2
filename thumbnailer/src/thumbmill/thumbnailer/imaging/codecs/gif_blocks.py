"""What a GIF consists of, by the GIF89a specification, and where it is silent, as Chromium has it."""

from dataclasses import dataclass

_SCREEN = 13  # bytes: the signature and the logical screen descriptor
_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL, _APPLICATION = 0xF9, 0xFF  # labels of extensions
_HAS_PALETTE, _SIZE_OF_PALETTE, _INTERLACED = 0x80, 0x07, 0x40  # flags
_COLOURS = 256

KEEP, CLEAR, RESTORE = range(3)  # what becomes of a frame before the next is drawn
_DISPOSALS = {2: CLEAR, 3: RESTORE, 4: RESTORE}  # old writers took 4 for a bit


@dataclass(frozen=True)
class Frame:
    """A frame before it is decoded."""

    box: tuple[int, int, int, int]  # left, upper, right, lower; may lie beyond the canvas
    is_interlaced: bool
    palette: bytes  # RGB of 256 colours
    clear: int | None  # the index that leaves what is below
    disposal: int
    milliseconds: int  # 0 where nothing is said
    start: int  # of its data: the size of a code, and blocks up to an empty one
    end: int

    @property
    def size(self) -> tuple[int, int]:
        """Give its width and height."""
        left, upper, right, lower = self.box
        return right - left, lower - upper


@dataclass(frozen=True)
class Gif:
    """A file's frames, as far as it goes."""

    size: tuple[int, int]  # of the canvas, which the first frame makes larger if it does not fit
    frames: tuple[Frame, ...]
    num_plays: int  # 0: without end


def read_gif(data: bytes) -> Gif:
    """Read all blocks up to the end, the first that is none, or where the file is cut."""
    width, height = _word(data, 6), _word(data, 8)
    everywhere, at = _read_palette(data, _SCREEN, data[10] if len(data) >= _SCREEN else 0)
    frames, control, num_plays = list[Frame](), b"", 1
    while at < len(data):
        if data[at] == _EXTENSION:
            body = data[at + 3 : at + 3 + data[at + 2]] if at + 2 < len(data) else b""
            if data[at + 1 : at + 2] == bytes((_CONTROL,)) and len(body) >= 4:
                control = body
            if data[at + 1 : at + 2] == bytes((_APPLICATION,)) and body in {b"NETSCAPE2.0", b"ANIMEXTS1.0"}:
                repeats = _word(data, at + 16) if data[at + 14 : at + 16] == b"\3\1" else 0
                num_plays = repeats + 1 if repeats else 0
            at = _skip_blocks(data, at + 2)
        elif data[at] == _IMAGE and at + 10 <= len(data):
            left, upper, *edges = (_word(data, at + offset) for offset in (1, 3, 5, 7))
            own, start = _read_palette(data, at + 10, data[at + 9])
            flags, end = control[0] if control else 0, _skip_blocks(data, start + 1)
            frames.append(
                Frame(
                    box=(left, upper, left + edges[0], upper + edges[1]),
                    is_interlaced=bool(data[at + 9] & _INTERLACED),
                    palette=(own or everywhere).ljust(3 * _COLOURS, b"\0"),  # what has no colour is black
                    clear=control[3] if flags & 1 else None,
                    disposal=_DISPOSALS.get(flags >> 2 & 7, KEEP),
                    milliseconds=10 * _word(control, 1),
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


def _read_palette(data: bytes, at: int, flags: int) -> tuple[bytes, int]:
    """Give a table of colours, empty if there is none, and where what follows it begins."""
    end = at + (6 << (flags & _SIZE_OF_PALETTE) if flags & _HAS_PALETTE else 0)
    return data[at:end], end


def _skip_blocks(data: bytes, at: int) -> int:
    """Say where the first block's successors end, which an empty one does."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return min(at + 1, len(data))


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
