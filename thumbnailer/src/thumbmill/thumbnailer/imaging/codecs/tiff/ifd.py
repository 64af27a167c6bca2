"""The image file directories (IFDs) of a TIFF, and the values in them. No pixels; nothing in a file is trusted.

A file is a header and a chain of IFDs, one for each page. An IFD is a list of tagged fields (TIFF 6.0, section 2).
BigTIFF is the same with numbers of eight bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

NEW_SUBFILE_TYPE, SUBFILE_TYPE, PHOTOMETRIC, SUB_IFDS = 254, 255, 262, 330  # tags
WIDTH, HEIGHT = 256, 257

_BIG_TIFF = 43  # in the header, where a classic TIFF has 42
# Bytes of each field type, and NumPy's types of those that are integers (TIFF 6.0, page 15).
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_REDUCED_RESOLUTION, _TRANSPARENCY_MASK = 1, 4  # bits of NewSubfileType (TIFF 6.0, page 36)
_OLD_REDUCED_RESOLUTION = 2  # SubfileType
MAX_ENTRIES = 4096  # of an IFD; baseline ones have a dozen, DNG's some hundred
_MAX_IFDS_TO_MAIN = 32  # that are searched for the main image; cameras write up to six

Numbers = NDArray[np.integer]


@dataclass(frozen=True)
class Value:
    """The value of a field: its type as a number (TIFF 6.0, page 15), and its bytes in the file's byte order."""

    field_type: int
    data: bytes = field(repr=False)

    @property
    def count(self) -> int:
        return len(self.data) // TYPE_BYTES[self.field_type]


class Ifd:
    """The fields of one image."""

    def __init__(self, tiff: "Tiff", entries: dict[int, tuple[int, int, int]], next_offset: int) -> None:
        self._tiff = tiff
        self._entries = entries  # by tag: field type, count, and offset of the value
        self.next_offset = next_offset  # of the next IFD; 0: this is the last

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    @property
    def tags(self) -> tuple[int, ...]:
        return tuple(self._entries)

    def value(self, tag: int) -> Value | None:
        """Return a tag's value; None if it is missing, has an unknown type or is not within the file."""
        field_type, count, offset = self._entries.get(tag, (0, 0, 0))
        size = count * TYPE_BYTES.get(field_type, 0)
        data = self._tiff.data[offset : offset + size]
        return Value(field_type, data) if size and len(data) == size else None

    def numbers(self, tag: int) -> Numbers:
        """Return a tag's integers; an empty array if it has none."""
        value = self.value(tag)
        if value is None or value.field_type not in _INTEGERS:
            return np.zeros(0, "u4")
        return np.frombuffer(value.data, self._tiff.byte_order + _INTEGERS[value.field_type])

    def number(self, tag: int, default: int) -> int:
        """Return a tag's first integer."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if numbers.size else default

    @property
    def pixels(self) -> int:
        return self.number(WIDTH, 0) * self.number(HEIGHT, 0)

    @property
    def is_full_image(self) -> bool:
        """Whether this is an image of its own: no thumbnail, no level of a pyramid, no mask of another image."""
        if self.number(NEW_SUBFILE_TYPE, 0) & (_REDUCED_RESOLUTION | _TRANSPARENCY_MASK):
            return False
        return self.number(SUBFILE_TYPE, 0) != _OLD_REDUCED_RESOLUTION


class Tiff:
    """A file, and its IFDs."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.byte_order = "<" if data[:2] == b"II" else ">"
        self._is_big = _BIG_TIFF in data[2:4]
        order = self.byte_order
        self._entry, self._offset = (f"{order}HHQ8x", "Q") if self._is_big else (f"{order}HHI4x", "I")
        self._bytes_left = len(data)  # that IFDs may still take: those of a valid file do not overlap

    @property
    def first_offset(self) -> int:
        return self._number(8, "Q") if self._is_big else self._number(4, "I")

    def read_ifd(self, offset: int) -> Ifd:
        """Read the IFD at an offset. Raise UndecodableImageError if there is none."""
        count, begin = (
            (self._number(offset, "Q"), offset + 8) if self._is_big else (self._number(offset, "H"), offset + 2)
        )
        step = struct.calcsize(self._entry)
        end = begin + count * step
        self._bytes_left -= end - offset
        if not 0 < count <= MAX_ENTRIES or end > len(self.data) or self._bytes_left < 0:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, f"there is no TIFF directory at byte {offset}")
        inline = struct.calcsize(self._offset)
        entries = dict[int, tuple[int, int, int]]()
        for at, (tag, field_type, number) in zip(
            range(begin, end, step), struct.iter_unpack(self._entry, self.data[begin:end]), strict=True
        ):
            value = at + step - inline
            if number * TYPE_BYTES.get(field_type, 0) > inline:
                value = self._number(value, self._offset)
            entries.setdefault(tag, (field_type, number, value))  # of duplicate tags, libtiff takes the first
        next_offset = self._number(end, self._offset) if end + inline <= len(self.data) else 0
        return Ifd(self, entries, next_offset)

    def chain(self) -> Iterator[Ifd]:
        """Yield the IFDs in order. A chain with a loop ends there."""
        offset, seen = self.first_offset, set[int]()
        while offset and offset not in seen:
            seen.add(offset)
            ifd = self.read_ifd(offset)
            yield ifd
            offset = ifd.next_offset

    def _number(self, at: int, code: str) -> int:
        try:
            return int(struct.unpack_from(self.byte_order + code, self.data, at)[0])
        except (struct.error, OverflowError) as error:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the TIFF ends before its directory") from error


def find_ifds(tiff: Tiff) -> list[Ifd]:
    """Return the first IFDs of a file and their SubIFDs, beginning with the first of the chain.

    Raise UndecodableImageError if there is none at all; damage after the first one ends the list.
    """
    found = list[Ifd]()
    try:
        for ifd in tiff.chain():
            found.append(ifd)
            if len(found) >= _MAX_IFDS_TO_MAIN:
                break
            offsets = ifd.numbers(SUB_IFDS)[: _MAX_IFDS_TO_MAIN - len(found)]
            found += [tiff.read_ifd(int(offset)) for offset in offsets]
    except UndecodableImageError:
        if not found:
            raise
    if not found:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the TIFF has no directory")
    return found


def choose_main_ifd(ifds: list[Ifd]) -> Ifd:
    """Choose the image to show: the first page, or the largest full image if the first page is a thumbnail."""
    first = ifds[0]
    if first.is_full_image:
        return first
    return max((ifd for ifd in ifds if ifd.is_full_image), key=_pixels, default=first)


def _pixels(ifd: Ifd) -> int:
    return ifd.pixels


def count_pages(data: bytes, most: int) -> int:
    """Count the full images in a file's chain. Stop after ``most`` IFDs and return the number of IFDs then.

    Damage after the first page ends the count, as the first page may be intact.
    """
    ifds = pages = 0
    try:
        for ifd in Tiff(data).chain():
            ifds += 1
            pages += ifd.is_full_image
            if ifds > most:
                return ifds
    except UndecodableImageError:
        pass
    return max(1, pages)
