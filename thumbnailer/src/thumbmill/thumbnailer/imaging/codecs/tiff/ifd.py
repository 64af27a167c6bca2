"""A TIFF's directories: where they are, and the numbers in them. No pixels, and no trust in anything they claim.

A file is a header and a chain of image file directories (IFDs), one for each page; a directory is a list of tags
(TIFF 6.0, section 2). BigTIFF has the same with numbers of eight bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

SUBFILE_TYPE, OLD_SUBFILE_TYPE, PHOTOMETRIC, SUB_DIRECTORIES = 254, 255, 262, 330  # tags
WIDTH, HEIGHT = 256, 257

_BIG = 43  # in the header, where a classic TIFF has 42
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType (TIFF 6.0, page 36)
_OLD_REDUCED = 2
_MOST_ENTRIES = 4096  # of a directory; baseline ones have a dozen, DNG's some hundred
_MOST_BEFORE_THE_PICTURE = 32  # directories that are looked at for the picture; cameras write up to six

Numbers = NDArray[np.integer]


@dataclass(frozen=True)
class Value:
    """What stands behind a tag: its type as a number (TIFF 6.0, page 15), and its bytes in the file's order."""

    kind: int
    data: bytes = field(repr=False)

    @property
    def count(self) -> int:
        return len(self.data) // _SIZES[self.kind]


class Ifd:
    """The tags of one picture."""

    def __init__(self, tiff: "Tiff", entries: dict[int, tuple[int, int, int]], following: int) -> None:
        self._tiff = tiff
        self._entries = entries  # by tag: type, count, and the place of the value
        self.following = following  # the next directory's offset; 0 is none

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    @property
    def tags(self) -> tuple[int, ...]:
        return tuple(self._entries)

    def value(self, tag: int) -> Value | None:
        """Return a tag's value; None where it is missing, has an unknown type or does not lie in the file."""
        kind, count, at = self._entries.get(tag, (0, 0, 0))
        size = count * _SIZES.get(kind, 0)
        data = self._tiff.data[at : at + size]
        return Value(kind, data) if size and len(data) == size else None

    def numbers(self, tag: int) -> Numbers:
        """Return a tag's whole numbers; none where it has none."""
        value = self.value(tag)
        if value is None or value.kind not in _WHOLE_NUMBERS:
            return np.zeros(0, "u4")
        return np.frombuffer(value.data, self._tiff.order + _WHOLE_NUMBERS[value.kind])

    def number(self, tag: int, default: int) -> int:
        """Return a tag's first whole number."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if numbers.size else default

    @property
    def pixels(self) -> int:
        return self.number(WIDTH, 0) * self.number(HEIGHT, 0)

    @property
    def is_whole(self) -> bool:
        """Whether this is a picture by itself: no thumbnail, no level of a pyramid, no mask of another."""
        if self.number(SUBFILE_TYPE, 0) & (_REDUCED | _MASK):
            return False
        return self.number(OLD_SUBFILE_TYPE, 0) != _OLD_REDUCED


class Tiff:
    """A file, and the way through its directories."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self._is_big = _BIG in data[2:4]
        self._entry, self._offset = (f"{self.order}HHQ8x", "Q") if self._is_big else (f"{self.order}HHI4x", "I")
        self._left = len(data)  # bytes of directories that may still be read: they can't overlap in a sound file

    @property
    def first(self) -> int:
        return self._number(8, "Q") if self._is_big else self._number(4, "I")

    def directory(self, offset: int) -> Ifd:
        """Read the directory at an offset. Raises UndecodableImageError if there is none."""
        count, begin = (
            (self._number(offset, "Q"), offset + 8) if self._is_big else (self._number(offset, "H"), offset + 2)
        )
        step = struct.calcsize(self._entry)
        end = begin + count * step
        self._left -= end - offset
        if not 0 < count <= _MOST_ENTRIES or end > len(self.data) or self._left < 0:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, f"there is no TIFF directory at byte {offset}")
        inline = struct.calcsize(self._offset)
        entries = dict[int, tuple[int, int, int]]()
        for at, (tag, kind, number) in zip(
            range(begin, end, step), struct.iter_unpack(self._entry, self.data[begin:end]), strict=True
        ):
            value = at + step - inline
            if number * _SIZES.get(kind, 0) > inline:
                value = self._number(value, self._offset)
            entries.setdefault(tag, (kind, number, value))  # of two with one tag, libtiff takes the first
        following = self._number(end, self._offset) if end + inline <= len(self.data) else 0
        return Ifd(self, entries, following)

    def chain(self) -> Iterator[Ifd]:
        """Give the directories one after the other; a chain that comes back to itself ends there."""
        offset, seen = self.first, set[int]()
        while offset and offset not in seen:
            seen.add(offset)
            directory = self.directory(offset)
            yield directory
            offset = directory.following

    def _number(self, at: int, code: str) -> int:
        try:
            return int(struct.unpack_from(self.order + code, self.data, at)[0])
        except (struct.error, OverflowError) as fault:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the TIFF ends before its directory") from fault


def find_ifds(tiff: Tiff) -> list[Ifd]:
    """Return the first directories of a file and the ones below them, the chain's first one first.

    Raises UndecodableImageError if there is none at all; behind the first, damage ends the list.
    """
    found = list[Ifd]()
    try:
        for directory in tiff.chain():
            found.append(directory)
            if len(found) >= _MOST_BEFORE_THE_PICTURE:
                break
            below = directory.numbers(SUB_DIRECTORIES)[: _MOST_BEFORE_THE_PICTURE - len(found)]
            found += [tiff.directory(int(offset)) for offset in below]
    except UndecodableImageError:
        if not found:
            raise
    if not found:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the TIFF has no directory")
    return found


def choose_main_ifd(directories: list[Ifd]) -> Ifd:
    """Choose what a file shows: its first page, or if that is but a thumbnail, the largest whole picture."""
    first = directories[0]
    if first.is_whole:
        return first
    return max((directory for directory in directories if directory.is_whole), key=_pixels, default=first)


def _pixels(directory: Ifd) -> int:
    return directory.pixels


def count_pages(data: bytes, most: int) -> int:
    """Count the whole pictures in a file's chain; a file of more than ``most`` directories is not walked further.

    Damage behind the first page ends the count, as the first may be whole for all that.
    """
    directories = pages = 0
    try:
        for directory in Tiff(data).chain():
            directories += 1
            pages += directory.is_whole
            if directories > most:
                return directories
    except UndecodableImageError:
        pass
    return max(1, pages)
