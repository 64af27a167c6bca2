"""What a TIFF's tags say of its pixels, as far as it can be shown; whatever can't is refused by its name.

The rules are TIFF 6.0's, its supplements' and, where those leave a choice, libtiff's.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import HEIGHT, PHOTOMETRIC, WIDTH, Ifd, Numbers
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

BITS, COMPRESSION, FILL_ORDER, STRIP_OFFSETS, SAMPLES = 258, 259, 266, 273, 277
ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, COLOUR_MAP = 278, 279, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 332, 338, 339

# Photometric interpretations that are shown, with the number of their samples.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
_NAMES = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    4: "transparency mask",
    LAB: "Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "LogL",
    32845: "LogLuv",
}
NONE, OLD_JPEG, JPEG = 1, 6, 7
PREDICTABLE = {5, 8, 32946, 34925, 50000}  # compressions that know predictors
BYTEWISE = {NONE, 32773, *PREDICTABLE}  # those that keep bytes and know nothing of pixels
_FAX = {2, 3, 4, 32771}  # of one bit
_COMPRESSIONS = {
    2: "CCITT",
    3: "Group 3",
    4: "Group 4",
    OLD_JPEG: "old JPEG",
    JPEG: "JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32771: "CCITT",
    32809: "ThunderScan",
    32908: "PixarFilm",
    32909: "PixarLog",
    34661: "JBIG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34676: "LogLuv",
    34677: "LogLuv",
    22610: "JPEG XR",
    34887: "LERC",
    34934: "JPEG XR",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_UNSIGNED, _SIGNED, _FLOAT, _UNTYPED = 1, 2, 3, 4  # sample formats; of signed ones nobody says which is white
_FORMATS = {_SIGNED: "signed ", _FLOAT: "floating point ", 5: "complex ", 6: "complex "}
ASSOCIATED, UNASSOCIATED, _COREL = 1, 2, 999  # what extra samples are; Corel Draw 10 wrote the last
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3  # predictors
_DIFFERENT_BITS = {8, 16, 32, 64}  # of samples, where libtiff undoes differences
_FLOAT_BITS = {16, 32, 64}
_BITS = {*range(1, 17), 24, 32, 64}
_MOST_CHUNKS = 2**20  # of 256 pixels, as the smallest tiles have, that is five times what MAX_PIXELS allows
_ANY_ROWS = 2**31  # RowsPerStrip is larger where a strip holds all of them

Alpha = Literal["associated", "unassociated"]


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels of one picture lie in its file. A chunk is a strip or a tile."""

    width: int  # pixels
    height: int
    photometric: int
    samples: int  # of a pixel, with those that don't show
    bits: int  # of a sample
    is_float: bool
    alpha: Alpha | None  # how the sample behind the colours makes them clear, if it does
    planar: bool  # each sample has chunks of its own
    compression: int
    predictor: int
    lsb_first: bool  # the bits of each byte
    order: str  # of bytes: < or >
    is_tiled: bool
    chunk_width: int  # pixels
    chunk_height: int
    offsets: Numbers  # of the chunks
    byte_counts: Numbers
    palette: NDArray[np.uint8] | None  # levels of red, green and blue, by index

    @property
    def colours(self) -> int:
        """Count the samples that are the colour."""
        return _COLOURS[self.photometric]

    @property
    def shown(self) -> int:
        """Count the samples that show: colours and alpha."""
        return self.colours + (self.alpha is not None)

    @property
    def chunk_samples(self) -> int:
        """Count the samples of a pixel that lie in one chunk."""
        return 1 if self.planar else self.samples

    @property
    def across(self) -> int:
        """Count the chunks beside each other."""
        return -(-self.width // self.chunk_width)

    @property
    def down(self) -> int:
        """Count the chunks below each other."""
        return -(-self.height // self.chunk_height)

    @property
    def row_bytes(self) -> int:
        """Count the bytes of one row of a chunk; rows begin at whole bytes."""
        return -(-self.chunk_width * self.chunk_samples * self.bits // 8)

    def rows(self, down: int) -> int:
        """Count the rows in a chunk; the last strip has what is left of the picture, a tile is always whole."""
        left = self.height - down * self.chunk_height
        return self.chunk_height if self.is_tiled else min(self.chunk_height, left)


def read_pixel_layout(directory: Ifd, order: str) -> PixelLayout:
    """Understand a directory. Raises UndecodableImageError for what can't be shown, and for what makes no sense."""
    width, height = directory.number(WIDTH, 0), directory.number(HEIGHT, 0)
    if width < 1 or height < 1:
        raise _damaged(f"it claims to have {width} x {height} pixels")
    compression, samples = directory.number(COMPRESSION, NONE), directory.number(SAMPLES, 1)
    photometric = _read_photometric(directory, compression, samples)
    if compression == OLD_JPEG:
        photometric, samples = YCBCR, directory.number(SAMPLES, 3)
    if photometric not in _COLOURS:
        name = _NAMES.get(photometric, f"the photometric interpretation {photometric}")
        raise _unsupported(f"TIFF with pixels of {name}")
    colours = 1 if photometric == YCBCR and samples == 1 else _COLOURS[photometric]
    if samples < colours:
        raise _damaged(f"the TIFF has {samples} samples a pixel, where {_NAMES[photometric]} takes {colours}")
    photometric = BLACK_IS_ZERO if colours == 1 and photometric == YCBCR else photometric
    planar = directory.number(PLANAR, 1) == 2 and samples > 1
    alpha = _read_alpha(directory, samples - colours)
    shown = colours + (alpha is not None)
    bits = _agreed(directory.numbers(BITS)[:shown], 1, "bits")
    sample_format = _agreed(directory.numbers(SAMPLE_FORMAT)[:shown], _UNSIGNED, "format")
    words = _describe(photometric, samples, bits, sample_format, planar=planar)
    is_float = sample_format == _FLOAT
    if not is_float and (bits not in _BITS or sample_format not in {_UNSIGNED, _UNTYPED}):
        raise _unsupported(words)
    if is_float and (photometric not in {WHITE_IS_ZERO, BLACK_IS_ZERO} or alpha or bits not in _FLOAT_BITS):
        raise _unsupported(words)  # libvips takes RGB for linear light and ImageMagick does not; nothing says which
    if photometric == CMYK and directory.number(INK_SET, 1) != 1:
        raise _unsupported("TIFF with inks other than CMYK")
    _check_compression(compression, photometric, samples, bits, words, planar=planar)
    predictor = directory.number(PREDICTOR, 1) if compression in PREDICTABLE else 1
    _check_predictor(predictor, bits, words, is_float=is_float)
    if photometric == LAB and (bits not in {8, 16} or alpha):
        raise _unsupported(words)
    layout = PixelLayout(
        *(width, height, photometric, samples, bits, is_float, alpha, planar, compression, predictor),
        directory.number(FILL_ORDER, 1) == 2,
        order,
        *_read_chunks(directory, width, height, required=compression != OLD_JPEG),
        _read_palette(directory, bits, words) if photometric == PALETTE else None,
    )
    _check_chunks(layout)
    return layout


def _read_photometric(directory: Ifd, compression: int, samples: int) -> int:
    """Return how samples are to be understood; where it isn't said, as libtiff guesses."""
    guess = WHITE_IS_ZERO if compression in _FAX else RGB if samples >= 3 else BLACK_IS_ZERO
    return directory.number(PHOTOMETRIC, guess)


def _read_alpha(directory: Ifd, surplus: int) -> Alpha | None:
    """Say whether the first of the samples behind the colours is alpha, and how.

    A single one that nothing is said of is alpha: programs forget the tag that they must write.
    """
    if surplus < 1:
        return None
    extra = directory.numbers(EXTRA_SAMPLES)
    if not extra.size:
        return "unassociated" if surplus == 1 else None
    kind = int(extra[0])
    return "associated" if kind == ASSOCIATED else "unassociated" if kind in {UNASSOCIATED, _COREL} else None


def _agreed(numbers: Numbers, default: int, what: str) -> int:
    """Return what is said of all samples alike. Raises UndecodableImageError where they differ."""
    found = {int(number) for number in numbers} or {default}
    if len(found) > 1:
        said = ", ".join(str(number) for number in numbers)
        raise _unsupported(f"TIFF whose samples differ in their {what} ({said})")
    return found.pop()


def _check_compression(
    compression: int, photometric: int, samples: int, bits: int, words: str, *, planar: bool
) -> None:
    """Refuse what neither we nor Pillow's libtiff decode."""
    name = _COMPRESSIONS.get(compression, f"method {compression}")
    match compression:
        case _ if compression in BYTEWISE:
            known = photometric != YCBCR or (bits == 8 and samples == 3 and not planar)
        case _ if compression in _FAX:
            known = bits == samples == 1 and photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO}
        case 6:  # OLD_JPEG
            known = bits == 8 and samples in {1, 3}
        case 7:  # JPEG
            grey_or_colour = photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR}
            known = bits == 8 and grey_or_colour
        case 32809:
            known = bits == 4 and samples == 1 and photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO}
        case _:
            raise _unsupported(f"TIFF that is compressed as {name}")
    if not known:
        raise _unsupported(words if compression in BYTEWISE else f"{words}, compressed as {name},")


