"""The layout of a TIFF's pixels, as its tags describe it. What is not supported is rejected by name.

The rules are those of TIFF 6.0 and its supplements, and libtiff's where those leave a choice.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff import tags
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import HEIGHT, PHOTOMETRIC, WIDTH, Ifd, Numbers
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import (
    BLACK_IS_ZERO,
    BYTEWISE,
    CMYK,
    COLOUR_SAMPLES,
    FAX,
    JPEG,
    LAB,
    NO_COMPRESSION,
    OLD_JPEG,
    PALETTE,
    PHOTOMETRIC_NAMES,
    PREDICTABLE,
    RGB,
    THUNDERSCAN,
    WHITE_IS_ZERO,
    YCBCR,
)
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

_DIFFERENCING_BITS = {8, 16, 32, 64}  # bit depths for which libtiff knows horizontal differencing
_FLOAT_BITS = {16, 32, 64}
_INTEGER_BITS = {*range(1, 17), 24, 32, 64}
_MAX_CHUNKS = 2**20  # of 256 pixels, as the smallest tiles have, that is five times what MAX_PIXELS allows
_ALL_ROWS = 2**31  # RowsPerStrip is larger where one strip holds all of them

Alpha = Literal["associated", "unassociated"]


@dataclass(frozen=True)
class PixelLayout:
    """The layout of one image's pixels in the file. A chunk is a strip or a tile."""

    width: int  # pixels
    height: int
    photometric: int
    samples: int  # of a pixel, with those that do not show
    bits: int  # of a sample
    is_float: bool
    alpha: Alpha | None  # of the sample after the colours
    is_planar: bool  # separate planes: each sample has chunks of its own
    compression: int
    predictor: int
    lsb_first: bool  # bit order within bytes
    byte_order: str  # < or >
    is_tiled: bool
    chunk_width: int  # pixels
    chunk_height: int
    offsets: Numbers  # of the chunks
    byte_counts: Numbers
    palette: NDArray[np.uint8] | None  # levels of red, green and blue, by index

    @property
    def colours(self) -> int:
        """Count the samples that are the colour."""
        return COLOUR_SAMPLES[self.photometric]

    @property
    def visible_samples(self) -> int:
        """Count the samples that show: colours and alpha."""
        return self.colours + (self.alpha is not None)

    @property
    def chunk_samples(self) -> int:
        """Count the samples of a pixel in one chunk."""
        return 1 if self.is_planar else self.samples

    @property
    def chunks_across(self) -> int:
        """Count the chunks in a row of chunks."""
        return -(-self.width // self.chunk_width)

    @property
    def chunks_down(self) -> int:
        """Count the rows of chunks."""
        return -(-self.height // self.chunk_height)

    @property
    def row_bytes(self) -> int:
        """Count the bytes of one row of a chunk; rows begin at byte boundaries."""
        return -(-self.chunk_width * self.chunk_samples * self.bits // 8)

    def rows(self, down: int) -> int:
        """Count the rows in a chunk. The last strip has what is left of the image; a tile is always complete."""
        left = self.height - down * self.chunk_height
        return self.chunk_height if self.is_tiled else min(self.chunk_height, left)


def read_pixel_layout(ifd: Ifd, byte_order: str) -> PixelLayout:
    """Read the layout from an IFD. Raise UndecodableImageError if it is unsupported or invalid."""
    width, height = ifd.number(WIDTH, 0), ifd.number(HEIGHT, 0)
    if width < 1 or height < 1:
        raise _invalid(f"the TIFF has a size of {width} x {height} pixels")
    compression, samples = ifd.number(tags.COMPRESSION, NO_COMPRESSION), ifd.number(tags.SAMPLES_PER_PIXEL, 1)
    photometric = _read_photometric(ifd, compression, samples)
    if compression == OLD_JPEG:
        photometric, samples = YCBCR, ifd.number(tags.SAMPLES_PER_PIXEL, 3)
    if photometric not in COLOUR_SAMPLES:
        name = PHOTOMETRIC_NAMES.get(photometric, str(photometric))
        raise _unsupported(f"TIFF with the photometric interpretation {name}")
    colours = 1 if photometric == YCBCR and samples == 1 else COLOUR_SAMPLES[photometric]
    if samples < colours:
        raise _invalid(
            f"the TIFF has {samples} samples per pixel, but {PHOTOMETRIC_NAMES[photometric]} needs {colours}"
        )
    photometric = BLACK_IS_ZERO if colours == 1 and photometric == YCBCR else photometric
    is_planar = ifd.number(tags.PLANAR_CONFIGURATION, 1) == tags.SEPARATE_PLANES and samples > 1
    alpha = _read_alpha(ifd, samples - colours)
    visible = colours + (alpha is not None)
    bits = _read_common(ifd.numbers(tags.BITS_PER_SAMPLE)[:visible], 1, "bit depths")
    sample_format = _read_common(ifd.numbers(tags.SAMPLE_FORMAT)[:visible], tags.UNSIGNED, "formats")
    description = _describe(photometric, samples, bits, sample_format, is_planar=is_planar)
    is_float = sample_format == tags.FLOAT
    is_unsigned = sample_format in {tags.UNSIGNED, tags.UNDEFINED}  # signed samples have no defined white
    if not is_float and (bits not in _INTEGER_BITS or not is_unsigned):
        raise _unsupported(description)
    if is_float and (photometric not in {WHITE_IS_ZERO, BLACK_IS_ZERO} or alpha or bits not in _FLOAT_BITS):
        raise _unsupported(description)  # RGB is linear light in libvips, not in ImageMagick; no tag decides it
    if photometric == CMYK and ifd.number(tags.INK_SET, 1) != 1:
        raise _unsupported("TIFF with inks other than CMYK")
    _check_compression(compression, photometric, samples, bits, description, is_planar=is_planar)
    predictor = ifd.number(tags.PREDICTOR, 1) if compression in PREDICTABLE else 1
    _check_predictor(predictor, bits, description, is_float=is_float)
    if photometric == LAB and (bits not in {8, 16} or alpha):
        raise _unsupported(description)
    layout = PixelLayout(
        *(width, height, photometric, samples, bits, is_float, alpha, is_planar, compression, predictor),
        ifd.number(tags.FILL_ORDER, 1) == tags.LSB_FIRST,
        byte_order,
        *_read_chunks(ifd, width, height, is_required=compression != OLD_JPEG),
        _read_palette(ifd, bits, description) if photometric == PALETTE else None,
    )
    _check_chunks(layout)
    return layout


def _read_photometric(ifd: Ifd, compression: int, samples: int) -> int:
    """Return the photometric interpretation; if it is missing, libtiff's guess."""
    guess = WHITE_IS_ZERO if compression in FAX else RGB if samples >= 3 else BLACK_IS_ZERO
    return ifd.number(PHOTOMETRIC, guess)


def _read_alpha(ifd: Ifd, extra_samples: int) -> Alpha | None:
    """Return whether the first sample after the colours is alpha, and of which kind.

    A single one that is not declared is alpha: programs omit the tag, though it is required.
    """
    if extra_samples < 1:
        return None
    declared = ifd.numbers(tags.EXTRA_SAMPLES)
    if not declared.size:
        return "unassociated" if extra_samples == 1 else None
    first = int(declared[0])
    if first == tags.ASSOCIATED_ALPHA:
        return "associated"
    return "unassociated" if first in {tags.UNASSOCIATED_ALPHA, tags.COREL_ALPHA} else None


def _read_common(numbers: Numbers, default: int, what: str) -> int:
    """Return the value that all samples have in common. Raise UndecodableImageError if they differ."""
    found = {int(number) for number in numbers} or {default}
    if len(found) > 1:
        values = ", ".join(str(number) for number in numbers)
        raise _unsupported(f"TIFF whose samples have different {what} ({values})")
    return found.pop()


def _check_compression(
    compression: int, photometric: int, samples: int, bits: int, description: str, *, is_planar: bool
) -> None:
    """Reject what neither we nor Pillow's libtiff decode."""
    name = tags.COMPRESSION_NAMES.get(compression, str(compression))
    is_grey = photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO}
    if compression in BYTEWISE:
        is_known = photometric != YCBCR or (bits == 8 and samples == 3 and not is_planar)
    elif compression in FAX:
        is_known = bits == samples == 1 and is_grey
    elif compression == OLD_JPEG:
        is_known = bits == 8 and samples in {1, 3}
    elif compression == JPEG:
        is_known = bits == 8 and (is_grey or photometric in {RGB, CMYK, YCBCR})
    elif compression == THUNDERSCAN:
        is_known = bits == 4 and samples == 1 and is_grey
    else:
        raise _unsupported(f"TIFF with compression {name}")
    if not is_known:
        raise _unsupported(description if compression in BYTEWISE else f"{description} and compression {name}")


def _check_predictor(predictor: int, bits: int, description: str, *, is_float: bool) -> None:
    is_known = (
        predictor == 1
        or (predictor == tags.HORIZONTAL_DIFFERENCING and bits in _DIFFERENCING_BITS)
        or (predictor == tags.FLOATING_POINT_PREDICTOR and is_float)
    )
    if not is_known:
        raise _unsupported(f"{description} and predictor {predictor}")


def _read_chunks(
    ifd: Ifd, width: int, height: int, *, is_required: bool
) -> tuple[bool, int, int, Numbers, Numbers]:
    is_tiled = tags.TILE_OFFSETS in ifd
    if is_tiled:
        chunk_width, chunk_height = ifd.number(tags.TILE_WIDTH, 0), ifd.number(tags.TILE_LENGTH, 0)
        offsets, byte_counts = ifd.numbers(tags.TILE_OFFSETS), ifd.numbers(tags.TILE_BYTE_COUNTS)
    else:
        rows = ifd.number(tags.ROWS_PER_STRIP, 0)
        chunk_width, chunk_height = width, height if rows == 0 or rows >= _ALL_ROWS else min(rows, height)
        offsets, byte_counts = ifd.numbers(tags.STRIP_OFFSETS), ifd.numbers(tags.STRIP_BYTE_COUNTS)
    if chunk_width < 1 or chunk_height < 1:
        raise _invalid(f"the TIFF has tiles of {chunk_width} x {chunk_height} pixels")
    if is_required and not offsets.size:
        raise _invalid("the TIFF has no strips and no tiles")
    return is_tiled, chunk_width, chunk_height, offsets, byte_counts


def _check_chunks(layout: PixelLayout) -> None:
    if layout.compression == OLD_JPEG:
        return
    planes = layout.samples if layout.is_planar else 1
    needed = layout.chunks_across * layout.chunks_down * planes
    name = "tiles" if layout.is_tiled else "strips"
    if needed > _MAX_CHUNKS:
        detail = f"the TIFF has {needed} {name}, more than {_MAX_CHUNKS}"
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
    if layout.offsets.size < needed:
        raise _invalid(f"the TIFF has {layout.offsets.size} {name}, but its size needs {needed}")


def _read_palette(ifd: Ifd, bits: int, description: str) -> NDArray[np.uint8]:
    """Return the palette. If all values are below 256, they have eight bits, in breach of TIFF 6.0 (libtiff)."""
    numbers = ifd.numbers(tags.COLOR_MAP)
    if bits > 16:
        raise _unsupported(description)
    if numbers.size < 3 << bits:
        raise _invalid(f"the palette of the TIFF has {numbers.size} values instead of {3 << bits}")
    values = numbers[: 3 << bits].reshape(3, -1).T
    return np.ascontiguousarray(values >> 8 if values.max() > 255 else values).astype(np.uint8)


def _describe(photometric: int, samples: int, bits: int, sample_format: int, *, is_planar: bool) -> str:
    plural = "s" if samples > 1 else ""
    planes = " in separate planes" if is_planar else ""
    name, kind = PHOTOMETRIC_NAMES[photometric], tags.SAMPLE_FORMAT_NAMES.get(sample_format, "")
    return f"{name} TIFF with {samples} {kind}sample{plural} of {bits} bit{'s' * (bits > 1)}{planes}"


def _unsupported(what: str) -> UndecodableImageError:
    article = "an" if what.startswith("RGB") else "a"
    return UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, f"{article} {what} is not supported")


def _invalid(detail: str) -> UndecodableImageError:
    return UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, detail)
