"""How a file is divided into the parts of a multipart upload, and which parts make it up. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from thumbmill.core.object_store.listing import StoredPart

MIN_PART_BYTES = 5 * 1024 * 1024  # S3's minimum for every part but the last
MAX_PARTS = 10_000  # S3's


def part_bytes(size: int) -> int:
    """Return the size of every part but the last for a file of this size; Uppy computes the same."""
    return max(MIN_PART_BYTES, ceil(size / MAX_PARTS))


def part_count(size: int) -> int:
    """Return the number of parts of a file of this size."""
    return ceil(size / part_bytes(size))


def bytes_of_part(number: int, size: int) -> int:
    """Return the size of a part, numbered from 1, of a file of this size."""
    return min(part_bytes(size), size - (number - 1) * part_bytes(size))


def find_invalid_parts(
    stored: Sequence[StoredPart], size: int | None, etags: Mapping[int, str] | None
) -> list[int]:
    """Return the numbers of the parts that are missing, or are not those of the file; [] if all are there.

    The file has this size, unless it is unknown, and the parts that the client lists (number: ETag), if it does.
    """
    present = {part.number: part for part in stored}
    if size is not None:
        expected: Iterable[int] = range(1, part_count(size) + 1)
        wrong = {number for number in expected if not _has_size(present.get(number), bytes_of_part(number, size))}
    else:
        expected = range(1, max([*present, *(etags or {}), 1]) + 1)
        wrong = {number for number in expected if number not in present}
    for number, etag in (etags or {}).items():
        if number not in present or present[number].etag != etag.strip('"'):
            wrong.add(number)
    return sorted(wrong)


def _has_size(part: StoredPart | None, size: int) -> bool:
    return part is not None and part.size == size