def _check_predictor(predictor: int, bits: int, words: str, *, is_float: bool) -> None:
    known = (
        predictor == 1
        or (predictor == DIFFERENCES and bits in _DIFFERENT_BITS)
        or (predictor == FLOAT_DIFFERENCES and is_float)
    )
    if not known:
        raise _unsupported(f"{words} and predictor {predictor}")


def _read_chunks(
    directory: Ifd, width: int, height: int, *, required: bool
) -> tuple[bool, int, int, Numbers, Numbers]:
    is_tiled = TILE_OFFSETS in directory
    if is_tiled:
        chunk_width, chunk_height = directory.number(TILE_WIDTH, 0), directory.number(TILE_HEIGHT, 0)
        offsets, counts = directory.numbers(TILE_OFFSETS), directory.numbers(TILE_BYTES)
    else:
        rows = directory.number(ROWS_PER_STRIP, 0)
        chunk_width, chunk_height = width, height if rows == 0 or rows >= _ANY_ROWS else min(rows, height)
        offsets, counts = directory.numbers(STRIP_OFFSETS), directory.numbers(STRIP_BYTES)
    if chunk_width < 1 or chunk_height < 1:
        raise _damaged(f"the TIFF has tiles of {chunk_width} x {chunk_height} pixels")
    if required and not offsets.size:
        raise _damaged("the TIFF does not say where its pixels are")
    return is_tiled, chunk_width, chunk_height, offsets, counts


def _check_chunks(layout: PixelLayout) -> None:
    if layout.compression == OLD_JPEG:
        return
    planes = layout.samples if layout.planar else 1
    wanted = layout.across * layout.down * planes
    what = "tiles" if layout.is_tiled else "strips"
    if wanted > _MOST_CHUNKS:
        raise UndecodableImageError(
            ErrorCode.IMAGE_TOO_LARGE, f"the TIFF is in {wanted} {what}, more than {_MOST_CHUNKS}"
        )
    if layout.offsets.size < wanted:
        raise _damaged(f"the TIFF has {layout.offsets.size} {what} of the {wanted} that its size takes")


def _read_palette(directory: Ifd, bits: int, words: str) -> NDArray[np.uint8]:
    """Return a palette. If all its values are below 256 they are levels already, against the rules (libtiff)."""
    numbers = directory.numbers(COLOUR_MAP)
    if bits > 16:
        raise _unsupported(words)
    if numbers.size < 3 << bits:
        raise _damaged(f"the TIFF's palette has {numbers.size} values of {3 << bits}")
    values = numbers[: 3 << bits].reshape(3, -1).T
    return np.ascontiguousarray(values >> 8 if values.max() > 255 else values).astype(np.uint8)


def _describe(photometric: int, samples: int, bits: int, sample_format: int, *, planar: bool) -> str:
    many = "s" if samples > 1 else ""
    planes = " in separate planes" if planar else ""
    kind = _FORMATS.get(sample_format, "")
    return f"{_NAMES[photometric]} TIFF with {samples} {kind}sample{many} of {bits} bit{'s' * (bits > 1)}{planes}"


def _unsupported(what: str) -> UndecodableImageError:
    return UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, f"a {what} is not supported")


def _damaged(how: str) -> UndecodableImageError:
    return UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, how)
